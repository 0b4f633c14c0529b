"""Thumbnails: their geometry, and JPEGs that decode to what was put in."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.analyzers.registry import load_class
from imgtool.analyzers.thumbnail import Thumbnail, fitted
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions


def picture(pixels: NDArray[np.uint8]) -> Picture:
    return Picture(np.ascontiguousarray(pixels), pixels.shape[1], pixels.shape[0], "PNG")


def thumbnail(pixels: NDArray[np.uint8], **changed: int) -> tuple[Image.Image, bytes]:
    analyzer = Thumbnail(Thumbnail.parameters(EngineOptions()) | changed)
    analyzer.load()
    (data,) = analyzer.run([picture(pixels)])
    image = Image.open(BytesIO(data))
    image.load()
    return image, data


@given(width=st.integers(1, 200_000), height=st.integers(1, 200_000), side=st.integers(1, 2000))
def test_fitted_keeps_the_ratio_and_never_enlarges(width: int, height: int, side: int) -> None:
    small_width, small_height = fitted(width, height, side)
    assert 1 <= small_width <= min(width, side)
    assert 1 <= small_height <= min(height, side)
    if max(width, height) >= side:
        assert max(small_width, small_height) == side
    scale = min(1, side / max(width, height))
    assert abs(small_width - max(1, width * scale)) <= 0.5 + 1e-6
    assert abs(small_height - max(1, height * scale)) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3000, 4000), (320, 240)),
        ((4000, 3000), (240, 320)),
        ((100, 200), (200, 100)),
        ((1, 1), (1, 1)),
        ((2, 9000), (320, 1)),
        ((9000, 2), (1, 320)),
        ((321, 321), (320, 320)),
    ],
)
def test_size_of_the_jpeg(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image, _ = thumbnail(np.full((*shape, 3), 90, np.uint8))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)


def test_colours_and_places_survive() -> None:
    pixels = np.zeros((1200, 1600, 3), np.uint8)
    pixels[:, :800] = (200, 40, 40)
    pixels[:, 800:] = (30, 60, 190)
    image, _ = thumbnail(pixels)
    for where, expected in (((40, 120), (200, 40, 40)), ((280, 120), (30, 60, 190))):
        assert np.abs(np.subtract(image.getpixel(where), expected)).max() <= 6


def test_fine_stripes_are_averaged_not_picked() -> None:
    pixels = np.zeros((1280, 1280, 3), np.uint8)
    pixels[:, ::2] = 255
    image, _ = thumbnail(pixels)
    values = np.asarray(image, dtype=int)
    assert abs(values.mean() - 127.5) < 3
    assert values.std() < 6


def test_parameters_decide_side_and_quality() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    image, usual = thumbnail(pixels)
    smaller, _ = thumbnail(pixels, side=50)
    _, coarse = thumbnail(pixels, quality=20)
    assert (image.size, smaller.size) == ((320, 320), (50, 50))
    assert len(coarse) < len(usual) / 2


def test_a_batch_gives_what_each_gives_alone() -> None:
    rng = np.random.default_rng(5)
    pictures = [picture(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((700, 500), (30, 900), (1, 1))]
    analyzer = Thumbnail(Thumbnail.parameters(EngineOptions()))
    analyzer.load()
    assert analyzer.run(pictures) == [analyzer.run([one])[0] for one in pictures]
    assert analyzer.run([]) == []


def test_registered_and_available() -> None:
    assert load_class("thumbnail") is Thumbnail
    assert Thumbnail.spec.task == THUMBNAIL
    assert Thumbnail.probe(EngineOptions()).available
