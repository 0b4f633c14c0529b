"""Converts to grey as OpenCV's readers do, because EasyOCR's recogniser sees their result if it is given a path.

In ``cv2.imread(path, IMREAD_GRAYSCALE)`` the codec of each format converts, and each rounds in its own way: half of the
pixels of a PNG differ by one level from ``cv2.cvtColor``. The weights are those of ITU-R BT.601, in fixed point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LIBPNG = ((9797, 19234, 3737), 15, 0)
"""``png_set_rgb_to_gray`` truncates its weights and its sums."""

_OPENCV = ((4899, 9617, 1868), 14, 1 << 13)
"""``icvCvt_BGR2Gray``, which OpenCV's own decoders share."""

_BY_FORMAT = {"PNG": _LIBPNG, "BMP": _OPENCV, "TIFF": _OPENCV, "PPM": _OPENCV}


def grey(pixels: NDArray[np.uint8], image_format: str) -> NDArray[np.uint8]:
    """(H, W) uint8 from (H, W, 3) uint8 RGB as OpenCV's reader of ``image_format`` (Pillow's name) would have it.

    OpenCV takes the luma of a JPEG directly, which cannot be computed from RGB. For JPEG, and for formats without a
    rule here, this is ``cv2.cvtColor``, which is mostly the same and at most a few levels off.
    """
    if image_format not in _BY_FORMAT:
        converted: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        return converted
    weights, shift, rounding = _BY_FORMAT[image_format]
    total = np.full(pixels.shape[:2], rounding, dtype=np.uint32)
    for channel, weight in enumerate(weights):
        total += pixels[..., channel].astype(np.uint32) * np.uint32(weight)
    return (total >> shift).astype(np.uint8)
