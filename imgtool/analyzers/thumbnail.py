"""``thumbnail``: a small JPEG of each image for the HTML gallery."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import THUMBNAIL, Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.distribution import install_command
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

SIDE = 320
QUALITY = 72


class Thumbnail(Analyzer):
    """JPEG bytes, RGB, the longest side at most ``parameters["side"]`` pixels."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="thumbnail",
        task=THUMBNAIL,
        version="1",
        backend=Backend.PYTHON,
        summary="a small JPEG of the image for the HTML gallery",
        licence="Apache-2.0",
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available wherever Pillow is installed."""
        if find_spec("PIL") is None:
            remedy = f"reinstall imgtool with its dependencies: `{install_command(again=True)}`"
            return Probe(False, reason="Pillow cannot be imported", remedy=remedy)
        return Probe(True, model="pillow")

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """``side``: the longest side in pixels; ``quality``: of the JPEG, 1 to 95."""
        return {"side": SIDE, "quality": QUALITY}

    def load(self) -> None:
        """Import Pillow and its JPEG writer."""
        from PIL import Image

        Image.preinit()

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """The bytes of one JPEG a picture."""
        return [self._encode(picture) for picture in pictures]

    def _encode(self, picture: Picture) -> bytes:
        from PIL import Image

        image = Image.fromarray(picture.pixels)
        size = fitted(image.width, image.height, self.parameters_given["side"])
        if size != image.size:
            # ``reducing_gap`` averages blocks down to twice the size first: 12 MP take a tenth of the time.
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        written = BytesIO()
        image.save(written, "JPEG", quality=self.parameters_given["quality"], optimize=True)
        return written.getvalue()


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """``width`` x ``height`` scaled down, never up, so that no side exceeds ``side`` and none falls under one pixel."""
    longest = max(width, height, side)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))
