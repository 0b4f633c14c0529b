"""The places of recognised text on the page: spans of a line, placed by its box, with the slant of the page removed."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from imgtool.types import Box, TextLine

_DASHES = "‐‑‒–—―−﹘﹣－"
_DOTS = "·•․‧∙⋅。．"
_REPLACED = {**dict.fromkeys(_DASHES, "-"), **dict.fromkeys(_DOTS, "."), "，": ",", "、": ",", "：": ":"}


def fold(text: str) -> str:
    """``text`` with digits, dashes, dots and spaces of all scripts as ASCII. Every character keeps its position."""
    return text if text.isascii() else "".join(_fold_character(character) for character in text)


def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    if character in _REPLACED:
        return _REPLACED[character]
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isspace():
        return " "
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


@dataclass(frozen=True)
class Span:
    """Characters ``start`` to ``end`` of a line and their rectangle on the straightened page, in pixels."""

    line: int
    start: int
    end: int
    left: float
    right: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        """Height of the letters; at least one pixel."""
        return max(1.0, self.bottom - self.top)

    @property
    def middle(self) -> float:
        """The y of its middle."""
        return (self.top + self.bottom) / 2

    @property
    def centre(self) -> float:
        """The x of its centre."""
        return (self.left + self.right) / 2


class Layout:
    """The lines of one image. ``texts`` are the lines as :func:`fold` gives them."""

    def __init__(self, lines: Sequence[TextLine]) -> None:
        self.lines = lines
        self.texts = [fold(line.text) for line in lines]
        self._boxes = [_finite(line.box) for line in lines]
        self._widths = [list(accumulate(map(_cells, line.text), initial=0.0)) for line in lines]
        slant = median(slopes) if (slopes := [s for box in self._boxes if (s := _slope(box)) is not None]) else 0.0
        self._cosine, self._sine = math.cos(-slant), math.sin(-slant)
        self.whole = [self.span(line, 0, len(text)) for line, text in enumerate(self.texts)]

    def box(self, line: int, start: int, end: int) -> Box:
        """The corners of some characters of a line in pixels of the image, estimated from the box of the line."""
        top_left, top_right, bottom_right, bottom_left = self._boxes[line]
        widths = self._widths[line]
        a, b = (widths[place] / max(widths[-1], 1.0) for place in (start, end))
        return (
            _between(top_left, top_right, a),
            _between(top_left, top_right, b),
            _between(bottom_left, bottom_right, b),
            _between(bottom_left, bottom_right, a),
        )

    def span(self, line: int, start: int, end: int) -> Span:
        """Some characters of a line and their place on the straightened page."""
        corners = self.box(line, start, end)
        xs = [x * self._cosine - y * self._sine for x, y in corners]
        ys = [x * self._sine + y * self._cosine for x, y in corners]
        # The mean of two corners on each side, so that a slanting box does not seem taller.
        left, right = (xs[0] + xs[3]) / 2, (xs[1] + xs[2]) / 2
        top, bottom = (ys[0] + ys[1]) / 2, (ys[2] + ys[3]) / 2
        return Span(line, start, end, min(left, right), max(left, right), min(top, bottom), max(top, bottom))


def _cells(character: str) -> float:
    """The width of a character relative to a digit's."""
    if unicodedata.east_asian_width(character) in "WF":
        return 1.8
    return 0.5 if character in " .,:;'|!il-" else 1.0


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def _finite(box: Box) -> Box:
    """``box`` with coordinates that are finite and not too large to compute with."""
    first, second, third, fourth = ((_number(x), _number(y)) for x, y in box)
    return first, second, third, fourth


def _number(value: float) -> float:
    return min(1e7, max(-1e7, value)) if math.isfinite(value) else 0.0


def _slope(box: Box) -> float | None:
    """The angle of a line of text in radians; ``None`` for a short line, whose angle is inexact, or a steep one."""
    (x, y), (x2, y2), _, (_, y4) = box
    if x2 - x < 4 * max(1.0, y4 - y):
        return None
    angle = math.atan2(y2 - y, x2 - x)
    return angle if abs(angle) < 0.2 else None
