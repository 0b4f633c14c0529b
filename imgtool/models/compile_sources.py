"""What a compile reads: the weights that are the model's own, in a folder where those of others may lie too."""

from __future__ import annotations

from pathlib import Path

from imgtool.models.blip_weights import weight_files
from imgtool.models.catalogue import CATALOGUE, DETECTOR
from imgtool.models.easyocr_tables import table_entry
from imgtool.models.wanted import BLIP, Wanted


def own_weights(wanted: Wanted) -> list[Path]:
    """The files of ``wanted``: of EasyOCR's directory two, of a snapshot the safetensors; none where it is not here.

    Raises:
        imgtool.errors.ImgtoolError: they are missing or damaged, or the library that names them is not here.
    """
    if wanted.folder is None:
        return []
    if wanted.kind == BLIP:
        return weight_files(wanted.folder)
    return [wanted.folder / table_entry(model).filename for model in (DETECTOR, CATALOGUE[wanted.model])]
