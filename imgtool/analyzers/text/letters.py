"""Where an image seems to have letters, by their shapes alone: rows of blobs of one height on one base line.

It takes a twentieth of the time that an engine takes. Foliage, gravel and brickwork make short rows by chance, seldom
longer ones. What it does not see: letters that touch each other, and those that hardly differ from their ground.
Imported by the worker only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from imgtool.types import Box

_PIXELS = 1_500_000
"""Larger images are looked at shrunk to so many."""

_WINDOW, _DARKER = 31, 16
"""A pixel is ink where it differs from the mean of a window of so many pixels by so many levels, up or down."""

_LOWEST, _HIGHEST = 7, 100
"""Height of a letter in pixels; larger ones are found in a copy of a quarter of the size."""

_MOST_LETTERS = 5000
"""Blobs that are looked at, from the top down: a texture may have very many."""

_LEAST_LETTERS, _LONG = 3, 7
"""A row of fewer letters is none; one of so many is seldom there by chance."""

_SAME_SHADE = 24
"""Letters of a row differ by so many levels at most."""

_SAME_SIZE = 0.4, 1.2
"""Heights of single letters that belong to a line, in heights of the line's box."""

_CHANCE = 1.5
"""Chance makes at most so many times as many letters in short rows of one direction as in those of the other."""

_MOST_STROKES = 0.7
"""Share of strokes without width in a row of letters; the bars of a barcode are all of them."""


class LetterRows(NamedTuple):
    """Rows that run across the image, those that run down it, and single letters and pairs across it, which prove
    nothing alone: each an (n, 5) array of left, top, right, bottom and letters."""

    across: NDArray[np.float64]
    down: NDArray[np.float64]
    loose: NDArray[np.float64]

    def likely_letters(self, read: Sequence[Box]) -> tuple[float, float]:
        """How many letters run across the image, and down it, whose row has its middle in none of the boxes ``read``.

        Left out is what is there by chance: short rows by chance run both ways, with as many letters. Single letters
        and pairs count on the level of a box that was read, as the prices of a list do.
        """
        corners = np.array(read, np.float64).reshape(-1, 4, 2)
        boxes = np.hstack([corners.min(axis=1), corners.max(axis=1)])
        short = [rows[rows[:, 4] < _LONG, 4].sum() for rows in (self.across, self.down)]
        found = []
        for rows, other in ((self.across, short[1]), (self.down, short[0])):
            left = rows[~_inside(rows, boxes).any(axis=0)]
            is_long = left[:, 4] >= _LONG
            found.append(float(left[is_long, 4].sum() + max(0.0, left[~is_long, 4].sum() - _CHANCE * other)))
        left = self.loose[~_inside(self.loose, boxes).any(axis=0)]
        wide = boxes[:, 2] - boxes[:, 0] > boxes[:, 3] - boxes[:, 1]
        level = boxes[wide] * (0, 1, 0, 1) + (0, 0, np.inf, 0)
        sizes = (left[:, 3] - left[:, 1]) / (level[:, 3] - level[:, 1])[:, None]
        on_level = _inside(left, level) & (sizes >= _SAME_SIZE[0]) & (sizes <= _SAME_SIZE[1])
        return found[0] + float(left[on_level.any(axis=0), 4].sum()), found[1]


def find_letters(pixels: NDArray[np.uint8]) -> LetterRows:
    """The rows in (H, W, 3) uint8 RGB, in its pixels. Letters that seem to stand in two rows count for the longer."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    scale = min(1.0, (_PIXELS / grey.size) ** 0.5)
    across, down = [], []
    for size in (scale, scale / 4):
        shape = max(1, round(grey.shape[1] * size)), max(1, round(grey.shape[0] * size))
        small = grey if size == 1 else cv2.resize(grey, shape, interpolation=cv2.INTER_AREA)
        back = np.array([grey.shape[1] / shape[0], grey.shape[0] / shape[1]] * 2 + [1.0])
        difference = cv2.blur(small, (_WINDOW, _WINDOW)).astype(np.int16) - small
        for ink in (difference > _DARKER, difference < -_DARKER):
            _, labels, found, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
            shades = np.bincount(labels[ink], small[ink], len(found)) / np.maximum(1, found[:, 4])
            blobs = np.column_stack([found, shades])[1:]
            across.append(_rows(blobs) * back)
            down.append(_rows(blobs[:, [1, 0, 3, 2, 4, 5]])[:, [1, 0, 3, 2, 4]] * back)
    (all_across, all_down) = (np.concatenate(rows) for rows in (across, down))
    is_row = all_across[:, 4] >= _LEAST_LETTERS
    return LetterRows(all_across[is_row], all_down[all_down[:, 4] >= _LEAST_LETTERS], all_across[~is_row])


def _rows(blobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Letters among (n, 6) blobs (left, top, width, height, area and mean level), row by row."""
    width, height, area = blobs[:, 2], blobs[:, 3], blobs[:, 4]
    filled = area / (width * height)
    fits = (height >= _LOWEST) & (height <= _HIGHEST) & (width >= 2) & (width <= 3 * height)
    letters = blobs[fits & (filled >= 0.15) & ((filled <= 0.95) | (5 * width < height))][:_MOST_LETTERS]
    letters = letters[np.argsort(letters[:, 0], kind="stable")]
    left, top, width, height, _, shade = letters.T
    right, bottom = left + width, top + height
    # Whoever may be the next letter of each: pairs of all that begin within its width and height.
    first: NDArray[np.intp] = np.searchsorted(left, left + 1)
    last: NDArray[np.intp] = np.searchsorted(left, right + height)
    counts = np.maximum(0, last - first)
    one: NDArray[np.intp] = np.repeat(np.arange(len(letters)), counts)
    other: NDArray[np.intp] = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts) + first[one]
    higher, lower = np.maximum(height[one], height[other]), np.minimum(height[one], height[other])
    on_line = (np.abs(bottom[one] - bottom[other]) <= 0.15 * higher) & (lower >= 0.55 * higher)
    alike = np.abs(shade[one] - shade[other]) <= _SAME_SHADE
    beside = on_line & alike & (left[other] >= right[one] - 0.2 * height[one])
    one, other = one[beside], other[beside]
    # Pairs are in the order of where the other begins: the first of each is the nearest.
    firsts, places = np.unique(one, return_index=True)
    following: dict[int, int] = dict(zip(firsts.tolist(), other[places].tolist(), strict=True))
    found = []
    for start in set(range(len(letters))) - set(following.values()):
        row = [start]
        while row[-1] in following:
            row.append(following[row[-1]])
        strokes = np.count_nonzero(4 * width[row] < height[row])
        if strokes <= _MOST_STROKES * len(row):
            found.append((left[row].min(), top[row].min(), right[row].max(), bottom[row].max(), len(row)))
    return np.array(found, np.float64).reshape(-1, 5)


def _inside(rows: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each of (m, 4) boxes holds the middle of each of (n, 5) rows: (m, n)."""
    x, y = (rows[:, 0] + rows[:, 2]) / 2, (rows[:, 1] + rows[:, 3]) / 2
    left, top, right, bottom = (boxes[:, side, None] for side in range(4))
    return np.asarray((left <= x) & (x <= right) & (top <= y) & (y <= bottom))
