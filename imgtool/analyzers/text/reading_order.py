"""The order in which a person reads lines, from their boxes alone.

Columns are found by the recursive XY-cut of Nagy and Seth ("Hierarchical representation of optically scanned
documents", ICPR 1984), here on the boxes of lines instead of on pixels: a region is cut where two columns of running
text stand beside each other, also where headings run across both; what is left is read row by row.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from imgtool.types import Box, TextLine

_LEAST_LINES, _LEAST_WIDTH, _LEAST_FILLED = 3, 6.0, 0.6
"""A column has so many lines; its middle one is so many times as wide as high, and has this share of the widest's
width. The columns of tables and receipts are narrower or more ragged: these are read row by row."""

_LEAST_BESIDE = 0.5
"""Share of the lines of the shorter column that have a line of the other beside them. Messages of a chat have none."""

_LEAST_SHARED = 0.1
"""Share of its height that a line of one column has in common with one of the other: the lines of two columns need not
stand on the same level, but messages of a chat stand below each other."""

_MOST_ACROSS = 0.34
"""Largest share of lines that run across both columns."""

_LARGEST_SLANT = 0.35
"""In radians; beyond, a line was not written along the others."""


def in_reading_order(lines: Sequence[TextLine]) -> tuple[TextLine, ...]:
    """The same lines, ordered: columns from left to right, rows from top to bottom, as the page is turned.

    The first two corners of a box say where its line runs. A page whose lines run down is read from right to left, be
    it vertical Japanese or a page that was turned clockwise; one whose lines run up, from left to right. Scripts that
    are written from right to left have their columns and rows ordered so.
    """
    if len(lines) < 2:
        return tuple(lines)
    weights = [0.0] * 4
    for line in lines:
        weights[_quarter(line.box)] += len(line.text) or 0.5
    turn = weights.index(max(weights))
    slants = [slant for line in lines if (slant := _slant(line.box, turn)) is not None]
    angle = turn * math.pi / 2 + (median(slants) if slants else 0.0)
    text = "".join(line.text for line in lines)
    leftward = sum(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    rightward = sum(unicodedata.bidirectional(character) == "L" for character in text)
    placed = [_place(number, line.box, angle, -1 if leftward > rightward else 1) for number, line in enumerate(lines)]
    return tuple(lines[place.number] for place in _ordered(placed))


@dataclass(frozen=True)
class _Placed:
    """A line on the page that was turned upright."""

    number: int
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def is_beside(self, other: _Placed, least: float = 0.5) -> bool:
        """Whether they share at least half the height of the lower one, or another part of it."""
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        return shared >= least * min(self.height, other.height)

    def is_alone(self, lines: Sequence[_Placed]) -> bool:
        """Whether none of ``lines`` is beside it, nor nearer above or below than its height."""
        top, bottom = self.top - self.height, self.bottom + self.height
        return not any(top < other.bottom and other.top < bottom for other in lines if other is not self)


def _quarter(box: Box) -> int:
    """Where a line runs: 0 to the right, 1 down, 2 to the left, 3 up."""
    (x, y), (x2, y2) = box[:2]
    return round(math.atan2(y2 - y, x2 - x) / (math.pi / 2)) % 4


def _slant(box: Box, turn: int) -> float | None:
    """How far a line deviates from the direction ``turn``, in radians; ``None`` if it is short or runs elsewhere."""
    (x, y), (x2, y2), (x3, y3) = box[:3]
    if math.hypot(x2 - x, y2 - y) < 4 * max(1.0, math.hypot(x3 - x2, y3 - y2)):
        return None
    slant = math.remainder(math.atan2(y2 - y, x2 - x) - turn * math.pi / 2, math.tau)
    return slant if abs(slant) < _LARGEST_SLANT else None


def _place(number: int, box: Box, angle: float, forward: int) -> _Placed:
    cosine, sine = math.cos(angle), math.sin(angle)
    xs = sorted(forward * (x * cosine + y * sine) for x, y in box)
    ys = sorted(y * cosine - x * sine for x, y in box)
    # Means of two corners, so that a slanting box does not seem larger.
    return _Placed(number, (xs[0] + xs[1]) / 2, (ys[0] + ys[1]) / 2, (xs[2] + xs[3]) / 2, (ys[2] + ys[3]) / 2)


def _ordered(lines: Sequence[_Placed]) -> list[_Placed]:
    cut = _column_edge(lines)
    if cut is None:
        return _by_rows(lines)
    found: list[_Placed] = []
    # What stands alone between blank rows, as a heading or the number of the page does, belongs to no column either.
    across = [line for line in lines if line.left < cut < line.right or line.is_alone(lines)]
    rest = [line for line in lines if line not in across]
    across.sort(key=lambda line: line.top + line.bottom)
    for heading in (*across, None):
        middle = math.inf if heading is None else (heading.top + heading.bottom) / 2
        band = [line for line in rest if (line.top + line.bottom) / 2 < middle]
        rest = [line for line in rest if (line.top + line.bottom) / 2 >= middle]
        sides = [line for line in band if line.right <= cut], [line for line in band if line.left >= cut]
        if min(map(len, sides)) > 1:
            for side in sides:
                found += _ordered(side)
        else:
            found += _by_rows(band)
        if heading is not None:
            found.append(heading)
    return found


def _column_edge(lines: Sequence[_Placed]) -> float | None:
    """The x between two columns of running text, with the fewest lines across it, or ``None``."""
    best: tuple[int, float] | None = None
    for edge in {line.left for line in lines}:
        left = [line for line in lines if line.right <= edge]
        right = [line for line in lines if line.left >= edge]
        across = len(lines) - len(left) - len(right)
        if across > _MOST_ACROSS * len(lines) or (best is not None and across >= best[0]):
            continue
        if not (_is_column(left) and _is_column(right)):
            continue
        fewer, more = sorted((left, right), key=len)
        beside = sum(any(line.is_beside(other, _LEAST_SHARED) for other in more) for line in fewer)
        if beside >= _LEAST_BESIDE * len(fewer):
            best = across, edge
    return None if best is None else best[1]


def _is_column(lines: Sequence[_Placed]) -> bool:
    if len(lines) < _LEAST_LINES:
        return False
    width = median(line.width for line in lines)
    # Of the widest line, not of the whole: what is right of the edge may be several columns.
    filled = width >= _LEAST_FILLED * max(line.width for line in lines)
    return filled and width >= _LEAST_WIDTH * median(line.height for line in lines)


def _by_rows(lines: Sequence[_Placed]) -> list[_Placed]:
    rows: list[list[_Placed]] = []
    for line in sorted(lines, key=lambda line: line.top + line.bottom):
        if rows and line.is_beside(rows[-1][0]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.left)]
