"""The grey levels that OpenCV's readers give, which EasyOCR's recogniser sees when it is handed a path.

``cv2.imread(path, IMREAD_GRAYSCALE)`` leaves the conversion to each format's codec, and every codec rounds in its own
way; half of the pixels of a PNG differ by one level from ``cv2.cvtColor``. Weights as in ITU-R BT.601, in fixed point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LIBPNG = ((9797, 19234, 3737), 15, 0)
"""``png_set_rgb_to_gray`` cuts off the fraction, of its weights and of its sums."""

_OPENCV = ((4899, 9617, 1868), 14, 1 << 13)
"""``icvCvt_BGR2Gray``, which OpenCV's own decoders share."""

_BY_FORMAT = {"PNG": _LIBPNG, "BMP": _OPENCV, "TIFF": _OPENCV, "PPM": _OPENCV}


def grey(pixels: NDArray[np.uint8], image_format: str) -> NDArray[np.uint8]:
    """(H, W) uint8 from (H, W, 3) uint8 RGB as OpenCV's reader of ``image_format`` (Pillow's name) would have it.

    A JPEG's own luma, which OpenCV takes without going through RGB, cannot be had from RGB: there, and for formats
    without a rule here, this is ``cv2.cvtColor``, mostly the same and at most some levels off.
    """
    if image_format not in _BY_FORMAT:
        converted: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        return converted
    weights, shift, rounding = _BY_FORMAT[image_format]
    total = np.full(pixels.shape[:2], rounding, dtype=np.uint32)
    for channel, weight in enumerate(weights):
        total += pixels[..., channel].astype(np.uint32) * np.uint32(weight)
    return (total >> shift).astype(np.uint8)
