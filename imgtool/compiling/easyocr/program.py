"""A compiled EasyOCR as lossy twins are measured and judged by it: lines of text, and the detector's score maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imgtool.artefacts.manifest import SETTINGS
from imgtool.compiling.easyocr.export import DETECTOR, HEIGHT, RECOGNISER
from imgtool.compiling.interface import Feeds, Program, UsualSizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgtool.types import TextLine

USUAL_SIZES = UsualSizes({"image": (1, 3, 608, 1024)}, 32)
"""What the detector is given for a picture of 1000 x 600."""

_STRIPS, _STRIP_HEIGHT, _STRIP_WIDTH = 4, 40, 400
"""How many parts of a picture the recogniser is given, and their size in pixels: that of lines of large print."""


def open_program(folder: Path, precision: str, threads: int) -> Program:
    """The compiled model in ``folder``.

    Raises:
        ImgtoolError: it is damaged.
    """
    from imgtool.inference.easyocr.graphs import EasyOcrGraphs
    from imgtool.inference.picture import Picture

    settings = msgspec.json.decode((folder / SETTINGS).read_bytes())
    graphs = EasyOcrGraphs(folder, settings["languages"], threads, precision)

    def answer(pixels: NDArray[np.uint8]) -> Sequence[TextLine]:
        height, width = pixels.shape[:2]
        return graphs.read(Picture(pixels, width, height, "PNG"), {}, {})

    def numbers(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        return *graphs.score_maps(_detector_input(pixels)), graphs.logits(_strips(pixels))

    return Program(answer=answer, numbers=numbers)


def feeds(pictures: Sequence[NDArray[np.uint8]]) -> Feeds:
    """The detector's images, and strips for the recogniser: it is to be right about whatever the detector finds."""
    prepare = {DETECTOR: _detector_input, RECOGNISER: _strips}

    def images(graph: str) -> Iterator[Mapping[str, NDArray[Any]]]:
        yield from ({"image": prepare[graph](picture)} for picture in pictures)

    return images


def _strips(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Parts of the picture as the recogniser is given lines, (N, 1, height, W)."""
    import cv2
    import numpy as np

    from imgtool.inference.easyocr.crops import recogniser_input

    grey: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :_STRIP_WIDTH]
    rows, columns = min(_STRIP_HEIGHT, len(grey)), grey.shape[1]
    tops = np.linspace(0, len(grey) - rows, _STRIPS).astype(int)
    width = -(-HEIGHT * columns // rows)
    return np.stack([recogniser_input(grey[top : top + rows], HEIGHT, width) for top in tops])


def _detector_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from imgtool.inference.easyocr.detector_input import detector_input
    from imgtool.inference.easyocr.graphs import Detection

    usual = Detection()
    return detector_input(pixels, usual.canvas_size, usual.mag_ratio)[0]
