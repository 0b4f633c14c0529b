"""What happens to a picture before a program sees it: crops, tilts, blur, noise, JPEG. Alike for every kind."""

from __future__ import annotations

import io

import numpy as np
from drawing.light import grain, shade, slope, to_array, to_image
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from kinds.world import Rng, World, between, chance


def degrade(image: Image.Image, rng: Rng, world: World) -> Image.Image:
    """``image`` after an unlucky life, each misfortune by chance."""
    if chance(rng, 0.35):
        image = _tilted(image, float(rng.uniform(-world.tilt, world.tilt)))
    if chance(rng, 0.6):
        image = _cropped(image, rng)
    if chance(rng, 0.6):
        image = _lit(image, rng)
    if chance(rng, 0.35):
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, world.blur)))
    if chance(rng, 0.4):
        image = grain(image, rng, float(rng.uniform(0, world.noise)))
    if chance(rng, 0.12):
        image = ImageOps.grayscale(image).convert("RGB")
    return _compressed(image, between(rng, *world.quality)) if chance(rng, 0.6) else image


def _tilted(image: Image.Image, angle: float) -> Image.Image:
    edge = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    corner = image.getpixel((2, 2))
    fill = corner if isinstance(corner, tuple) else edge
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=fill)


def _cropped(image: Image.Image, rng: Rng) -> Image.Image:
    width, height = image.size
    left, right = rng.uniform(0, 0.1, 2) * width
    top, bottom = rng.uniform(0, 0.1, 2) * height
    return image.crop((round(left), round(top), round(width - right), round(height - bottom)))


def _lit(image: Image.Image, rng: Rng) -> Image.Image:
    image = ImageEnhance.Contrast(image).enhance(float(rng.uniform(0.7, 1.25)))
    start, end = rng.uniform(0.6, 1.12, 2)
    image = shade(image, slope(image.size, start, end, float(rng.random())))
    warmth = np.array([rng.uniform(0.9, 1.08), 1.0, rng.uniform(0.82, 1.08)], np.float32)
    return to_image(to_array(image) * warmth)


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    back: Image.Image = Image.open(buffer)
    return back.convert("RGB")
