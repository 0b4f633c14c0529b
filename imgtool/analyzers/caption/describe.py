"""``describe``: a caption composed from what can be measured, for where no captioning model is to be had.

It says how an image looks (shape, brightness, colours, contrast, sharpness), what text was read in it and whether codes
could be decoded. It never guesses what the image shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.distribution import install_command
from imgtool.errors import ModelLoadFailed
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem, Task

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


def _remedy() -> str:
    return f"reinstall imgtool with its dependencies: `{install_command(again=True)}`"


class Describe(Analyzer):
    """A sentence from measurements; takes the text answer into account where there is one."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="describe",
        task=Task.CAPTION.value,
        version="1",
        backend=Backend.PYTHON,
        summary="a sentence composed from measurements: shape, light, colours, sharpness, text, codes; no model",
        licence="Apache-2.0",
        after=(Task.TEXT,),
    )
    libraries = ("imgtool.analyzers.caption.measure",)

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available wherever numpy and OpenCV are installed; the version is OpenCV's, which reads the codes."""
        missing = [name for name in ("numpy", "cv2") if find_spec(name) is None]
        if missing:
            return Probe(False, reason=f"{' and '.join(missing)} cannot be imported", remedy=_remedy())
        return Probe(True, model="measurements", model_version=_opencv_version())

    def load(self) -> None:
        """Import OpenCV and compute the colour tables.

        Raises:
            ModelLoadFailed: OpenCV is installed but cannot be imported, for the want of a system library for instance.
        """
        try:
            from imgtool.analyzers.caption.measure import prepare
        except ImportError as error:
            raise ModelLoadFailed(f"OpenCV cannot be loaded: {error}", _remedy()) from error
        prepare()

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """One sentence a picture, of at most 300 characters."""
        from imgtool.analyzers.caption.measure import measure
        from imgtool.analyzers.caption.sentence import compose

        return [compose(measure(picture.pixels, picture.answers.get(Task.TEXT) or ())) for picture in pictures]


def _opencv_version() -> str:
    """OpenCV's version as its package states it, read without importing 60 MB of it; empty where it does not say."""
    spec = find_spec("cv2")
    if spec is None or spec.origin is None:
        return ""
    try:
        stated = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"opencv_version\s*=\s*[\"']([^\"']+)", stated)
    return f"opencv-{found[1]}" if found else ""
