"""A compiled EasyOCR as lossy twins are measured and judged by it: lines of text, and the detector's score maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imgtool.artefacts.manifest import SETTINGS
from imgtool.compiling.easyocr.export import DETECTOR
from imgtool.compiling.interface import Feeds, Program, UsualSizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgtool.types import TextLine

USUAL_SIZES = UsualSizes({"image": (1, 3, 608, 1024)}, 32)
"""What the detector is given for a picture of 1000 x 600."""


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

    return Program(answer=answer, numbers=lambda pixels: graphs.score_maps(_detector_input(pixels)))


def feeds(pictures: Sequence[NDArray[np.uint8]]) -> Feeds:
    """The detector's images; the recogniser has none, and is not made of convolutions for the most part."""

    def images(graph: str) -> Iterator[Mapping[str, NDArray[Any]]]:
        if graph == DETECTOR:
            yield from ({"image": _detector_input(picture)} for picture in pictures)

    return images


def _detector_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from imgtool.inference.easyocr.detector_input import detector_input
    from imgtool.inference.easyocr.graphs import Detection

    usual = Detection()
    return detector_input(pixels, usual.canvas_size, usual.mag_ratio)[0]
