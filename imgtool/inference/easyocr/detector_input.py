"""What CRAFT is shown: the picture scaled, padded and normalised, as EasyOCR's ``imgproc`` does it."""

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
    """(1, 3, H, W) float32 from (H, W, 3) uint8 RGB, and by how much it was scaled.

    The padding at the right and at the bottom is black before it is normalised. ``canvas_size`` bounds the longest
    side in pixels.
    """
    scaled, ratio = _scaled(pixels, canvas_size, mag_ratio)
    height, width = scaled.shape[:2]
    canvas: NDArray[np.float32] = np.zeros((_padded(height), _padded(width), 3), dtype=np.float32)
    canvas[:height, :width] = scaled
    canvas -= _MEAN
    canvas /= _DEVIATION
    return np.ascontiguousarray(canvas.transpose(2, 0, 1))[None], ratio


def _scaled(pixels: NDArray[np.uint8], canvas_size: int, mag_ratio: float) -> tuple[NDArray[np.uint8], float]:
    import cv2

    height, width = pixels.shape[:2]
    longest = max(height, width)
    ratio = min(mag_ratio * longest, canvas_size) / longest
    scaled: NDArray[np.uint8] = cv2.resize(
        pixels, (int(width * ratio), int(height * ratio)), interpolation=cv2.INTER_LINEAR
    )
    return scaled, ratio


def _padded(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE
