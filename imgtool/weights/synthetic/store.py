"""Synthetic weights on this machine: a model store of their own for each scale, below the one of real models.

Nothing in it is ever looked at unless ``weights`` says ``synthetic``, and nothing of it is a real model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.types import Task
from imgtool.weights.catalogue import Kind, ModelSpec, easyocr_models
from imgtool.weights.languages import easyocr_codes
from imgtool.weights.store import ModelStore, store_for
from imgtool.weights.synthetic.marker import FILES

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

BLIP_NAME = "blip-base"
_BLIP_BYTES, _CRAFT_BYTES = 897_000_000, 83_000_000


@dataclass(frozen=True)
class SyntheticFolders:
    """Where synthetic weights are, or would be."""

    blip: Path
    easyocr: Path


def blip_spec(options: EngineOptions) -> ModelSpec:
    """BLIP base as a synthetic model of the scale that ``options`` set."""
    return _spec(BLIP_NAME, Task.CAPTION, options, _BLIP_BYTES)


def easyocr_spec(options: EngineOptions) -> ModelSpec:
    """The detector and the recogniser for the languages of ``options`` as one synthetic model.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read them, or not together.
    """
    codes = easyocr_codes(options.languages)
    recogniser = easyocr_models(codes)[-1]
    name = f"easyocr-{recogniser.name}"
    return _spec(name, Task.TEXT, options, _CRAFT_BYTES + recogniser.size_bytes, codes)


def _spec(name: str, task: Task, options: EngineOptions, size: int, languages: tuple[str, ...] = ()) -> ModelSpec:
    scale = options.scale.value
    # Small ones of either kind take less than a megabyte.
    size = size if scale == "full" else 1_000_000
    return ModelSpec(name, task, Kind.SYNTHETIC, "synthetic", (), "none", languages, size, revision=scale)


def synthetic_folders(options: EngineOptions) -> SyntheticFolders:
    """Where the weights of the scale and for the languages that ``options`` set are, or would be.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read the languages, or not together.
    """
    store = synthetic_store(options)
    names = BLIP_NAME, easyocr_spec(options).name
    return SyntheticFolders(*(store.folder_of(name) / FILES for name in names))


def synthetic_store(options: EngineOptions) -> ModelStore:
    """The store of the scale that ``options`` set, whether or not they ask for synthetic weights."""
    import msgspec

    from imgtool.options import Weights

    return store_for(msgspec.structs.replace(options, weights=Weights.SYNTHETIC))
