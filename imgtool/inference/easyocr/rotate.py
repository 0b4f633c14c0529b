"""Rotates a picture by any angle as ``scipy.ndimage.rotate`` does: with cubic splines, and a frame enlarged to fit.

EasyOCR also reads rotated lines, and its answers depend on the interpolation. The spline is that of Unser, Aldroubi and
Eden, B-Spline Signal Processing (1993): a recursive filter finds the coefficients, and each point is a weighted sum of
four of them in each direction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POLE = math.sqrt(3.0) - 2.0
_QUARTERS: dict[float, tuple[float, float]] = {0: (1.0, 0.0), 90: (0.0, 1.0), 180: (-1.0, 0.0), 270: (0.0, -1.0)}
"""Cosine and sine that are whole numbers, which radians would not give exactly."""


def rotate(levels: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """(H, W) uint8 rotated anticlockwise by ``angle`` degrees, in a frame that holds all of it; outside is 0."""
    cosine, sine = _QUARTERS.get(angle % 360) or (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    rows, columns = levels.shape
    frame = turn @ [[0, 0, rows, rows], [0, columns, 0, columns]]
    height, width = (np.ptp(frame, axis=1) + 0.5).astype(int).tolist()
    centre = (np.array([rows, columns]) - 1) / 2
    shift = centre - turn @ ((np.array([height, width]) - 1) / 2)
    down, across = np.arange(height)[:, None], np.arange(width)[None, :]
    at_row = turn[0, 0] * down + turn[0, 1] * across + shift[0]
    at_column = turn[1, 0] * down + turn[1, 1] * across + shift[1]
    inside = (at_row >= 0) & (at_row <= rows - 1) & (at_column >= 0) & (at_column <= columns - 1)
    turned = np.zeros((height, width))
    coefficients = _filtered(_filtered(levels.astype(np.float64)).T).T
    total = np.zeros(int(inside.sum()))
    for row, row_weight in _taps(at_row[inside], rows):
        for column, column_weight in _taps(at_column[inside], columns):
            total += coefficients[row, column] * (row_weight * column_weight)
    turned[inside] = total
    return np.clip(np.where(turned > 0, turned + 0.5, 0), 0, 255).astype(np.uint8)


def _filtered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spline's coefficients along the first axis, the values being mirrored at both ends."""
    length = len(values)
    if length == 1:
        return values
    found = values * ((1 - _POLE) * (1 - 1 / _POLE))
    last = _POLE ** (length - 1)
    powers = _POLE ** np.arange(1, length - 1)
    start = found[0] + last * found[-1] + powers @ (found[1:-1] + last * found[-2:0:-1])
    found[0] = start / (1 - last * last)
    for row in range(1, length):
        found[row] += _POLE * found[row - 1]
    found[-1] = (_POLE * found[-2] + found[-1]) * _POLE / (_POLE * _POLE - 1)
    for row in range(length - 2, -1, -1):
        found[row] = _POLE * (found[row + 1] - found[row])
    return found


def _taps(position: NDArray[np.float64], length: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """The four points around each ``position``, mirrored into the picture, and the weight of each."""
    floor = np.floor(position).astype(np.intp)
    beyond = position - floor
    before = 1 - beyond
    weights = (
        before**3 / 6,
        (beyond * beyond * (beyond - 2) * 3 + 4) / 6,
        (before * before * (before - 2) * 3 + 4) / 6,
        beyond**3 / 6,
    )
    period = 2 * (length - 1) or 1
    for offset, weight in enumerate(weights, start=-1):
        folded = np.abs(floor + offset) % period
        yield np.where(folded < length, folded, period - folded), weight
