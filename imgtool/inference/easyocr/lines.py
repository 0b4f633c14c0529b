"""Joins words to lines by EasyOCR's rules (``group_text_box``): level words to upright boxes; others stay alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Upright = list[int]
"""left, right, top, bottom in pixels; margins can reach beyond the picture."""
Slanted = list[list[float]]
"""Four corners [x, y] in pixels, from the top left clockwise."""

_SMALLEST_RUN = 10
"""Pixels: the smallest run in the computation of a slope."""
_DIAGONAL = 1.44


@dataclass(frozen=True)
class Grouping:
    """EasyOCR's parameters of grouping, under its names and with its defaults; shares of a height if not stated."""

    slope_ths: float = 0.1
    """Rise over run up to which a word counts as level."""
    ycenter_ths: float = 0.5
    height_ths: float = 0.5
    width_ths: float = 0.5
    add_margin: float = 0.1
    min_size: float = 20
    """Pixels that the longer side of a line must exceed."""


class Extent(NamedTuple):
    """An upright rectangle in pixels."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def centre(self) -> float:
        """Of its height."""
        return 0.5 * (self.top + self.bottom)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.bottom - self.top


def mean_height(parts: Sequence[Extent]) -> float:
    """The mean of the heights of ``parts``."""
    return sum(part.height for part in parts) / len(parts)


def around(parts: Sequence[Extent]) -> Extent:
    """The smallest rectangle around all ``parts``."""
    lefts, rights, tops, bottoms = zip(*parts, strict=True)
    return Extent(min(lefts), max(rights), min(tops), max(bottoms))


def group_words(polygons: Iterable[Sequence[int]], grouping: Grouping) -> tuple[list[Upright], list[Slanted]]:
    """The lines made of ``polygons`` (x, y of four corners, flat): upright ones from top to bottom, slanted ones."""
    words: list[Extent] = []
    slanted: list[Slanted] = []
    for polygon in polygons:
        corners = x1, y1, x2, y2, x3, y3, x4, y4 = [int(number) for number in polygon]
        upper, lower = (y2 - y1) / max(_SMALLEST_RUN, x2 - x1), (y3 - y4) / max(_SMALLEST_RUN, x3 - x4)
        if max(abs(upper), abs(lower)) < grouping.slope_ths:
            xs, ys = corners[0::2], corners[1::2]
            words.append(Extent(min(xs), max(xs), min(ys), max(ys)))
        else:
            slanted.append(_widened(corners, grouping.add_margin))

    def is_level(row: Sequence[Extent], word: Extent) -> bool:
        centre = sum(one.centre for one in row) / len(row)
        return abs(centre - word.centre) < grouping.ycenter_ths * mean_height(row)

    def continues(run: Sequence[Extent], word: Extent) -> bool:
        height = mean_height(run)
        near = word.left - run[-1].right < grouping.width_ths * word.height
        return near and abs(height - word.height) < grouping.height_ths * height

    rows = _grouped(words, lambda word: word.centre, is_level)
    runs = [run for row in rows for run in _grouped(row, lambda word: word.left, continues)]
    upright = [_line(run, grouping.add_margin) for run in runs]
    if min_size := grouping.min_size:
        upright = [line for line in upright if max(line[1] - line[0], line[3] - line[2]) > min_size]
        slanted = [
            line for line in slanted if max(max(axis) - min(axis) for axis in zip(*line, strict=True)) > min_size
        ]
    return upright, slanted


def _widened(corners: Sequence[int], add_margin: float) -> Slanted:
    """``corners`` moved outwards along the diagonals."""
    x1, y1, x2, y2, x3, y3, x4, y4 = corners
    height = math.sqrt((x4 - x1) ** 2 + (y4 - y1) ** 2)
    width = math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
    margin = int(_DIAGONAL * add_margin * min(width, height))
    falling = _diagonal((y1 - y3) / max(_SMALLEST_RUN, x1 - x3), margin)
    rising = _diagonal((y2 - y4) / max(_SMALLEST_RUN, x2 - x4), margin)
    return [
        [x1 - falling[0], y1 - falling[1]],
        [x2 + rising[0], y2 - rising[1]],
        [x3 + falling[0], y3 + falling[1]],
        [x4 - rising[0], y4 + rising[1]],
    ]


def _diagonal(slope: float, length: int) -> tuple[float, float]:
    # numpy's functions, as upstream: the C library's can differ in the last bit.
    angle = abs(np.arctan(slope))
    return float(np.cos(angle) * length), float(np.sin(angle) * length)


def _grouped(
    words: Iterable[Extent], order: Callable[[Extent], float], joins: Callable[[Sequence[Extent], Extent], bool]
) -> list[list[Extent]]:
    """``words`` in ``order``; a new group begins with each that does not join the group before it."""
    groups: list[list[Extent]] = []
    for word in sorted(words, key=order):
        if groups and joins(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _line(words: Sequence[Extent], add_margin: float) -> Upright:
    left, right, top, bottom = around(words)
    margin = int(add_margin * min(right - left, bottom - top))
    return [left - margin, right + margin, top - margin, bottom + margin]
