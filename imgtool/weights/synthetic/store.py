"""Synthetic weights on this machine: each scale has a model store of its own, below that of the real models.

It is used only if the option ``weights`` is ``synthetic``.
"""

from __future__ import annotations

import msgspec

from imgtool.options import EngineOptions, Weights
from imgtool.types import Task
from imgtool.weights.catalogue import Kind, ModelSpec, easyocr_models
from imgtool.weights.languages import easyocr_codes
from imgtool.weights.store import ModelStore, store_for

BLIP_NAME = "blip-base"
_BLIP_BYTES, _CRAFT_BYTES = 897_000_000, 83_000_000


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
    return _spec(f"easyocr-{recogniser.name}", Task.TEXT, options, _CRAFT_BYTES + recogniser.size_bytes, codes)


def synthetic_store(options: EngineOptions) -> ModelStore:
    """The store of the scale that ``options`` set, whether or not they ask for synthetic weights."""
    return store_for(msgspec.structs.replace(options, weights=Weights.SYNTHETIC))


def _spec(name: str, task: Task, options: EngineOptions, size: int, languages: tuple[str, ...] = ()) -> ModelSpec:
    scale = options.scale.value
    # Small ones of either kind take less than a megabyte.
    size = size if scale == "full" else 1_000_000
    return ModelSpec(name, task, Kind.SYNTHETIC, "synthetic", (), "none", languages, size, revision=scale)
