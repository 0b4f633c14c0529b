"""``rapidocr``: PP-OCR models in ONNX that are part of the ``rapidocr`` package, so nothing is downloaded."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.analyzers.text.doubts import asks_for_ideographs, with_doubts
from imgtool.distribution import pip_install
from imgtool.errors import ModelLoadFailed
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem, Task
from imgtool.weights.languages import RAPIDOCR_LANGUAGES

if TYPE_CHECKING:
    from imgtool.analyzers.text.rapidocr_session import Reader
    from imgtool.options import EngineOptions

MODEL = "PP-OCRv6 small"
FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
"""The models by the section of RapidOCR's configuration that uses them: find lines, turn them upright, read them."""


_LEAST, _LEAST_OF_IDEOGRAPHS = 0.8, 0.9
"""A line of a lower score is doubtful. The second is for Chinese characters and kana where neither was asked for:
Hangul is most often taken for them."""


def _remedy() -> str:
    return pip_install("--force-reinstall", "rapidocr>=3.10,<4")


class RapidOcr(Analyzer):
    """Lines of text with their boxes, in reading order: those of ``RapidOCR()(image)`` with upstream's own settings,
    and what its answers lack on turned, very long and very small images. With ``order=raw`` exactly its answers."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="rapidocr",
        task=Task.TEXT.value,
        version="2",
        backend=Backend.ONNX,
        summary="Lines of printed text in Latin, Chinese and Japanese script, by PP-OCR",
        licence="Apache-2.0",
        workers_pay=True,
    )

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._reader: Reader | None = None
        # RapidOCR stores the state of a call in the instance (RapidAI/RapidOCR #724).
        self._lock = threading.Lock()

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Whether the package is installed and its models are in it."""
        from importlib.metadata import PackageNotFoundError, version

        folder = _models_folder()
        if folder is None:
            return Probe(available=False, reason="the package rapidocr is not installed", remedy=_remedy())
        missing = [name for name in FILES.values() if not (folder / name).is_file()]
        if missing:
            reason = f"rapidocr is installed without {', '.join(missing)}"
            return Probe(available=False, model=MODEL, reason=reason, remedy=_remedy())
        try:
            release = version("rapidocr")
        except PackageNotFoundError:
            release = "unknown"
        return Probe(
            available=True,
            model=MODEL,
            model_version=release,
            languages=RAPIDOCR_LANGUAGES,
            size_bytes=sum((folder / name).stat().st_size for name in FILES.values()),
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """``raw`` if the answers are to be RapidOCR's own, ``ideographs`` if these are expected, and under ``paths``,
        which changes no answer, where its graphs are kept without denormal weights."""
        from imgtool.artefacts.places import cleaned_root

        how = {"raw": True} if options.ocr.get("order") == "raw" else {}
        if asks_for_ideographs(options.languages):
            how["ideographs"] = True
        return {**how, "paths": {"cleaned": str(cleaned_root(options))}}

    def import_libraries(self) -> None:
        """Import onnxruntime and OpenCV; RapidOCR itself is imported while its models are opened."""
        import imgtool.analyzers.text.rapidocr_session  # noqa: F401

    def load(self) -> None:
        """Open the three models and the pipeline around them; never touches the network.

        Raises:
            ModelLoadFailed: the package or one of its models is missing or broken.
        """
        folder = _models_folder()
        if folder is None:
            raise ModelLoadFailed("rapidocr is not installed", _remedy())
        try:
            from imgtool.analyzers.text.rapidocr_session import open_reader

            given = self.parameters_given
            cleaned = given.get("paths", {}).get("cleaned")
            files = {section: folder / name for section, name in FILES.items()}
            folder_of_cleaned = None if cleaned is None else Path(cleaned)
            raw = given.get("raw", False)
            self._reader = open_reader(files, given.get("threads"), folder_of_cleaned, raw=raw)
        except MemoryError:
            raise
        except Exception as error:
            raise ModelLoadFailed(f"rapidocr cannot be loaded: {type(error).__name__}: {error}", _remedy()) from error

    def warm_up(self) -> None:
        """Read a drawn word, so that all three models have run."""
        with self._lock:
            self._loaded().warm_up()

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """A tuple of :class:`imgtool.types.TextLine` for each picture, in reading order; empty where there is none."""
        answers: list[Answer | Problem] = []
        given = self.parameters_given
        for picture in pictures:
            try:
                with self._lock:
                    lines = self._loaded().read(picture.pixels)
                if not given.get("raw"):
                    doubtful = 0.0 if given.get("ideographs") else _LEAST_OF_IDEOGRAPHS
                    lines = with_doubts(lines, self.spec.name, _LEAST, doubtful)
                answers.append(lines)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - one image must not take the others, whatever is raised below
                cause = error.__cause__ or error
                said = str(cause).strip().splitlines()
                text = f"rapidocr failed on this image: {type(cause).__name__}: {said[-1] if said else ''}"
                remedy = "convert the image to PNG and try again, or leave it out"
                answers.append(Problem("model_failed", text, remedy))
        return answers

    def close(self) -> None:
        """Free the models."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _loaded(self) -> Reader:
        if self._reader is None:
            raise ModelLoadFailed("rapidocr was not loaded", "call load() first")
        return self._reader


def _models_folder() -> Path | None:
    """Where the package keeps its models, found without importing it."""
    found = find_spec("rapidocr")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "models"
