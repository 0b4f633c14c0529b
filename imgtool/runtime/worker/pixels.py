"""From whatever Pillow decoded to upright RGB as a person would expect to see it.

Pillow keeps an RGB image as four bytes a pixel and copies all of it for every conversion, transposition and export.
Here a picture is converted in bands of about a megapixel straight into the finished array, so that the peak is
Pillow's own buffer plus three bytes a pixel, whatever has to be done to the image.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.Image import Transpose

Pixels: TypeAlias = NDArray[np.uint8]
Band = Callable[[Image.Image], Pixels]
"""Turns a part of the image into (h, w, 3) or grey (h, w, 1)."""

WHITE = 255
DARK_GREY = 64
LIGHT = 200.0
"""Mean luminance, weighted by opacity, above which what is visible of a transparent image would vanish on white."""

_BAND_PIXELS = 1 << 20
_ORIENTATION_TAG = 0x0112
_PHOTOMETRIC_TAG = 262
_TWELVE_BITS = 4095

_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What makes an image of each EXIF orientation upright; 1 is upright already."""

_TRANSPOSED = {5, 6, 7, 8}


def upright_rgb(image: Image.Image, turn: int | None = None) -> Pixels:
    """(H, W, 3) uint8 RGB, C-contiguous, of a loaded image; EXIF orientation applied (``turn`` where it is known from
    elsewhere), alpha composed.

    Raises:
        Exception: whatever Pillow raises on data that it cannot convert.
    """
    return render(image, _band_converter(image), turn or orientation(image))


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or the block is broken."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow raises anything from struct.error to KeyError on a broken block
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def render(image: Image.Image, convert: Band, turn: int) -> Pixels:
    """Convert band by band and put each where it belongs in the picture turned by orientation ``turn``."""
    width, height = image.size
    shape = (width, height) if turn in _TRANSPOSED else (height, width)
    out: Pixels = np.empty((*shape, 3), np.uint8)
    for top, band in _bands(image):
        turned = band.transpose(_TURNS[turn]) if turn in _TURNS else band
        out[_place(top, turned, turn, shape)] = convert(turned)
    return out


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, _BAND_PIXELS // max(1, width))
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _place(top: int, band: Image.Image, turn: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the turned picture that the (already turned) band starting at stored row ``top`` fills."""
    if turn in _TRANSPOSED:
        first = shape[1] - top - band.width if turn in (6, 7) else top
        return slice(None), slice(first, first + band.width)
    first = shape[0] - top - band.height if turn in (3, 4) else top
    return slice(first, first + band.height), slice(None)


def _band_converter(image: Image.Image) -> Band:
    """What to do to each band; looks at the whole image where the conversion depends on it."""
    if image.mode.startswith("I;16"):
        return _sixteen_bit(image)
    if image.mode == "I" and image.format == "PNG":
        return partial(_scaled, low=0.0, high=65535.0)
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.has_transparency_data:
        return partial(_composed, background=_background(image))
    if image.mode == "CMYK":
        return _cmyk(image)
    return _plain


def _plain(band: Image.Image) -> Pixels:
    return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def _scaled(band: Image.Image, low: float, high: float) -> Pixels:
    """Grey (h, w, 1) with ``low`` to ``high`` stretched over 0 to 255; what is no number becomes black."""
    values = np.asarray(band).astype(np.float64)
    grey = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (255.0 / (high - low))
    rounded: Pixels = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)[:, :, np.newaxis]
    return rounded


def _sixteen_bit(image: Image.Image) -> Band:
    """Full range, except that a TIFF whose values all fit in 12 bits comes from a 12-bit camera or scanner."""
    high = 65535.0
    if image.format == "TIFF" and max(int(np.asarray(band).max()) for _, band in _bands(image)) <= _TWELVE_BITS:
        high = float(_TWELVE_BITS)
    scaled = partial(_scaled, low=0.0, high=high)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC_TAG) == 0:  # white is zero; Pillow inverts only up to eight bits
        return lambda band: WHITE - scaled(band)
    return scaled


def _stretched(image: Image.Image) -> Band:
    """Between the smallest and the largest finite value. A constant image becomes mid grey."""
    low, high = np.inf, -np.inf
    for _, band in _bands(image):
        values = np.asarray(band)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if not low < high:
        return lambda band: np.full((band.height, band.width, 1), 128, np.uint8)
    if not np.isfinite(high - low):  # the range of extreme floats does not fit in a float
        low, high = max(low, -1e300), min(high, 1e300)
    return partial(_scaled, low=low, high=high)


def _background(image: Image.Image) -> int:
    """White, or dark grey where what is visible is nearly all light: white lettering on nothing is to be read."""
    light = opacity = 0.0
    for _, band in _bands(image):
        rgba = band.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"), np.float32).ravel()
        light += float(alpha @ np.asarray(rgba.convert("L"), np.float32).ravel())
        opacity += float(alpha.sum(dtype=np.float64))
    return DARK_GREY if opacity and light / opacity > LIGHT else WHITE


def _composed(band: Image.Image, background: int) -> Pixels:
    rgba = band.convert("RGBA")
    base = Image.new("RGB", rgba.size, (background,) * 3)
    base.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(base)


def _cmyk(image: Image.Image) -> Band:
    """Through the embedded profile where there is a sound one: plain inversion makes print colours garish."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return _plain
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        if profile.profile.xcolor_space.strip() != "CMYK":
            return _plain
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    except Exception:  # noqa: BLE001 - a broken profile must not cost the image, whatever the library raises
        return _plain
    return lambda band: np.asarray(ImageCms.applyTransform(band, transform))
