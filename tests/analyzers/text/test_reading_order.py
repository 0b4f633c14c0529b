"""The order of lines: columns, rows, and pages that run in another direction. Boxes are drawn, nothing is read."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.analyzers.text.reading_order import in_reading_order
from imgtool.types import Box, TextLine


def line(text: str, left: float, top: float, width: float, height: float = 20) -> TextLine:
    right, bottom = left + width, top + height
    return TextLine(text, 0.9, ((left, top), (right, top), (right, bottom), (left, bottom)))


def column(name: str, left: float, top: float, count: int, width: float = 300) -> list[TextLine]:
    return [line(f"{name}{n}", left, top + 30 * n, width - 23 * (n % 4)) for n in range(count)]


def turned(lines: list[TextLine], degrees: float) -> list[TextLine]:
    """Clockwise as seen, the image's y pointing down, about the origin."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def box(corners: Box) -> Box:
        a, b, c, d = ((x * cosine - y * sine, x * sine + y * cosine) for x, y in corners)
        return a, b, c, d

    return [TextLine(each.text, each.confidence, box(each.box)) for each in lines]


NEWSPAPER = [
    line("title", 0, 0, 1000, 40),
    *column("a", 0, 60, 5),
    *column("b", 340, 60, 5),
    *column("c", 680, 60, 5),
    line("second title", 0, 240, 1000, 40),
    *column("d", 0, 300, 4),
    *column("e", 340, 310, 4),
    *column("f", 680, 300, 4),
    line("page 3", 480, 460, 60),
]
RECEIPT = [
    part
    for n in range(6)
    for part in (line(f"item{n}", 0, 40 * n, 150 + 60 * (n % 3)), line(f"price{n}", 500, 40 * n + 3, 70))
]
CHAT = [line(f"m{n}", 0 if n % 2 else 500, 45 * n, 280) for n in range(10)]
UNLEVEL = [line("heading", 0, 0, 640, 40), *column("a", 0, 60, 7), *column("b", 340, 75, 7)]
"""The lines of the second column stand half a line lower."""
FORM = [
    part
    for n in range(5)
    for part in (line(f"label{n}", 0, 40 * n, 80 + 70 * (n % 2)), line(f"v{n}", 300, 40 * n, 260))
]


@pytest.mark.parametrize("degrees", [0, 3, -4, 90, 180, 270, 93])
@pytest.mark.parametrize(
    "page", [NEWSPAPER, RECEIPT, CHAT, UNLEVEL, FORM], ids=["newspaper", "receipt", "chat", "unlevel", "form"]
)
def test_a_page_is_read_in_its_order_however_it_is_turned(page: list[TextLine], degrees: float) -> None:
    lines = turned(page, degrees)
    shuffled = random.Random(1).sample(lines, len(lines))
    assert [each.text for each in in_reading_order(shuffled)] == [each.text for each in page]


def test_vertical_japanese_is_read_from_right_to_left_tier_by_tier() -> None:
    tiers = [[f"{tier}の{n}列目の文" for n in range(5)] for tier in ("上段", "下段")]
    lines = []
    for tier, texts in enumerate(tiers):
        for n, text in enumerate(texts):
            right, top, length = 900 - 50 * n, 40 + 420 * tier, 380
            box = (right, top), (right, top + length), (right - 30, top + length), (right - 30, top)
            lines.append(TextLine(text, 0.9, box))
    assert [each.text for each in in_reading_order(lines[::-1])] == [text for texts in tiers for text in texts]


def test_arabic_columns_and_rows_begin_at_the_right() -> None:
    words = ["مرحبا", "بالعالم", "شكرا"]
    lines = [line(word, 400 - 150 * n, 0, 100) for n, word in enumerate(words)]
    assert [each.text for each in in_reading_order(lines[::-1])] == words


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 8), max_size=12))
def test_no_line_is_lost_or_made(corners: list[tuple[float, ...]]) -> None:
    boxes = [((a, b), (c, d), (e, f), (g, h)) for a, b, c, d, e, f, g, h in corners]
    lines = [TextLine(str(number), 0.5, box) for number, box in enumerate(boxes)]
    assert sorted(in_reading_order(lines), key=lambda each: int(each.text)) == lines
