"""The analyzers by name, as ``module:Class`` strings: a module is imported only when it is asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.options import BackendChoice
from imgtool.types import Task

if TYPE_CHECKING:
    from imgtool.analyzers.interface import Analyzer
    from imgtool.options import EngineOptions

ANALYZERS: dict[str, tuple[str, ...]] = {
    "blip": ("imgtool.analyzers.caption.blip_compiled:BlipOnnx", "imgtool.analyzers.caption.blip:BlipTorch"),
    "describe": ("imgtool.analyzers.caption.describe:Describe",),
    "easyocr": ("imgtool.analyzers.text.easyocr_compiled:EasyOcrOnnx", "imgtool.analyzers.text.easyocr:EasyOcrTorch"),
    "rapidocr": ("imgtool.analyzers.text.rapidocr:RapidOcr",),
    "tesseract": ("imgtool.analyzers.text.tesseract:Tesseract",),
    "classifier": ("imgtool.analyzers.labels.classifier:Classifier",),
    "codes": ("imgtool.analyzers.codes.reader:CodeReader",),
    "thumbnail": ("imgtool.analyzers.thumbnail:Thumbnail",),
}
"""The implementations of each, one per backend, the one that starts faster first."""

ORDER: dict[str, tuple[str, ...]] = {
    Task.CAPTION.value: ("blip", "describe"),
    Task.TEXT.value: ("easyocr", "rapidocr", "tesseract"),
    Task.LABELS.value: ("classifier",),
    Task.CODES.value: ("codes",),
    THUMBNAIL: ("thumbnail",),
}
"""For each task the analyzers that answer it, in the order of preference."""


def targets(name: str, backend: BackendChoice = BackendChoice.AUTO) -> tuple[str, ...]:
    """The implementations of the analyzer ``name``, which may also be a ``module:Class`` string of its own.

    ``backend`` chooses among several implementations; an analyzer with only one ignores it.

    Raises:
        KeyError: no analyzer has that name.
    """
    found = (name,) if ":" in name else ANALYZERS[name]
    if len(found) == 1 or backend is BackendChoice.AUTO:
        return found
    return tuple(each for each in found if load_class(each).spec.backend.value == backend.value)


def choose_target(name: str, options: EngineOptions) -> str:
    """The implementation of the analyzer ``name`` that a run with ``options`` would use: the first that is available,
    or the last, whose probe says what is missing.

    Raises:
        KeyError: no analyzer has that name.
    """
    found = targets(name, options.backend)
    return next((each for each in found if load_class(each).probe(options).available), found[-1])


def load_class(target: str) -> type[Analyzer]:
    """The class that a ``module:Class`` string means, or the name of an analyzer with one implementation.

    Raises:
        KeyError: no analyzer has that name.
    """
    if ":" not in target:
        (target,) = ANALYZERS[target]
    module, _, attribute = target.partition(":")
    __import__(module)  # importlib.import_module is not seen by -X importtime, which `imgtool profile` reads
    found: type[Analyzer] = getattr(sys.modules[module], attribute)
    return found
