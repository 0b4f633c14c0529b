"""EasyOCR's networks as torch modules in fp32, with what belongs to the recogniser. Heavy: compiling processes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from imgtool.weights.catalogue import DETECTOR, ModelSpec, easyocr_models
from imgtool.weights.easyocr_table import table_entry
from imgtool.weights.errors import FileRefused, NotInStore
from imgtool.weights.hashing import Expected, measure
from imgtool.weights.languages import RECOGNISERS
from imgtool.weights.synthetic.marker import read_marker

SHAPES = {"gen1": ("model", 512), "gen2": ("vgg_model", 256)}
"""By generation: the module of EasyOCR that holds the network, and its number of channels and of hidden units."""

_PREFIX = "module."
"""EasyOCR's weights were saved from a network that was spread over several devices."""
_REMEDY = "remove it, or put back the one that belongs there, and run the same `imgtool warm-cache` again"
"""The one who reads it has just run it, with the options that matter."""


@dataclass(frozen=True)
class Networks:
    """CRAFT and a recogniser in evaluation mode, and the recogniser's row in EasyOCR's table."""

    craft: Any
    recogniser: Any
    name: str
    row: dict[str, Any]


def load_networks(folder: Path, languages: Sequence[str]) -> Networks:
    """The networks that EasyOCR uses for ``languages`` (its codes), from the weights in ``folder``.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        imgtool.weights.errors.LibraryMissing: EasyOCR is not installed.
        NotInStore: a file is not here.
        FileRefused: a file is not the one that EasyOCR's table, or the mark of synthetic weights, describes.
    """
    from easyocr.config import recognition_models
    from easyocr.craft import CRAFT

    recogniser = easyocr_models(languages)[-1]
    row = recognition_models[RECOGNISERS[recogniser.name].generation][recogniser.name]
    return Networks(
        _with_weights(CRAFT(), folder, DETECTOR),
        _with_weights(_recogniser(recogniser.name, len(row["characters"]) + 1), folder, recogniser),
        recogniser.name,
        row,
    )


def _recogniser(name: str, classes: int) -> Any:
    module, width = SHAPES[RECOGNISERS[name].generation]
    return import_module(f"easyocr.model.{module}").Model(1, width, width, classes)


def _with_weights(network: Any, folder: Path, spec: ModelSpec) -> Any:
    path, is_trusted = _checked(folder, spec)
    try:
        network.load_state_dict(_state(path, is_trusted))
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise FileRefused(f"{path} does not hold the weights of {spec.name}: {error}", _REMEDY) from error
    return network.eval()


def _state(path: Path, is_trusted: bool) -> dict[str, Any]:
    import torch

    tensors = torch.load(path, map_location="cpu", weights_only=not is_trusted)
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}


def _checked(folder: Path, spec: ModelSpec) -> tuple[Path, bool]:
    """The file of ``spec`` in ``folder``, its MD5 being right, and whether to trust it with all that pickle can do.

    Upstream's files are trusted by their MD5, as upstream itself does. Nothing vouches for synthetic ones, so they are
    opened with the reader that takes tensors only.
    """
    entry, marker = table_entry(spec), read_marker(folder)
    path = folder / entry.filename
    expected = Expected(md5=entry.md5 if marker is None else marker.files.get(entry.filename, "none"))
    try:
        difference = expected.difference(measure(path, expected))
    except FileNotFoundError as error:
        raise NotInStore(f"{path} is missing", _REMEDY) from error
    if difference:
        raise FileRefused(f"{path} is damaged: {difference}", _REMEDY)
    return path, marker is None
