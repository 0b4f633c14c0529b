"""RapidOCR on pages that it reads badly by itself, beside RapidOCR alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rapidocr import RapidOCR

from imgtool.inference.rapidocr_pages import PageReader

LINES = [f"Message {number} of the day" for number in range(10, 60)]


@pytest.fixture(scope="module")
def bare() -> Any:
    return RapidOCR()


@pytest.fixture(scope="module")
def reader() -> PageReader:
    return PageReader(RapidOCR())


def page(lines: list[str], *, spacing: int = 80) -> NDArray[np.uint8]:
    """(H, 640, 3) uint8: one line of text below the other."""
    image = np.full((spacing * (len(lines) + 1), 640, 3), 255, np.uint8)
    for number, line in enumerate(lines, 1):
        cv2.putText(image, line, (40, spacing * number), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (0, 0, 0), 2, cv2.LINE_AA)
    return image


def test_a_long_page_is_read_in_slices_and_no_line_twice(reader: PageReader) -> None:
    found = reader(page(LINES))
    assert [text.replace(" ", "") for text in found.txts] == [line.replace(" ", "") for line in LINES]


def test_an_ordinary_page_is_what_the_engine_gives(reader: PageReader, bare: Any) -> None:
    image = page(LINES[:5])
    ours, theirs = reader(image), bare(image)
    assert ours.txts == theirs.txts
    assert ours.scores == theirs.scores
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)


def test_an_image_without_text_has_none(reader: PageReader) -> None:
    assert not reader(np.full((300, 200, 3), 255, np.uint8)).txts
