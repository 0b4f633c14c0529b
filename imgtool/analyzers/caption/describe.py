"""``describe``: a caption composed from measurements, for machines without a captioning model.

It says how an image looks (shape, brightness, colours, contrast, sharpness), what text was read in it and whether codes
could be decoded. It never guesses what the image shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from imgtool.analyzers.codes.zxing import zxing_version
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
    """A sentence from measurements, and from the text answer if there is one."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="describe",
        task=Task.CAPTION.value,
        version="3",
        backend=Backend.PYTHON,
        summary="a sentence composed from measurements: shape, light, colours, sharpness, text, codes; no model",
        licence="Apache-2.0",
        workers_pay=None,
        after=(Task.TEXT,),
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if numpy, OpenCV and zxing-cpp are installed; the version is that of the last two."""
        missing, opencv = [each for each in ("numpy", "cv2", "zxingcpp") if find_spec(each) is None], find_spec("cv2")
        if missing:
            return Probe(False, reason=f"{' and '.join(missing)} cannot be imported", remedy=_remedy())
        # Read from its package, without importing 60 MB of it.
        stated = ""
        if opencv is not None and opencv.origin is not None:
            with suppress(OSError):
                stated = (Path(opencv.origin).parent / "version.py").read_text(encoding="utf-8")
        found = re.search(r"opencv_version\s*=\s*[\"']([^\"']+)", stated)
        return Probe(True, model="measurements", model_version=f"opencv-{found[1] if found else ''} {zxing_version()}")

    def import_libraries(self) -> None:
        """Import OpenCV and zxing-cpp."""
        import imgtool.analyzers.caption.measure  # noqa: F401

    def load(self) -> None:
        """Import OpenCV and zxing-cpp and compute the colour tables.

        Raises:
            ModelLoadFailed: one of them is installed but cannot be imported, for example because of a missing system
            library.
        """
        try:
            import imgtool.analyzers.caption.measure  # noqa: F401
        except ImportError as error:
            raise ModelLoadFailed(f"OpenCV or zxing-cpp cannot be loaded: {error}", _remedy()) from error
        from imgtool.analyzers.caption.colours import tables

        tables()

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """One sentence a picture, of at most 300 characters."""
        from imgtool.analyzers.caption.measure import measure
        from imgtool.analyzers.caption.sentence import compose

        threads = self.parameters_given.get("threads", 1)
        return [
            compose(measure(picture.pixels, picture.answers.get(Task.TEXT) or (), picture.clear, threads))
            for picture in pictures
        ]
