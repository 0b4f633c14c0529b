"""Transparent images: what is lost on one ground is read on another, and no ground is made up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgtool.analyzers.caption.measure import measure
from imgtool.analyzers.caption.sentence import compose
from imgtool.runtime.worker.batch_runner import joined
from imgtool.runtime.worker.pixels import DARK_GREY, WHITE, grounds, upright_rgb
from imgtool.types import Box, TextLine


def inks(*levels: int) -> Image.Image:
    image = Image.new("RGBA", (300, 100 * len(levels)), (0, 0, 0, 0))
    for number, level in enumerate(levels):
        image.paste((level, level, level, 255), (20, 100 * number + 30, 280, 100 * number + 60))
    return image


@pytest.mark.parametrize(
    ("levels", "first", "other"),
    [
        ((0,), WHITE, None),
        ((255,), DARK_GREY, None),
        ((255, 0), WHITE, DARK_GREY),
        ((255,) * 9 + (0,), DARK_GREY, WHITE),
    ],
)
def test_a_second_ground_where_something_is_lost_on_the_first(
    levels: tuple[int, ...], first: int, other: int | None
) -> None:
    found = grounds(inks(*levels))
    assert (found.first, found.other) == (first, other)
    assert found.clear == pytest.approx(1 - 260 * 30 / (300 * 100), abs=0.01)


def test_an_opaque_image_has_no_ground() -> None:
    for mode in ("RGB", "L", "I;16", "F"):
        assert grounds(Image.new(mode, (9, 9))) == (WHITE, None, 0.0)
    white_in_colour = Image.new("RGBA", (90, 90), (200, 0, 0, 255))
    white_in_colour.paste((255, 255, 255, 255), (20, 20, 60, 60))
    assert grounds(white_in_colour).other is None


def test_the_caption_says_that_there_is_no_ground() -> None:
    disc = inks(200)
    said = compose(measure(upright_rgb(disc), clear=grounds(disc).clear))
    assert "on a transparent background" in said and "white" not in said


def line(text: str, top: int, confidence: float = 0.9) -> TextLine:
    box: Box = ((0, top), (100, top), (100, top + 20), (0, top + 20))
    return TextLine(text, confidence, box)


def test_lines_of_both_grounds_come_once_from_top_to_bottom() -> None:
    first, other = (line("b", 50), line("c?", 100, 0.5)), (line("a", 0), line("b", 51, 0.8), line("c", 101))
    assert [each.text for each in joined(first, other)] == ["a", "b", "c"]
    assert joined(first, (line("b", 50, 0.1),)) is first
    assert np.array_equal(upright_rgb(inks(255), ground=WHITE), np.full((100, 300, 3), 255))
