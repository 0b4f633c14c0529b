"""Joins words to lines by EasyOCR's rules (``group_text_box``): level words to upright boxes; others stay alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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


class _Word(NamedTuple):
    left: int
    right: int
    top: int
    bottom: int

    @property
    def centre(self) -> float:
        return 0.5 * (self.top + self.bottom)

    @property
    def height(self) -> int:
        return self.bottom - self.top


def group_words(polygons: Iterable[Sequence[int]], grouping: Grouping) -> tuple[list[Upright], list[Slanted]]:
    """The lines made of ``polygons`` (x, y of four corners, flat): upright ones from top to bottom, slanted ones."""
    words: list[_Word] = []
    slanted: list[Slanted] = []
    for polygon in polygons:
        corners = x1, y1, x2, y2, x3, y3, x4, y4 = [int(number) for number in polygon]
        upper, lower = (y2 - y1) / max(_SMALLEST_RUN, x2 - x1), (y3 - y4) / max(_SMALLEST_RUN, x3 - x4)
        if max(abs(upper), abs(lower)) < grouping.slope_ths:
            xs, ys = corners[0::2], corners[1::2]
            words.append(_Word(min(xs), max(xs), min(ys), max(ys)))
        else:
            slanted.append(_widened(corners, grouping.add_margin))
    upright = [_line(run, grouping.add_margin) for row in _rows(words, grouping) for run in _runs(row, grouping)]
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


def _rows(words: Iterable[_Word], grouping: Grouping) -> list[list[_Word]]:
    """``words`` from top to bottom; a new row begins if a word's centre is too far from the mean of the row."""
    rows: list[list[_Word]] = []
    for word in sorted(words, key=lambda word: word.centre):
        if rows:
            centre = sum(one.centre for one in rows[-1]) / len(rows[-1])
            if abs(centre - word.centre) < grouping.ycenter_ths * _mean_height(rows[-1]):
                rows[-1].append(word)
                continue
        rows.append([word])
    return rows


def _runs(row: Iterable[_Word], grouping: Grouping) -> list[list[_Word]]:
    """``row`` from left to right; a new run begins if a word has another height or is too far from the one before."""
    runs: list[list[_Word]] = []
    for word in sorted(row, key=lambda word: word.left):
        if runs:
            height = _mean_height(runs[-1])
            near = word.left - runs[-1][-1].right < grouping.width_ths * word.height
            if near and abs(height - word.height) < grouping.height_ths * height:
                runs[-1].append(word)
                continue
        runs.append([word])
    return runs


def _mean_height(words: Sequence[_Word]) -> float:
    return sum(word.height for word in words) / len(words)


def _line(words: Sequence[_Word], add_margin: float) -> Upright:
    left, right = min(word.left for word in words), max(word.right for word in words)
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    margin = int(add_margin * min(right - left, bottom - top))
    return [left - margin, right + margin, top - margin, bottom + margin]
