"""Crops of lines: cut, straightened, turned and normalised pixel for pixel as EasyOCR does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imgtool.inference.easyocr.crops import cut_out, recogniser_input, straightened, stretched
from imgtool.inference.easyocr.rotate import rotate

pytestmark = pytest.mark.filterwarnings("ignore")


def levels(seed: int, height: int, width: int, spread: float = 60) -> NDArray[np.uint8]:
    """Smooth grey levels, of little contrast where ``spread`` is small."""
    import cv2

    rng = np.random.default_rng(seed)
    rough = rng.normal(130, spread * 3, (height, width)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(rough, (5, 5), 1.5), 0, 255).astype(np.uint8)


def boxes(height: int, width: int) -> st.SearchStrategy[list[int]]:
    lengths = st.tuples(
        st.integers(-4, width - 2), st.integers(1, width), st.integers(-4, height - 2), st.integers(1, 60)
    )
    return lengths.map(lambda n: [n[0], max(n[0], 0) + n[1], n[2], max(n[2], 0) + n[3]])


def quadrilaterals(height: int, width: int) -> st.SearchStrategy[list[list[float]]]:
    def made(numbers: tuple[float, ...]) -> list[list[float]]:
        x, y, long, wide, angle = numbers
        along, beside = long * np.exp(1j * angle), wide * 1j * np.exp(1j * angle)
        corners = [complex(x, y), x + 1j * y + along, x + 1j * y + along + beside, x + 1j * y + beside]
        return [[float(c.real), float(c.imag)] for c in corners]

    return st.tuples(
        st.floats(-5, width), st.floats(-5, height), st.floats(4, 90), st.floats(4, 40), st.floats(-3.1, 3.1)
    ).map(made)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.lists(boxes(90, 140), max_size=3), st.lists(quadrilaterals(90, 140), max_size=3))
def test_crops_are_upstream_s(seed: int, upright: list[list[int]], slanted: list[list[list[float]]]) -> None:
    utils = pytest.importorskip("easyocr.utils")
    page = levels(seed, 90, 140)
    expected, widest = utils.get_image_list(upright, slanted, page, model_height=64)
    crops, width = cut_out(page, upright, slanted, 64)
    assert width == widest
    assert [crop.corners for crop in crops] == [corners for corners, _ in expected]
    for crop, (_, other) in zip(crops, expected, strict=True):
        assert np.array_equal(crop.levels, other)


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 400)),
    st.sampled_from([3, 20, 60]),
    st.sampled_from([64, 128, 320]),
    st.sampled_from([0.0, 0.5, 0.9]),
)
def test_what_the_recogniser_sees(size: tuple[int, int], spread: int, width: int, contrast: float) -> None:
    recognition = pytest.importorskip("easyocr.recognition")
    from PIL import Image

    crop = levels(sum(size), *size, spread=spread)
    collate = recognition.AlignCollate(imgH=64, imgW=width, keep_ratio_with_pad=True, adjust_contrast=contrast)
    expected = collate([Image.fromarray(crop)])[0].numpy()
    assert np.array_equal(recogniser_input(crop, 64, width, contrast), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0, 2, 60]), st.floats(0, 1))
def test_contrast(seed: int, spread: float, target: float) -> None:
    recognition = pytest.importorskip("easyocr.recognition")
    crop = levels(seed, 20, 30, spread)
    assert np.array_equal(stretched(crop, target), recognition.adjust_contrast_grey(crop, target))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 99),
    st.tuples(st.integers(2, 80), st.integers(2, 80)),
    # Rounded: a hair beside a quarter turn, rounding decides which points of a whole edge are inside.
    st.one_of(st.sampled_from([0, 90, 180, 270, 360, -90, 450]), st.integers(-400, 400), st.floats(-180, 180)).map(
        lambda angle: round(angle, 3)
    ),
)
def test_turned_as_scipy_turns(seed: int, size: tuple[int, int], angle: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    crop = levels(seed, *size)
    expected = ndimage.rotate(crop, angle, reshape=True)
    found = rotate(crop, angle)
    assert found.shape == expected.shape
    differing = np.abs(found.astype(int) - expected)
    # A point on the very edge may fall inside or outside; elsewhere a level may be rounded the other way.
    # Of a picture of a few dozen points that is a large share, so some are allowed in any.
    assert (differing > 0).sum() <= max(4, 0.02 * differing.size)
    assert (differing > 1).sum() <= max(4, 0.01 * differing.size)


@pytest.mark.parametrize(("angle", "quarters"), [(90, 1), (180, 2), (270, 3), (-90, 3), (360, 0)])
def test_quarter_turns_are_exact(angle: int, quarters: int) -> None:
    crop = levels(4, 64, 101)
    assert np.array_equal(rotate(crop, angle), np.rot90(crop, quarters))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(20, 60), st.integers(12, 30))
@settings(deadline=None)
def test_an_upright_quadrilateral_is_a_plain_cut(x: int, y: int, width: int, height: int) -> None:
    page = levels(3, 90, 140)
    right, bottom = x + width - 1, y + height - 1
    assume(right < 140 and bottom < 90)
    corners: Any = np.array([[x, y], [right, y], [right, bottom], [x, bottom]], np.float32)
    found = straightened(page, corners).astype(int)
    # Lengths are distances between corners, so the cut is one point shorter than what the corners enclose.
    assert found.shape == (height - 1, width - 1)
    assert abs(found[0, 0] - int(page[y, x])) <= 1
    assert abs(found[-1, -1] - int(page[bottom, right])) <= 1


@given(st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_a_crop_is_padded_with_its_last_column(height: int, width: int) -> None:
    page = levels(1, height, width)
    (crop,), wide = cut_out(page, [[0, width, 0, height]], [], 64)
    assert min(crop.levels.shape) == 64
    seen = recogniser_input(crop.levels, 64, wide)
    assert seen.shape == (1, 64, wide)
    assert -1 <= seen.min() <= seen.max() <= 1
    used = min(int(np.ceil(64 * crop.levels.shape[1] / crop.levels.shape[0])), wide)
    assert (seen[0, :, used - 1 :] == seen[0, :, used - 1 : used]).all()
