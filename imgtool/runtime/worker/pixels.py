"""From whatever Pillow decoded to upright RGB as a person would expect to see it.

Pillow keeps an RGB image as four bytes a pixel and copies all of it for every conversion, transposition and export.
Here a picture is converted in bands of about a megapixel straight into the finished array, so that the peak is
Pillow's own buffer plus three bytes a pixel, whatever has to be done to the image.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.Image import Transpose

from imgtool.runtime.worker.colour import ToSrgb

Pixels: TypeAlias = NDArray[np.uint8]
Band = Callable[[Image.Image], Pixels]
"""Turns a part of the image into (h, w, 3) or grey (h, w, 1)."""

WHITE = 255
DARK_GREY = 64
LIGHT = 200.0
"""Mean luminance, weighted by opacity, above which what is visible of a transparent image would vanish on white."""

_GLANCE, _STANDS_OUT, _SHOWN = 250_000, 40, 0.0005
"""Pixels looked at, levels from the ground, and the share of pixels that must be so far from it."""

CLEAR, _LOST, _DARK = 0.05, 0.02, 96.0
"""From which share on an image counts as transparent, and what is visible counts as lost on a ground near its level."""

_BAND_PIXELS = 1 << 20
_ORIENTATION_TAG = 0x0112
_PHOTOMETRIC_TAG = 262
_NODATA_TAG = 42113
_FULL_SCALES = (1023.0, 4095.0, 16383.0, 65535.0)
_SAMPLE = 4_000_000
_FEW = 8
"""With so few values an image is a map of classes, not a measurement."""
_INNER, _FAR = (0.5, 99.5), 20
"""Percentiles between which nearly all values lie, and by which factor a range may exceed theirs."""

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


def upright_rgb(
    image: Image.Image, turn: int | None = None, colours: ToSrgb | None = None, ground: int | None = None
) -> Pixels:
    """(H, W, 3) uint8 RGB, C-contiguous, of a loaded image; EXIF orientation applied (``turn`` where it is known from
    elsewhere), ``colours`` made sRGB, laid on ``ground`` or what suits it.

    Raises:
        Exception: whatever Pillow raises on data that it cannot convert.
    """
    return render(image, _band_converter(image, colours, ground), turn or orientation(image))


def shows_something(pixels: Pixels) -> bool:
    """Whether a picture is more than a ground of one colour: some of it stands out."""
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / _GLANCE) ** 0.5))
    seen = pixels[::step, ::step].reshape(-1, 3).astype(np.int16)
    apart = np.abs(seen - np.median(seen, axis=0)).max(axis=1) > _STANDS_OUT
    return bool(apart.sum() > _SHOWN * len(seen))


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


def _band_converter(image: Image.Image, colours: ToSrgb | None, ground: int | None) -> Band:
    """What to do to each band; looks at the whole image where the conversion depends on it."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = _grey_converter(image)
        if colours is None:
            return grey
        return lambda band: np.asarray(colours(Image.fromarray(grey(band)[:, :, 0])))
    if image.has_transparency_data:
        return partial(_composed, background=grounds(image).first if ground is None else ground, colours=colours)
    if image.mode == "CMYK":
        return _cmyk(image)
    return _plain if colours is None else lambda band: np.asarray(colours(band))


def _grey_converter(image: Image.Image) -> Band:
    if image.mode.startswith("I;16"):
        return _sixteen_bit(image)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return partial(_scaled, low=0.0, high=65535.0)
    return _stretched(image)


def without_empty_alpha(image: Image.Image) -> Image.Image:
    """An image that is transparent all over, as one that has no transparency: writers of bitmaps leave the fourth byte
    of a pixel at zero, and browsers do not honour it either."""
    if image.mode not in ("RGBA", "LA") or any(image.getchannel("A").getextrema()):
        return image
    return image.convert(image.mode.removesuffix("A"))


def _plain(band: Image.Image) -> Pixels:
    return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def full_scale(most: float) -> float:
    """The greatest value of a device whose values go up to ``most``: 2 to the power of 10, 12, 14 or 16, less 1."""
    return next(limit for limit in _FULL_SCALES if most <= limit)


def as_bytes(values: NDArray[np.uint16], high: float) -> Pixels:
    """0 to ``high`` as 0 to 255."""
    return np.rint(values * (255.0 / high)).astype(np.uint8)


def _scaled(band: Image.Image, low: float, high: float) -> Pixels:
    """Grey (h, w, 1) with ``low`` to ``high`` stretched over 0 to 255; what is no number becomes black."""
    values = np.asarray(band).astype(np.float64)
    grey = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (255.0 / (high - low))
    rounded: Pixels = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)[:, :, np.newaxis]
    return rounded


def _sixteen_bit(image: Image.Image) -> Band:
    """Full range, except that a TIFF whose values all fit in 10, 12 or 14 bits comes from a device of so many bits.

    One value may stand for nothing (tRNS of PNG): it becomes the ground."""
    high = 65535.0
    if image.format == "TIFF":
        nothing = nodata(getattr(image, "tag_v2", {}))
        most = max(int(np.asarray(band)[np.asarray(band) != nothing].max(initial=0)) for _, band in _bands(image))
        high = full_scale(most)
    scaled = partial(_scaled, low=0.0, high=high)
    key = image.info.get("transparency")
    if image.format == "PNG" and isinstance(key, int):
        shown = [scaled(band)[np.asarray(band) != key] for _, band in _bands(image)]
        light, count = sum(float(each.sum(dtype=np.float64)) for each in shown), sum(each.size for each in shown)
        ground = np.uint8(DARK_GREY if count and light / count > LIGHT else WHITE)
        return lambda band: np.where(np.asarray(band)[:, :, np.newaxis] == key, ground, scaled(band))
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC_TAG) == 0:  # white is zero; Pillow inverts only up to eight bits
        return lambda band: WHITE - scaled(band)
    return scaled


def _stretched(image: Image.Image) -> Band:
    """Between the smallest and the largest value, without what stands for no value and without outliers. A constant
    image becomes mid grey."""
    nothing = nodata(getattr(image, "tag_v2", {}))
    parts = []
    every = max(1, image.width * image.height // _SAMPLE)
    low, high = np.inf, -np.inf
    for _, band in _bands(image):
        values = np.asarray(band).ravel()
        # The text of a tag is not the very number: -3.4028235e38.
        values = values[np.isfinite(values) & ~np.isclose(values, nothing, rtol=1e-6, atol=0)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            parts.append(values[::every].astype(np.float64))
    if not low < high:
        return lambda band: np.full((band.height, band.width, 1), 128, np.uint8)
    low, high = _without_outliers(np.concatenate(parts), low, high)
    return partial(_scaled, low=low, high=high)


def stretched(values: NDArray[Any], nothing: float) -> Pixels:
    """Numbers of any kind between the smallest and the largest of all channels as 0 to 255, without ``nothing`` and
    without outliers, like those of a grey image; what is no number becomes black. Where all are equal: mid grey."""
    counted = values[np.isfinite(values) & ~np.isclose(values, nothing, rtol=1e-6, atol=0)]
    low, high = (float(counted.min()), float(counted.max())) if counted.size else (0.0, 0.0)
    if not low < high:
        return np.full(values.shape, 128, np.uint8)
    low, high = _without_outliers(counted[:: max(1, counted.size // _SAMPLE)].astype(np.float64), low, high)
    out = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):  # in double precision all at once would take eight bytes a value
        level = (np.nan_to_num(line.astype(np.float64), nan=low, posinf=high, neginf=low) - low) * (
            255.0 / (high - low)
        )
        out[row] = np.rint(np.clip(level, 0, 255))
    return out


def nodata(tags: Any) -> float:
    """The value that stands for "nothing was measured here" (GDAL_NODATA) by the tags of a TIFF page; no number where
    none does."""
    try:
        return float(str(tags.get(_NODATA_TAG)).strip(" \0"))
    except ValueError:
        return np.nan


def _without_outliers(sample: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """``low`` and ``high``, or where a few values or one value lie far from all others, the limits of these."""
    for extreme in (low, high):  # a value that stands for nothing, though no tag says so: -9999, -3.4e38
        others = sample[sample != extreme]
        width = np.ptp(others) if others.size else 0.0
        if width and np.abs(others - extreme).min() > width and len(np.unique(others)) > _FEW:
            sample = others
            low, high = float(sample.min()), float(sample.max())
    inner_low, inner_high = (float(each) for each in np.percentile(sample, _INNER))
    if inner_low < inner_high and high - low > _FAR * (inner_high - inner_low):
        return inner_low, inner_high
    return low, high


class Grounds(NamedTuple):
    """What a transparent image is laid on: ``first``, and ``other`` where something would be lost on the first.
    ``clear`` is the share of the image that is transparent."""

    first: int = WHITE
    other: int | None = None
    clear: float = 0.0


def grounds(image: Image.Image) -> Grounds:
    """White, or dark grey where what is visible is nearly all light: white lettering on nothing is to be read."""
    if not image.has_transparency_data or image.mode.startswith("I"):
        return Grounds()
    light = opacity = clear = 0.0
    lightest = darkest = 0.0
    for _, band in _bands(image):
        rgba = band.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"), np.float32).ravel()
        levels = np.asarray(rgba.convert("L"), np.float32).ravel()
        light += float(alpha @ levels)
        opacity += float(alpha.sum(dtype=np.float64))
        lightest += float(alpha[levels > LIGHT].sum(dtype=np.float64))
        darkest += float(alpha[levels < _DARK].sum(dtype=np.float64))
        clear += float((alpha < WHITE / 2).sum())
    clear /= image.width * image.height
    first = DARK_GREY if opacity and light / opacity > LIGHT else WHITE
    lost, other = (darkest, WHITE) if first == DARK_GREY else (lightest, DARK_GREY)
    return Grounds(first, other if clear > CLEAR and lost > _LOST * opacity else None, clear)


def _composed(band: Image.Image, background: int, colours: ToSrgb | None) -> Pixels:
    rgba = band.convert("RGBA") if colours is None else colours(band)
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
