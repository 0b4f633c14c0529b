"""Words joined to lines and lines to paragraphs: as EasyOCR joins them, number for number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.inference.easyocr.lines import Grouping, group_words
from imgtool.inference.easyocr.paragraphs import join_paragraphs

pytestmark = pytest.mark.filterwarnings("ignore")


@st.composite
def words(draw: Any) -> list[list[int]]:
    """Quadrilaterals as the detector gives them: on some common base lines, some of them aslant."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        left, top = draw(st.integers(-3, 300)), draw(st.sampled_from([10, 12, 40, 44, 90])) + draw(st.integers(-3, 3))
        width, height = draw(st.integers(1, 90)), draw(st.integers(1, 34))
        lean = draw(st.sampled_from([0, 0, 0, 1, -2, 9, -14, 60]))
        x, y = left + width, top + height
        found.append([left, top, x, top + lean, x - draw(st.integers(0, 4)), y + lean, left, y])
    return found


def parameters() -> st.SearchStrategy[Grouping]:
    share = st.floats(0, 1.5)
    return st.builds(
        Grouping, share, share, share, share, st.floats(0, 0.5), min_size=st.sampled_from([0, 5, 20, 20.5])
    )


def upstream_lines(polygons: list[list[int]], wanted: Grouping) -> tuple[list[Any], list[Any]]:
    """What ``Reader.detect`` makes of the polygons."""
    utils = pytest.importorskip("easyocr.utils")
    level, free = utils.group_text_box(
        [np.array(polygon, np.int32) for polygon in polygons],
        wanted.slope_ths,
        wanted.ycenter_ths,
        wanted.height_ths,
        wanted.width_ths,
        wanted.add_margin,
    )
    if wanted.min_size:
        level = [box for box in level if max(box[1] - box[0], box[3] - box[2]) > wanted.min_size]
        free = [
            box
            for box in free
            if max(utils.diff([x for x, _ in box]), utils.diff([y for _, y in box])) > wanted.min_size
        ]
    return level, free


@settings(max_examples=200, deadline=None)
@given(words(), st.one_of(st.just(Grouping()), parameters()))
def test_lines_are_upstream_s(polygons: list[list[int]], wanted: Grouping) -> None:
    level, free = upstream_lines(polygons, wanted)
    upright, slanted = group_words([np.array(polygon, np.int32) for polygon in polygons], wanted)
    assert upright == [[int(number) for number in box] for box in level]
    assert slanted == [[[float(x), float(y)] for x, y in box] for box in free]


@st.composite
def read_lines(draw: Any) -> list[tuple[list[list[float]], str]]:
    found = []
    for number in range(draw(st.integers(0, 9))):
        left, top = draw(st.sampled_from([5, 20, 150])), draw(st.integers(0, 120))
        width, height = draw(st.integers(4, 90)), draw(st.integers(3, 25))
        slant = draw(st.sampled_from([0, 0, 2.75]))
        corners = [[left, top], [left + width, top + slant], [left + width, top + height + slant], [left, top + height]]
        found.append((corners, f"line{number}"))
    return found


@settings(max_examples=200, deadline=None)
@given(read_lines(), st.sampled_from([1.0, 0.2, 3.0]), st.sampled_from([0.5, 0.1, 2.0]), st.booleans())
def test_paragraphs_are_upstream_s(lines: list[Any], x_ths: float, y_ths: float, right_to_left: bool) -> None:
    utils = pytest.importorskip("easyocr.utils")
    mode = "rtl" if right_to_left else "ltr"
    expected = utils.get_paragraph([(*line, 0.5) for line in lines], x_ths=x_ths, y_ths=y_ths, mode=mode)
    found = join_paragraphs(lines, x_ths, y_ths, right_to_left)
    assert [[corners, text] for corners, text in found] == expected


class TestWithoutUpstream:
    def test_words_beside_each_other_are_one_line(self) -> None:
        row = [[10, 10, 50, 10, 50, 30, 10, 30], [56, 11, 100, 11, 100, 31, 56, 31]]
        assert group_words(row, Grouping()) == ([[8, 102, 8, 33]], [])

    def test_words_far_apart_or_of_other_heights_are_not(self) -> None:
        far = [[10, 10, 50, 10, 50, 30, 10, 30], [80, 10, 120, 10, 120, 30, 80, 30]]
        assert len(group_words(far, Grouping())[0]) == 2
        tall = [[10, 10, 50, 10, 50, 30, 10, 30], [52, 0, 100, 0, 100, 50, 52, 50]]
        assert len(group_words(tall, Grouping())[0]) == 2

    def test_a_slanted_word_stays_by_itself(self) -> None:
        upright, (corners,) = group_words([[10, 10, 60, 40, 50, 60, 0, 30]], Grouping())
        assert upright == []
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        assert (min(xs), min(ys)) < (0, 10)
        assert (max(xs), max(ys)) > (60, 60)

    @given(words())
    def test_no_word_is_lost(self, polygons: list[list[int]]) -> None:
        upright, slanted = group_words(polygons, Grouping(min_size=0, add_margin=0))
        assert len(upright) + len(slanted) <= len(polygons)
        for polygon in polygons:
            xs, ys = polygon[0::2], polygon[1::2]
            held = any(
                box[0] <= min(xs) and max(xs) <= box[1] and box[2] <= min(ys) and max(ys) <= box[3] for box in upright
            )
            assert held or [list(map(float, xy)) for xy in zip(xs, ys, strict=True)] in slanted
