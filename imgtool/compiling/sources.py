"""The weights files that a compile reads; their folder may hold those of other models too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgtool.artefacts.requested_model import BLIP, RequestedModel
from imgtool.weights.catalogue import CATALOGUE, DETECTOR
from imgtool.weights.easyocr_table import table_entry
from imgtool.weights.errors import unreadable
from imgtool.weights.on_disk.blip import weight_files


@contextmanager
def reading(store: Path) -> Iterator[None]:
    """Distinguish a missing permission outside of ``store``, where a compile only reads, from one inside of it.

    Raises:
        WeightsUnreadable: a file outside may not be read.
    """
    try:
        yield
    except PermissionError as error:
        if error.filename is None:
            raise
        path = Path(os.fsdecode(error.filename))
        if path.is_relative_to(store) or path.resolve().is_relative_to(store.resolve()):
            raise
        raise unreadable(error) from error


def own_weights(requested: RequestedModel) -> list[Path]:
    """The weights files of ``requested``: two of EasyOCR's directory, or the safetensors of a snapshot.

    Raises:
        imgtool.errors.ImgtoolError: they are missing or damaged, or the library that names them is not installed.
    """
    if requested.folder is None:
        return []
    if requested.kind == BLIP:
        return weight_files(requested.folder, requested.repair)
    return [requested.folder / table_entry(model).filename for model in (DETECTOR, CATALOGUE[requested.model])]
