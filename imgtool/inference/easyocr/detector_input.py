"""CRAFT's input: the picture scaled, padded and normalised, as EasyOCR's ``imgproc`` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MULTIPLE = 32
_MEAN = np.array([0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0], dtype=np.float32)
_DEVIATION = np.array([0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0], dtype=np.float32)
"""Of ImageNet, by channel, in levels."""


def detector_input(pixels: NDArray[np.uint8], canvas_size: int, mag_ratio: float) -> tuple[NDArray[np.float32], float]:
    """(1, 3, H, W) float32 from (H, W, 3) uint8 RGB, and the factor by which it was scaled.

    The padding at the right and at the bottom is black before it is normalised. ``canvas_size`` bounds the longest
    side in pixels.
    """
    import cv2

    height, width = pixels.shape[:2]
    longest = max(height, width)
    ratio = min(mag_ratio * longest, canvas_size) / longest
    height, width = int(height * ratio), int(width * ratio)
    rows, columns = (-(-length // _MULTIPLE) * _MULTIPLE for length in (height, width))
    canvas: NDArray[np.float32] = np.zeros((rows, columns, 3), dtype=np.float32)
    canvas[:height, :width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas -= _MEAN
    canvas /= _DEVIATION
    return np.ascontiguousarray(canvas.transpose(2, 0, 1))[None], ratio
