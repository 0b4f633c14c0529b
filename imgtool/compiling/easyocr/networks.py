"""EasyOCR's networks as torch modules in fp32, with what belongs to the recogniser. Heavy: compiling processes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.weights.catalogue import DETECTOR, ModelSpec, easyocr_models
from imgtool.weights.easyocr_table import empty_recogniser, table_entry
from imgtool.weights.errors import FileRefused, NotInStore
from imgtool.weights.hashing import ExpectedFile, measure
from imgtool.weights.languages import RECOGNISERS
from imgtool.weights.synthetic.marker import read_marker

_PREFIX = "module."
"""EasyOCR's weights were saved from a network that was spread over several devices."""


@dataclass(frozen=True)
class Networks:
    """CRAFT and a recogniser in evaluation mode, and the recogniser's row in EasyOCR's table."""

    craft: Any
    recogniser: Any
    name: str
    row: dict[str, Any]


def load_networks(folder: Path, languages: Sequence[str], remedy: str) -> Networks:
    """The networks that EasyOCR uses for ``languages`` (its codes), from the weights in ``folder``.

    ``remedy`` is what to do where a file is missing or damaged.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        imgtool.weights.errors.LibraryMissing: EasyOCR is not installed.
        NotInStore: a file is not here.
        FileRefused: a file is not the one that EasyOCR's table, or the mark of synthetic weights, describes.
    """
    from easyocr.config import recognition_models
    from easyocr.craft import CRAFT

    spec = easyocr_models(languages)[-1]
    generation = RECOGNISERS[spec.name].generation
    row = recognition_models[generation][spec.name]
    recogniser = empty_recogniser(generation, len(row["characters"]) + 1)
    return Networks(
        _with_weights(CRAFT(), folder, DETECTOR, remedy),
        _with_weights(recogniser, folder, spec, remedy),
        spec.name,
        row,
    )


def _with_weights(network: Any, folder: Path, spec: ModelSpec, remedy: str) -> Any:
    """``network`` with the weights of ``spec`` in ``folder``, whose MD5 must be right.

    Upstream's files are trusted by their MD5, as upstream itself does. Nothing vouches for synthetic ones, so they are
    opened with the reader that takes tensors only.
    """
    import torch

    entry, marker = table_entry(spec), read_marker(folder)
    path = folder / entry.filename
    expected = ExpectedFile(md5=entry.md5 if marker is None else marker.files.get(entry.filename, "none"))
    try:
        difference = expected.difference(measure(path, expected))
    except FileNotFoundError as error:
        raise NotInStore(f"{path} is missing", remedy) from error
    if difference:
        raise FileRefused(f"{path} is damaged: {difference}", remedy)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=marker is not None)
        network.load_state_dict({name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()})
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise FileRefused(f"{path} does not hold the weights of {spec.name}: {error}", remedy) from error
    return network.eval()
