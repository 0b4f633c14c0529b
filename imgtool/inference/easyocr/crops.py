"""Cuts lines out of the grey picture and prepares them for the recogniser, step by step as EasyOCR does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgtool.inference.easyocr.lines import Slanted, Upright

_SMALLEST_RANGE = 10
_TARGET_RANGE, _TARGET_LOW = 200.0, 25


@dataclass(frozen=True)
class Crop:
    """A line: its corners [x, y] in pixels of the picture, and its grey levels, (H, W) uint8."""

    corners: Sequence[Sequence[float]]
    levels: NDArray[np.uint8]


def cut_out(
    levels: NDArray[np.uint8], upright: Sequence[Upright], slanted: Sequence[Slanted], height: int
) -> tuple[list[Crop], int]:
    """The crops from top to bottom, their shorter side scaled to ``height``, and the width that holds each of them."""
    cut = [Crop(corners, straightened(levels, np.array(corners, dtype=np.float32))) for corners in slanted]
    rows, columns = levels.shape
    for box in upright:
        left, right, top, bottom = max(0, box[0]), min(box[1], columns), max(0, box[2]), min(box[3], rows)
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        cut.append(Crop(corners, levels[top:bottom, left:right]))
    scaled = [(crop.corners, *_scaled(crop.levels, height)) for crop in cut]
    widest = math.ceil(max((ratio for _, _, ratio in scaled), default=1))
    crops = (Crop(corners, resized) for corners, resized, _ in scaled)
    return sorted(crops, key=lambda crop: crop.corners[0][1]), widest * height


def straightened(levels: NDArray[np.uint8], corners: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The quadrilateral ``corners``, (4, 2) from the top left clockwise, of ``levels`` as an upright rectangle."""
    import cv2

    top_left, top_right, bottom_right, bottom_left = corners
    width = max(int(_distance(bottom_right, bottom_left)), int(_distance(top_right, top_left)))
    height = max(int(_distance(top_right, bottom_right)), int(_distance(top_left, bottom_left)))
    goal = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float32)
    warped: NDArray[np.uint8] = cv2.warpPerspective(levels, cv2.getPerspectiveTransform(corners, goal), (width, height))
    return warped


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> Any:
    # In float32, as upstream, because the length is truncated to a whole number.
    return np.sqrt(((one[0] - other[0]) ** 2) + ((one[1] - other[1]) ** 2))


def _scaled(levels: NDArray[np.uint8], height: int) -> tuple[NDArray[np.uint8], float]:
    """``levels`` with its shorter side ``height`` long, and how many times longer the other is."""
    import cv2

    rows, columns = levels.shape
    ratio = columns / rows
    size = (int(height * ratio), height)
    if ratio < 1.0:
        ratio = 1.0 / ratio
        size = (height, int(height * ratio))
    # Upstream passes Pillow's constant for Lanczos, which means bilinear to OpenCV.
    resized: NDArray[np.uint8] = cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR)
    return resized, ratio


def recogniser_input(
    levels: NDArray[np.uint8], height: int, width: int, adjust_contrast: float = 0.0
) -> NDArray[np.float32]:
    """(1, ``height``, ``width``) float32 in [-1, 1] from (H, W) uint8: scaled to ``height``, its last column repeated.

    A crop whose contrast is below ``adjust_contrast`` is stretched first.
    """
    if adjust_contrast > 0:
        levels = stretched(levels, adjust_contrast)
    rows, columns = levels.shape
    scaled_width = min(math.ceil(height * (columns / float(rows))), width)
    scaled = Image.fromarray(levels).resize((scaled_width, height), Image.Resampling.BICUBIC)
    values = np.asarray(scaled).astype(np.float32) / np.float32(255)
    values = (values - np.float32(0.5)) / np.float32(0.5)
    return np.pad(values, ((0, 0), (0, width - scaled_width)), mode="edge")[None]


def stretched(levels: NDArray[np.uint8], target: float) -> NDArray[np.uint8]:
    """``levels`` unchanged if their contrast reaches ``target``, else spread over the range."""
    high, low = np.percentile(levels, 90), np.percentile(levels, 10)
    if (high - low) / np.maximum(10, high + low) >= target:
        return levels
    ratio = _TARGET_RANGE / np.maximum(_SMALLEST_RANGE, high - low)
    return np.clip((levels.astype(int) - low + _TARGET_LOW) * ratio, 0, 255).astype(np.uint8)
