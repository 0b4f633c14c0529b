"""JPEG files by simplejpeg, which is libjpeg-turbo without Pillow's four bytes a pixel: the same pixels, twice as fast.

Whatever it does not decode in the same way is left to Pillow: other colours than YCbCr, RGB and grey, files with any
defect (Pillow decides whether they are refused), and all files where the two were built with libraries that differ.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from imgtool.runtime.worker.colour import ToSrgb, apply
from imgtool.runtime.worker.pixels import orientation

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLOURS = ("YCbCr", "RGB", "Gray")
_MODES = ("RGB", "L")


def upright_jpeg(
    image: Image.Image, data: bytes, turn: int | None = None, colours: ToSrgb | None = None
) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8 RGB of the first picture in ``data``, upright; ``None`` where Pillow has to decode it. ``turn``
    is its EXIF orientation where ``data`` does not state it, ``colours`` makes its colours sRGB.

    ``image`` is what Pillow opened from the same bytes; its pixels need not be loaded.
    """
    if image.mode not in _MODES or (colours and image.mode == "L") or not is_same_as_pillow():
        return None
    import simplejpeg

    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space not in _COLOURS or (width, height) != image.size:
            return None
        # Strict: what libjpeg only warns of is for Pillow to judge.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    if colours is not None:
        apply(pixels, colours, max(1, (1 << 20) // width))
    return _turned(pixels, turn or orientation(image))


@lru_cache(maxsize=1)
def is_same_as_pillow() -> bool:
    """Whether simplejpeg is here and gives the pixels that Pillow gives, which small pictures made on the spot show.

    The two bring libraries of their own, and a Pillow of a distribution takes the distribution's.
    """
    try:
        import simplejpeg
    except ImportError:
        return False
    levels = np.random.default_rng(0).integers(0, 256, (19, 37, 3), dtype=np.uint8)
    for subsampling, progressive in ((0, False), (1, False), (2, False), (2, True)):
        held = io.BytesIO()
        Image.fromarray(levels).save(held, "JPEG", quality=80, subsampling=subsampling, progressive=progressive)
        with Image.open(held) as image:
            if not np.array_equal(np.asarray(image), simplejpeg.decode_jpeg(held.getvalue(), "RGB")):
                return False
    return True


def _turned(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """``pixels`` of the EXIF orientation ``turn``, upright and C-contiguous."""
    if turn == 1:
        return pixels
    # A pixel is one thing of three bytes: numpy moves these faster than it moves single bytes.
    stored = np.frombuffer(pixels, "V3").reshape(pixels.shape[:2])
    if turn >= 5:
        stored = stored.T
    if turn in (3, 4, 7, 8):
        stored = stored[::-1]
    if turn in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    turned: NDArray[np.uint8] = np.ascontiguousarray(stored).view(np.uint8).reshape(*stored.shape, 3)
    return turned
