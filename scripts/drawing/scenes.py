"""Pictures without a word: hills, sea, night sky, city, lamps out of focus, the moon."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drawing import light
from drawing.canvas import Colour, mix

DAWN: light.Stops = [(0, (52, 84, 140)), (0.3, (126, 146, 186)), (0.52, (244, 196, 158)), (0.62, (252, 222, 176))]
NOON: light.Stops = [(0, (52, 112, 190)), (0.5, (150, 194, 230)), (1, (214, 230, 238))]
NIGHT: light.Stops = [(0, (6, 10, 30)), (0.55, (16, 30, 62)), (1, (38, 58, 88))]
EVENING: light.Stops = [(0, (34, 40, 92)), (0.35, (122, 74, 128)), (0.6, (236, 128, 92)), (0.72, (252, 190, 116))]


def clouds(rng: np.random.Generator, pixels: Any, strength: float = 0.6, colour: Colour = (255, 250, 244)) -> Any:
    """Thin clouds over ``pixels``, thinner towards the top; returns a new array."""
    height, width = pixels.shape[:2]
    field = light.fractal(rng, (width, height), (4, 12), 6)
    cover = np.clip((field - 0.48) * 2.6, 0, 1) * strength * np.linspace(0.35, 1, height, dtype=np.float32)[:, None]
    return pixels + (np.array(colour, np.float32) - pixels) * cover[..., None]


def hills(
    rng: np.random.Generator, pixels: Any, far: Colour, near: Colour, top: float, bottom: float, rows: int = 6
) -> None:
    """Ranges of hills into ``pixels``, from haze ``far`` to ``near``; ``top`` and ``bottom`` are in [0, 1]."""
    height, width = pixels.shape[:2]
    y = np.arange(height, dtype=np.float32)[:, None]
    for row in range(rows):
        share = row / max(rows - 1, 1)
        crest = light.ridge(rng, width, 2 + row, 7) - 0.5
        edge = height * (top + (bottom - top) * share) - crest * height * (0.22 - 0.1 * share)
        cover = np.clip(y - edge[None, :], 0, 1)[..., None]
        depth = np.clip((y - edge[None, :]) / (height * 0.3), 0, 1)[..., None]
        body = np.array(mix(far, near, share**1.3), np.float32)
        mist = np.array(mix(far, near, share**1.3 * 0.65), np.float32)
        pixels += (body + (mist - body) * depth - pixels) * cover


def fir(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, foot: float, height: float, fill: Colour) -> None:
    """One fir tree of ``height`` pixels that stands at ``(x, foot)``."""
    pen.rectangle([x - height * 0.015, foot - height * 0.3, x + height * 0.015, foot + 4], fill=fill)
    tiers = 9
    for tier in range(tiers):
        top = foot - height + height * 0.86 * tier / tiers
        half = height * (0.035 + 0.19 * (tier + 1) / tiers) * rng.uniform(0.85, 1.15)
        base = top + height * 0.17
        pen.polygon([(x, top), (x + half, base), (x + half * 0.3, base - 3), (x - half, base + 2)], fill=fill)


def _forest(image: Image.Image, rng: np.random.Generator, ground: float, fill: Colour, trees: int = 46) -> Image.Image:
    twice = image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(twice)
    for x in rng.uniform(0, twice.width, trees):
        edge = abs(x / twice.width - 0.5) * 2
        size = twice.height * (0.05 + 0.2 * edge**1.5) * rng.uniform(0.7, 1.2)
        fir(pen, rng, float(x), twice.height * (ground + 0.02 * rng.random()), float(size), fill)
    return twice.reduce(2)


def mirror(pixels: Any, shore: int, rng: np.random.Generator, tone: Colour = (70, 92, 124)) -> None:
    """Turn what lies below row ``shore`` of ``pixels`` into water that mirrors what lies above."""
    height, width = pixels.shape[:2]
    depth = height - shore
    rows = np.arange(depth)
    source = np.clip(shore - 1 - rows * min(1.0, (shore - 1) / depth), 0, shore - 1).astype(int)
    ripple = light.fractal(rng, (width, depth), (6, 60), 3) - 0.5
    columns = np.arange(width)[None, :] + ripple * (4 + 26 * rows[:, None] / depth)
    water = pixels[source[:, None], np.clip(columns, 0, width - 1).astype(int)]
    pixels[shore:] = water * 0.72 + np.array(tone, np.float32) * (0.22 + 0.16 * ripple[..., None])


def landscape(rng: np.random.Generator) -> Image.Image:
    """Hills behind a lake at sunrise."""
    size = (1200, 800)
    pixels = clouds(rng, light.gradient(size, DAWN), 0.7, (255, 226, 206))
    pixels += light.glow(size, (790, 372), 130)[..., None] * np.array([120, 92, 40], np.float32)
    hills(rng, pixels, (206, 180, 186), (36, 62, 66), 0.42, 0.62)
    shored = _forest(light.to_image(pixels), rng, 0.675, (20, 38, 42))
    pixels = light.to_array(shored).copy()
    mirror(pixels, 545, rng)
    return light.develop(light.to_image(pixels), rng, 0.6, 2.2)


def seaside(rng: np.random.Generator) -> Image.Image:
    """The sun goes down over the sea; wet sand in front."""
    size = (1100, 733)
    pixels = clouds(rng, light.gradient(size, EVENING), 0.75, (255, 178, 150))
    pixels += light.glow(size, (600, 372), 120)[..., None] * np.array([120, 86, 30], np.float32)
    disc = np.clip(30 - np.hypot(*(np.mgrid[0:733, 0:1100] - np.array([376, 600])[:, None, None])), 0, 1)
    pixels += disc[..., None] * (np.array([255, 244, 206], np.float32) - pixels)
    pixels[400:] = _sea(rng, (1100, 333))
    return light.develop(light.to_image(pixels), rng, 0.6, 2.2)


def _sea(rng: np.random.Generator, size: tuple[int, int]) -> Any:
    """Water and beach, shape ``(H, W, 3)``, lit from behind at column 600."""
    waves = light.fractal(rng, size, (5, 46), 4)
    y = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    x: Any = np.arange(size[0], dtype=np.float32)[None, :]
    water = light.tint(waves * (0.5 + 0.5 * y), (56, 62, 104), (214, 140, 122))
    glitter = np.exp(-(((x - 600) / (30 + 190 * y)) ** 2)) * np.clip((waves - 0.42) * 5, 0, 1)
    water += glitter[..., None] * np.array([180, 130, 60], np.float32)
    shore = 0.66 + 0.1 * (light.ridge(rng, size[0], 3, 4)[None, :] - 0.5)
    sand = light.tint(light.fractal(rng, size, (200, 120), 2) * (0.5 + 0.5 * y), (110, 78, 70), (206, 158, 124))
    water += np.clip((y - shore) * 90, 0, 1)[..., None] * (sand - water)
    foam = np.exp(-(((y - shore) / 0.012) ** 2)) * (0.5 + 0.5 * waves)
    return water + foam[..., None] * (np.array([255, 240, 232], np.float32) - water)


def aurora(rng: np.random.Generator) -> Image.Image:
    """Northern lights over mountains."""
    size = (1200, 750)
    pixels = light.gradient(size, NIGHT)
    stars = np.where(rng.random((750, 1200)) > 0.9988, rng.uniform(60, 220, (750, 1200)), 0).astype(np.float32)
    pixels += light.to_array(light.to_image(stars).filter(ImageFilter.GaussianBlur(0.7)))[..., None] * 1.8
    for base, colour in ((0.36, (60, 220, 140)), (0.3, (40, 160, 170)), (0.26, (120, 80, 190))):
        pixels += curtain(rng, size, base)[..., None] * np.array(colour, np.float32)
    hills(rng, pixels, (30, 52, 74), (6, 10, 18), 0.72, 0.92, 4)
    snow = _forest(light.to_image(pixels), rng, 1.0, (3, 6, 10), 30)
    return light.develop(snow, rng, 0.6, 1.6, 0.45)


def curtain(rng: np.random.Generator, size: tuple[int, int], base: float) -> Any:
    """One band of northern light in [0, 1], shape ``(H, W)``: sharp below, fading upwards in rays."""
    foot = (base + 0.3 * (light.ridge(rng, size[0], 2, 3) - 0.4)) * size[1]
    rays = 0.45 + 0.55 * light.ridge(rng, size[0], 18, 4)
    strength = light.ridge(rng, size[0], 3, 2)
    above = foot[None, :] - np.arange(size[1], dtype=np.float32)[:, None]
    fade = np.where(above > 0, np.exp(-above / (130 * rays[None, :])), np.exp(above / 16))
    return fade * (strength * rays)[None, :] * 0.9


def panorama(rng: np.random.Generator) -> Image.Image:
    """A city by the water after sunset, five times as wide as high."""
    size = (3000, 600)
    pixels = clouds(rng, light.gradient(size, [(place * 1.1, colour) for place, colour in EVENING]), 0.4)
    image = light.to_image(pixels)
    for depth, (fill, lit) in enumerate([((128, 88, 120), 0.0), ((74, 58, 96), 0.08), ((26, 28, 52), 0.2)]):
        _skyline(ImageDraw.Draw(image), rng, size[0], 436, 190 - 50 * depth, fill, lit)
    pixels = light.to_array(image).copy()
    mirror(pixels, 436, rng, (44, 44, 86))
    return light.develop(light.to_image(pixels), rng, 0.6, 1.8, 0.2)


def _skyline(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, ground: int, tallest: int, fill: Colour, lit: float
) -> None:
    x = -10
    while x < width:
        broad, tall = (
            int(rng.integers(26, 80)),
            int(tallest * rng.uniform(0.4, 1.5) * (1.7 if rng.random() < 0.1 else 1)),
        )
        tone = mix(fill, (0, 0, 0), float(rng.uniform(0, 0.25)))
        pen.rectangle([x, ground - tall, x + broad, ground], fill=tone)
        if rng.random() < 0.3:
            pen.line([x + broad / 2, ground - tall - 26, x + broad / 2, ground - tall], fill=tone, width=3)
        for top in range(ground - tall + 8, ground - 6, 12):
            for left in range(x + 6, x + broad - 6, 10):
                if rng.random() < lit:
                    lamp = mix((255, 196, 110), (255, 240, 200), float(rng.random()))
                    pen.rectangle([left, top, left + 4, top + 5], fill=lamp)
        x += broad + int(rng.integers(-4, 8))


def bokeh(rng: np.random.Generator) -> Image.Image:
    """Lamps of a street at night, out of focus."""
    size = (1080, 720)
    pixels = light.gradient(size, [(0, (10, 12, 26)), (0.6, (30, 20, 36)), (1, (16, 14, 22))])
    hues: list[Colour] = [
        (255, 186, 96),
        (255, 120, 70),
        (250, 226, 170),
        (120, 180, 255),
        (255, 90, 120),
        (130, 230, 180),
    ]
    for _ in range(90):
        radius = float(rng.uniform(12, 58))
        at = (float(rng.uniform(0, size[0])), float(rng.normal(0.5, 0.17) * size[1]))
        pixels += (
            lens_disc(size, at, radius)[..., None] * np.array(hues[rng.integers(len(hues))]) * rng.uniform(0.12, 0.55)
        )
    return light.develop(light.to_image(pixels).filter(ImageFilter.GaussianBlur(1.2)), rng, 0.6, 2.5, 0.5)


def lens_disc(size: tuple[int, int], at: tuple[float, float], radius: float) -> Any:
    """The disc that a lamp out of focus makes, a little brighter at its rim; in [0, 1], shape ``(H, W)``."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    away = np.hypot(x - at[0], y - at[1]) / radius
    return np.clip((1 - away) * radius / 2.5, 0, 1) * (0.72 + 0.28 * np.clip(away, 0, 1) ** 4)


def moon(rng: np.random.Generator) -> Image.Image:
    """The moon through a telescope: 12 bits of brightness in a 16-bit file, as cameras for it write them."""
    side = 440
    y, x = (np.mgrid[0:side, 0:side].astype(np.float32) - side / 2) / (side * 0.42)
    height = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    seas = np.clip((light.fractal(rng, (side, side), (3, 3), 5) - 0.35) * 2.2, 0, 1)
    craters = sum(_crater(rng, x, y) for _ in range(130))
    sun = np.clip(0.72 * x - 0.35 * y + 0.62 * height, 0, 1)
    bright = (0.42 + 0.4 * seas) * sun * (1 + craters) * (height > 0)
    levels = np.clip(bright * 4000 + rng.normal(24, 2, bright.shape), 0, 4095).astype(np.uint16)
    return Image.fromarray(levels * 16)


def _crater(rng: np.random.Generator, x: Any, y: Any) -> Any:
    """How much one crater lightens (above 0) or darkens (below 0) its surroundings."""
    at, radius = rng.uniform(-0.9, 0.9, 2), rng.uniform(0.015, 0.03) * (1 + 2.5 * rng.random() ** 4)
    u, v = (x - at[0]) / radius, (y - at[1]) / radius
    away = np.hypot(u, v)
    wall = np.exp(-((away - 1) ** 2) * 9)
    return 0.3 * wall * np.clip(u, -1, 1) * np.where(away < 1, -1.0, 1.0) - 0.12 * np.exp(-(away**2) * 1.6)


def meadow(rng: np.random.Generator, size: tuple[int, int] = (900, 600)) -> Image.Image:
    """Grass and flowers under a summer sky."""
    pixels = clouds(rng, light.gradient(size, NOON), 0.9)
    hills(rng, pixels, (150, 178, 186), (86, 132, 62), 0.42, 0.66, 4)
    image = light.to_image(pixels)
    pen = ImageDraw.Draw(image)
    for y in np.sort(rng.uniform(0.6, 1.1, 2600)):
        x, scale = float(rng.uniform(0, size[0])), float((y - 0.5) * 60)
        lean, tone = float(rng.normal(0, scale * 0.3)), mix((48, 92, 30), (150, 186, 70), float(rng.random()))
        pen.line([x, y * size[1], x + lean, y * size[1] - scale * 1.4], fill=tone, width=max(1, int(scale / 9)))
        if rng.random() < 0.1:
            _flower(pen, rng, x + lean, float(y * size[1] - scale * 1.4), scale * 0.22)
    return light.develop(image, rng, 0.5, 2)


def _flower(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    petals: list[Colour] = [(232, 60, 50), (250, 250, 244), (246, 206, 60), (170, 110, 210)]
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=petals[rng.integers(len(petals))])
    pen.ellipse([x - radius / 3, y - radius / 3, x + radius / 3, y + radius / 3], fill=(90, 60, 20))


def trees(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """The sky and tree tops, out of focus: what stands behind a sign."""
    pixels = clouds(rng, light.gradient(size, NOON), 0.8)
    image = light.to_image(pixels)
    pen = ImageDraw.Draw(image)
    for x in np.linspace(-0.04, 1.04, 26) * size[0]:
        radius, y = float(rng.uniform(0.05, 0.11)) * size[0], float(size[1] * rng.uniform(0.86, 1.0))
        tone = mix((40, 78, 36), (104, 142, 62), float(rng.random()))
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=tone)
    return image.filter(ImageFilter.GaussianBlur(0.011 * size[0]))
