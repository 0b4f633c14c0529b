"""The pipeline around RapidOCR's engine: slivers are widened for it, and its boxes clamped to the picture."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

from imgtool.analyzers.text.rapidocr_session import Reader


class Engine:
    """Answers with planted lines, and keeps what it was given."""

    def __init__(self, *lines: tuple[str, float, list[list[float]]]) -> None:
        self._lines = lines
        self.seen: list[np.ndarray] = []

    def __call__(self, image: np.ndarray) -> Any:
        self.seen.append(image)
        if not self._lines:
            return SimpleNamespace(txts=None, boxes=None, scores=None)
        texts, scores, boxes = zip(*self._lines, strict=True)
        return SimpleNamespace(txts=texts, scores=scores, boxes=boxes)


@pytest.mark.parametrize(
    ("size", "given"),
    [((60, 80), (60, 80)), ((1, 300), (3, 300)), ((300, 1), (300, 60)), ((2, 200), (2, 200)), ((20, 1), (20, 1))],
)
def test_slivers_are_widened_by_their_last_row_or_column(size: tuple[int, int], given: tuple[int, int]) -> None:
    engine, pixels = Engine(), np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert Reader(engine).read(pixels) == ()
    (image,) = engine.seen
    assert image.shape == (*given, 3)
    assert np.array_equal(image[: size[0], : size[1]], pixels[:, :, ::-1])
    assert (image[size[0] :] == image[size[0] - 1]).all()


def test_boxes_and_confidences_are_kept_within_bounds() -> None:
    engine = Engine(
        ("a", 1.0000001, [[-3, -1], [90, 0], [90, 70], [0, 70]]), ("b", -0.1, [[1, 2], [3, 2], [3, 4], [1, 4]])
    )
    first, second = Reader(engine).read(np.zeros((60, 80, 3), dtype=np.uint8))
    assert (first.text, first.confidence, first.box) == ("a", 1.0, ((0, 0), (80, 0), (80, 60), (0, 60)))
    assert (second.confidence, second.box) == (0.0, ((1, 2), (3, 2), (3, 4), (1, 4)))
