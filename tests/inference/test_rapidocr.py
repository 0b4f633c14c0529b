"""The table in place of RapidOCR's arithmetic: equal in every bit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from imgtool.inference.rapidocr import normalise_by_table

det = pytest.importorskip("rapidocr.ch_ppocr_det.utils")


def engine_with(original: Any) -> Any:
    detector = SimpleNamespace(get_preprocess=lambda: original)
    return SimpleNamespace(_load_det_model=lambda: detector)


def prepared_by(engine: Any, image: np.ndarray) -> Any:
    return engine._load_det_model().get_preprocess()(image)


@pytest.mark.parametrize(
    ("mean", "std"), [([0.5] * 3, [0.5] * 3), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])], ids=["own", "other"]
)
@pytest.mark.parametrize("size", [(64, 96), (33, 700), (900, 1300), (40, 30)])
def test_every_bit_is_the_same(mean: list[float], std: list[float], size: tuple[int, int]) -> None:
    original = det.DetPreProcess(736, "min", mean, std)
    engine = engine_with(original)
    normalise_by_table(engine)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image.reshape(-1)[:256] = np.arange(256)
    expected, found = original(image), prepared_by(engine, image)
    assert type(prepared_by(engine, image)) is np.ndarray
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_what_cannot_be_resized_is_told_as_upstream_tells_it() -> None:
    engine = engine_with(det.DetPreProcess(736, "max"))
    normalise_by_table(engine)
    assert prepared_by(engine, np.zeros((1, 3, 3), np.uint8)) is None


def test_other_than_bytes_is_left_to_upstream() -> None:
    original = det.DetPreProcess(736, "min")
    engine = engine_with(original)
    normalise_by_table(engine)
    image = np.random.default_rng(0).random((64, 96, 3), np.float32)
    assert np.array_equal(prepared_by(engine, image), original(image))


def test_a_release_that_prepares_in_another_way_is_left_as_it_is() -> None:
    original = SimpleNamespace(resize=lambda image: image)
    engine = engine_with(original)
    normalise_by_table(engine)
    assert engine._load_det_model().get_preprocess() is original
