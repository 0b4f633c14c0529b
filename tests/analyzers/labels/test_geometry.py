"""How a picture gets to a model's size: every rule, on pictures whose result can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgtool.analyzers.labels.preprocess import prepare, scaled_size
from imgtool.analyzers.labels.settings import Preprocessing


def settings(size: tuple[int, int] = (8, 8), **changes: Any) -> Preprocessing:
    return Preprocessing(
        **{"size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3, "layout": "NHWC", "crop_pct": 1.0} | changes
    )


def fitted(pixels: np.ndarray, **changes: Any) -> np.ndarray:
    """The red channel of what the model sees, in levels."""
    (found,) = prepare([pixels], settings(**changes), "float32")
    levels: np.ndarray = np.round(found[:, :, 0] * 255).astype(int)
    return levels


def columns(width: int, height: int = 4) -> np.ndarray:
    """An image whose level is the number of its column, times ten."""
    return np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None] * 10, (height, width, 3)).copy()


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"position": "centre"}, [20, 30, 40, 50]),
        ({"position": "corner"}, [0, 10, 20, 30]),
    ],
)
def test_a_cut_without_scaling(changes: Any, row: list[int]) -> None:
    assert fitted(columns(8), size=(4, 4), resize="none", **changes)[0].tolist() == row


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"position": "centre", "fill": (255.0,)}, [255, 0, 10, 20, 255, 255]),
        ({"position": "corner", "fill": (255.0, 0.0, 0.0)}, [0, 10, 20, 255, 255, 255]),
        ({"position": "corner", "fill": (9.0, 255.0, 255.0)}, [0, 10, 20, 9, 9, 9]),
        ({"position": "corner", "fill": (9.0, 255.0, 7.0), "channels": "BGR"}, [0, 10, 20, 7, 7, 7]),
    ],
)
def test_padding_without_scaling(changes: Any, row: list[int]) -> None:
    assert fitted(columns(3, 6), size=(6, 6), resize="none", **changes)[0].tolist() == row


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_padding_is_exactly_zero_when_normalised(dtype: str) -> None:
    """Half of 255 is no level."""
    half = settings((6, 6), mean=(0.5,) * 3, std=(0.5,) * 3, resize="pad", position="corner")
    (found,) = prepare([np.full((3, 6, 3), 255, np.uint8)], half, dtype)
    assert (found[3:] == 0).all()
    assert (found[:3] == 1).all()


def test_squash_keeps_a_share_of_both_sides() -> None:
    found = fitted(columns(20, 10), size=(4, 4), resize="squash", crop_pct=0.5, interpolation="nearest")
    assert found[0].tolist() == [60, 90, 110, 140] or found[0].tolist() == [60, 80, 110, 130]


def test_pad_with_a_share_scales_beyond_the_size_and_cuts() -> None:
    assert scaled_size((20, 10), settings((8, 8), resize="pad", crop_pct=0.8)) == (10, 5)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (341, 256)),
        ({"interpolation": "cv2-linear"}, (342, 256)),
        ({"size": (224, 192)}, (342, 256)),
    ],
)
def test_fractions_of_a_pixel(changes: Any, size: tuple[int, int]) -> None:
    assert scaled_size((641, 480), settings(**{"size": (224, 224), "crop_pct": 0.875} | changes)) == size


@pytest.mark.parametrize("name", ["nearest", "linear", "cubic", "area", "lanczos4"])
def test_resampling_as_opencv_does_it(name: str) -> None:
    import cv2

    pixels = np.random.default_rng(1).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    expected = cv2.resize(pixels, (8, 8), interpolation=getattr(cv2, f"INTER_{name.upper()}"))[:, :, 0]
    assert (fitted(pixels, resize="squash", interpolation=f"cv2-{name}") == expected).all()


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_resampling_as_pillow_does_it(name: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((8, 8), Image.Resampling[name.upper()]))[:, :, 0]
    assert (fitted(pixels, resize="squash", interpolation=name) == expected).all()


def test_the_offset_of_transformers() -> None:
    """Three columns too many: torchvision begins at the nearest even number, transformers before the half."""
    assert fitted(columns(7), size=(4, 4), resize="none")[0, 0] == 20
    assert fitted(columns(7), size=(4, 4), resize="none", floor_offset=True)[0, 0] == 10
