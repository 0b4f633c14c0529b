"""From the pixels of a picture to the input tensor of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgtool.analyzers.labels.settings import Preprocessing

Pixels: TypeAlias = NDArray[np.uint8]


def prepare(images: Sequence[Pixels], settings: Preprocessing, dtype: str) -> NDArray[Any]:
    """A batch for the model from (H, W, 3) uint8 RGB images.

    Returns:
        (N, C, H, W) or (N, H, W, C) by ``settings.layout``, of ``dtype``; normalised unless that is ``uint8``.
    """
    batch: NDArray[Any] = np.stack([_fit_one(image, settings) for image in images])
    if dtype != "uint8":
        batch = batch.astype(np.float32)
        batch /= np.float32(settings.scale)
        batch -= np.asarray(settings.mean, dtype=np.float32)
        batch /= np.asarray(settings.std, dtype=np.float32)
    if settings.layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, dtype=dtype)


def _fit_one(pixels: Pixels, settings: Preprocessing) -> Pixels:
    """One image as (H, W, C) uint8 of the model's size, channels in the model's order."""
    image, filter_ = Image.fromarray(pixels), Image.Resampling[settings.interpolation.upper()]
    height, width = settings.size
    if settings.resize == "squash":
        fitted = image.resize((width, height), filter_)
    elif settings.resize == "crop":
        # Scaled and cut in one step: only the part that stays is computed, so a thin strip needs no huge buffer.
        fitted = image.resize((width, height), filter_, box=crop_box(image.size, settings))
    else:
        # Scaled to fit inside; the rest is filled with the mean colour, which becomes zero when normalised.
        scale = min(width / image.width, height / image.height)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        values = [min(255, max(0, round(mean * settings.scale))) for mean in settings.mean]
        red, green, blue = values * 3 if len(values) == 1 else values
        fitted = Image.new(
            "RGB", (width, height), (blue, green, red) if settings.channels == "BGR" else (red, green, blue)
        )
        fitted.paste(image.resize(inner, filter_), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    if settings.channels == "L":
        return np.asarray(fitted.convert("L"))[:, :, None]
    array = np.asarray(fitted)
    return array[:, :, ::-1] if settings.channels == "BGR" else array


def crop_box(source: tuple[int, int], settings: Preprocessing) -> tuple[float, float, float, float]:
    """The part of an image of ``source`` (width, height) that is kept: left, top, right, bottom in its pixels.

    It is what remains after torchvision's ``Resize`` (the shorter side to ``size / crop_pct``) and ``CenterCrop``.
    """
    covered = scaled_to_cover(source, settings)
    kept = (settings.size[1], settings.size[0])
    low, high = [], []
    for before, after, part in zip(source, covered, kept, strict=True):
        start = round((after - part) / 2)
        low.append(before * start / after)
        high.append(min(float(before), before * (start + part) / after))
    return low[0], low[1], high[0], high[1]


def scaled_to_cover(source: tuple[int, int], settings: Preprocessing) -> tuple[int, int]:
    """(width, height) of the smallest scaled image that covers ``size / crop_pct`` and keeps its proportions."""
    # Slightly more than the quotient: 224 / 0.875 must be 256 even if the division gives slightly less.
    height, width = (int(side / settings.crop_pct + 1e-6) for side in settings.size)
    if Fraction(width, source[0]) >= Fraction(height, source[1]):
        return width, max(width * source[1] // source[0], settings.size[0])
    return max(height * source[0] // source[1], settings.size[1]), height
