"""The analyzers by name, as ``module:Class`` strings: a name costs no import until it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.types import Task

if TYPE_CHECKING:
    from imgtool.analyzers.interface import Analyzer

ANALYZERS: dict[str, str] = {
    "blip": "imgtool.analyzers.blip:BlipTorch",
    "describe": "imgtool.analyzers.describe:Describe",
    "easyocr": "imgtool.analyzers.easyocr:EasyOcrTorch",
    "rapidocr": "imgtool.analyzers.rapidocr:RapidOcr",
    "tesseract": "imgtool.analyzers.tesseract:Tesseract",
    "classifier": "imgtool.analyzers.classifier:Classifier",
    "thumbnail": "imgtool.analyzers.thumbnail:Thumbnail",
}

ORDER: dict[str, tuple[str, ...]] = {
    Task.CAPTION.value: ("blip", "describe"),
    Task.TEXT.value: ("easyocr", "rapidocr", "tesseract"),
    Task.LABELS.value: ("classifier",),
    THUMBNAIL: ("thumbnail",),
}
"""For each task the analyzers that answer it, the preferred one first: the order of stand-ins."""


def load_class(name: str) -> type[Analyzer]:
    """The class of the analyzer ``name``, which may also be a ``module:Class`` string of its own.

    Raises:
        KeyError: no analyzer has that name.
    """
    target = ANALYZERS[name] if ":" not in name else name
    module, _, attribute = target.partition(":")
    found: type[Analyzer] = getattr(import_module(module), attribute)
    return found
