"""What a compile reads: the weights that are the model's own, in a folder where those of others may lie too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgtool.artefacts.requested_model import BLIP, Wanted
from imgtool.weights.catalogue import CATALOGUE, DETECTOR
from imgtool.weights.easyocr_table import table_entry
from imgtool.weights.errors import unreadable
from imgtool.weights.on_disk.blip import weight_files


@contextmanager
def reading(store: Path) -> Iterator[None]:
    """Tell a permission that is missing outside of ``store``, where a compile only reads, from one inside of it.

    Raises:
        WeightsUnreadable: a file elsewhere may not be read.
    """
    try:
        yield
    except PermissionError as error:
        if error.filename is None or _is_inside(Path(os.fsdecode(error.filename)), store):
            raise
        raise unreadable(error) from error


def _is_inside(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) or path.resolve().is_relative_to(folder.resolve())


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
