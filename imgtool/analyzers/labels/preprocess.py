"""From the pixels of a picture to the input tensor of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgtool.analyzers.labels.settings import Preprocessing

Pixels: TypeAlias = NDArray[np.uint8]


MOST_PIXELS = 1 << 24
"""A scaled image of more pixels, of which only a part is wanted, is never made: a thin strip would need gigabytes."""

Region: TypeAlias = tuple[slice, slice]


def prepare(images: Sequence[Pixels], settings: Preprocessing, dtype: str) -> NDArray[Any]:
    """A batch for the model from (H, W, 3) uint8 RGB images.

    Returns:
        (N, C, H, W) or (N, H, W, C) by ``settings.layout``, of ``dtype``; normalised unless that is ``uint8``.
    """
    fitted = [_fit_one(image, settings) for image in images]
    batch: NDArray[Any] = np.stack([pixels for pixels, _ in fitted])
    if dtype != "uint8":
        batch = batch.astype(np.float32)
        batch /= np.float32(settings.scale)
        batch -= np.asarray(settings.mean, dtype=np.float32)
        batch /= np.asarray(settings.std, dtype=np.float32)
        if settings.fill is None:  # the mean, to the last digit, which no level of a pixel may be
            for one, (_, region) in zip(batch, fitted, strict=True):
                inside = one[region].copy()
                one[:] = 0
                one[region] = inside
    if settings.layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, dtype=dtype)


def _fit_one(pixels: Pixels, settings: Preprocessing) -> tuple[Pixels, Region]:
    """One image as (H, W, C) uint8 of the model's size, channels in the model's order, and where in it the image is."""
    height, width = settings.size
    source = (pixels.shape[1], pixels.shape[0])
    scaled = scaled_size(source, settings)
    corner = settings.position == "corner"
    if settings.resize == "crop" and not corner and scaled[0] * scaled[1] > MOST_PIXELS:
        filter_ = _pillow_filter(settings.interpolation) or Image.Resampling.BILINEAR
        fitted = Image.fromarray(pixels).resize((width, height), filter_, box=crop_box(source, settings))
        region = (slice(0, height), slice(0, width))
    else:
        image = Image.fromarray(_resample(pixels, scaled, settings.interpolation))
        # As torchvision's CenterCrop or PaddleClas' CropImage where something is cut off, and as letterboxes usually do
        # where something is added.
        halve = floor if settings.floor_offset or _is_opencv(settings) else round
        left, top = (
            0 if corner else halve((have - want) / 2) if have >= want else -((want - have) // 2)
            for have, want in zip(scaled, (width, height), strict=True)
        )
        region = (slice(max(0, -top), min(height, scaled[1] - top)), slice(max(0, -left), min(width, scaled[0] - left)))
        fitted = Image.new("RGB", (width, height), _fill_colour(settings))
        fitted.paste(image, (-left, -top))
    if settings.channels == "L":
        return np.asarray(fitted.convert("L"))[:, :, None], region
    array = np.asarray(fitted)
    return (array[:, :, ::-1] if settings.channels == "BGR" else array), region


def _fill_colour(settings: Preprocessing) -> tuple[int, int, int]:
    levels = settings.fill
    if levels is None:
        levels = tuple(mean * settings.scale for mean in settings.mean)
        levels = levels[::-1] if settings.channels == "BGR" else levels
    red, green, blue = (min(255, max(0, round(level))) for level in (levels * 3 if len(levels) == 1 else levels))
    return red, green, blue


def _resample(pixels: Pixels, size: tuple[int, int], interpolation: str) -> Pixels:
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    filter_ = _pillow_filter(interpolation)
    if filter_ is not None:
        return np.asarray(Image.fromarray(pixels).resize(size, filter_))
    import cv2

    resized: Pixels = cv2.resize(
        pixels, size, interpolation=getattr(cv2, f"INTER_{interpolation.removeprefix('cv2-').upper()}")
    )
    return resized


def _pillow_filter(interpolation: str) -> Image.Resampling | None:
    return None if interpolation.startswith("cv2-") else Image.Resampling[interpolation.upper()]


def _is_opencv(settings: Preprocessing) -> bool:
    return settings.interpolation.startswith("cv2-")


def scaled_size(source: tuple[int, int], settings: Preprocessing) -> tuple[int, int]:
    """(width, height) to which an image of ``source`` (width, height) is scaled before it is cut out or padded.

    Fractions of a pixel are treated as by the libraries that go with the interpolation: ``crop`` cuts them off as
    torchvision does or rounds as PaddleClas does, ``pad`` rounds, or in the corner takes the next whole pixel as
    PaddleOCR does.
    """
    # Slightly more than the quotient: 224 / 0.875 must be 256 even if the division gives slightly less.
    height, width = (int(side / settings.crop_pct + 1e-6) for side in settings.size)
    if settings.resize == "none":
        return source
    if settings.resize == "squash":
        return width, height
    if settings.resize == "pad":
        scale = min(width / source[0], height / source[1])
        to_whole = ceil if settings.position == "corner" else round
        # Not more than the sides themselves, whatever the quotient is by its last digit.
        return min(width, max(1, to_whole(source[0] * scale))), min(height, max(1, to_whole(source[1] * scale)))
    # timm, too, rounds where it cannot leave the work to torchvision.
    whole: Callable[[Fraction], int] = round if _is_opencv(settings) or height != width else floor
    if Fraction(width, source[0]) >= Fraction(height, source[1]):
        return width, max(whole(Fraction(width * source[1], source[0])), settings.size[0])
    return max(whole(Fraction(height * source[0], source[1])), settings.size[1]), height


def crop_box(source: tuple[int, int], settings: Preprocessing) -> tuple[float, float, float, float]:
    """The part of an image of ``source`` (width, height) that ``crop`` keeps: left, top, right, bottom in its pixels.

    It is what remains after torchvision's ``Resize`` (the shorter side to ``size / crop_pct``) and ``CenterCrop``.
    """
    covered = scaled_size(source, settings)
    kept = (settings.size[1], settings.size[0])
    low, high = [], []
    for before, after, part in zip(source, covered, kept, strict=True):
        start = round((after - part) / 2)
        low.append(before * start / after)
        high.append(min(float(before), before * (start + part) / after))
    return low[0], low[1], high[0], high[1]
