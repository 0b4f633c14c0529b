"""Finds the boxes of words in CRAFT's score maps, with the rules and thresholds of EasyOCR's ``craft_utils``.

CRAFT (Baek et al., Character Region Awareness for Text Detection, 2019) gives each point of the picture, at half its
size, a score for being in a character and one for being between two characters of a word. Words are connected regions
of high scores. A box is the smallest rectangle, at any angle, around the slightly dilated character part.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_AREA = 10
_DIAMOND = 0.1
"""If the sides of a rectangle differ by less than this share, its angle is meaningless."""
_MAP_SCALE = 2
"""A point of the maps is this many pixels of the picture that CRAFT saw."""

Quadrilateral = Any
"""(4, 2) float32: corners (x, y) clockwise, first the one nearest to the top left."""


def find_boxes(
    text: NDArray[np.float32], link: NDArray[np.float32], text_threshold: float, link_threshold: float, low_text: float
) -> list[Quadrilateral]:
    """The boxes, in points of the maps, of the words in ``text`` and ``link``, both (H, W) float32."""
    import cv2

    _, characters = cv2.threshold(text, low_text, 1, cv2.THRESH_BINARY)
    _, gaps = cv2.threshold(link, link_threshold, 1, cv2.THRESH_BINARY)
    is_character = characters > 0
    either = (is_character | (gaps > 0)).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(either, connectivity=4)
    boxes = []
    for label, (left, top, width, height, area) in enumerate(statistics.tolist()):
        if label == 0 or area < _SMALLEST_AREA:  # the background, and what is tiny
            continue
        place = slice(top, top + height), slice(left, left + width)
        region = labels[place] == label
        if text[place].max(where=region, initial=-np.inf) < text_threshold:
            continue
        points = _grown(region & is_character[place], place, area, text.shape)
        if points is not None:
            boxes.append(_box_around(points))
    return boxes


def in_picture(boxes: list[Quadrilateral], ratio: float) -> list[NDArray[np.int32]]:
    """``boxes`` in whole pixels of the picture that was scaled by ``ratio``: (8,) int32 x, y, x, y, ... each."""
    factor = 1 / ratio * _MAP_SCALE
    factors = np.array([factor, factor])
    return [(box * factors).astype(np.float32).astype(np.int32).reshape(-1) for box in boxes]


def _grown(
    mask: NDArray[np.bool_], place: tuple[slice, slice], area: int, shape: tuple[int, ...]
) -> NDArray[np.int32] | None:
    """The points (x, y) of ``mask``, which lies at ``place`` in the map, dilated by an amount that depends on ``area``.

    Dilation stops at the edges of the map, and at those of a window around ``place``.
    """
    import cv2

    rows, columns = place
    height, width = mask.shape
    margin = int(math.sqrt(area * min(width, height) / (width * height)) * 2)
    top, bottom = max(rows.start - margin, 0), min(rows.stop + margin + 1, shape[0])
    left, right = max(columns.start - margin, 0), min(columns.stop + margin + 1, shape[1])
    window = np.zeros((bottom - top, right - left), dtype=np.uint8)
    window[rows.start - top :, columns.start - left :][:height, :width] = mask
    points = cv2.findNonZero(cv2.dilate(window, np.ones((1 + margin, 1 + margin), dtype=np.uint8)))
    if points is None:
        return None
    found: NDArray[np.int32] = points.reshape(-1, 2) + np.array([left, top], dtype=np.int32)
    return found


def _box_around(points: NDArray[np.int32]) -> Quadrilateral:
    import cv2

    box = cv2.boxPoints(cv2.minAreaRect(points))
    sides = np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[1] - box[2])
    if abs(1 - max(sides) / (min(sides) + 1e-5)) <= _DIAMOND:
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
    return np.roll(box, -box.sum(axis=1).argmin(), axis=0)
