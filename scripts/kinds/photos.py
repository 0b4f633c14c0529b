"""Scenes as a camera sees them: soft edges, shading, depth, and no words."""

from __future__ import annotations

from typing import Any

import numpy as np
from drawing import light, scenes, surfaces
from drawing.canvas import Colour, mix
from PIL import Image, ImageDraw, ImageFilter

from kinds.world import Layout, Rng, World, between, canvas, chance, colour


def sky(rng: Rng, world: World, size: tuple[int, int]) -> Any:
    """Pixels of a sky by day, evening or night, with clouds more or less."""
    high = colour(rng, world, (0.3, 0.9), (0.05, 0.8))
    low = colour(rng, world, (0.1, 0.7), (0.2, 1.0))
    pixels = light.gradient(size, [(0, high), (rng.uniform(0.4, 1), low), (1, mix(low, (255, 255, 255), 0.3))])
    pale = colour(rng, world, (0, 0.3), (0.7, 1.0))
    return scenes.clouds(rng, pixels, float(rng.uniform(0, 0.95)), pale)


def hills(rng: Rng, world: World) -> Image.Image:
    """Ranges of hills, sometimes behind water or with firs before them."""
    size = canvas(rng, (0, 0, 0), (0.7, 2.6))[0].size
    pixels = sky(rng, world, size)
    far, near = colour(rng, world, (0.1, 0.4), (0.4, 0.8)), colour(rng, world, (0.2, 0.8), (0.05, 0.5))
    top = float(rng.uniform(0.3, 0.6))
    scenes.hills(rng, pixels, far, near, top, top + float(rng.uniform(0.1, 0.4)), between(rng, 2, 7))
    image = light.to_image(pixels)
    if chance(rng, 0.5):
        pen = ImageDraw.Draw(image)
        for x in rng.uniform(0, size[0], between(rng, 3, 30)):
            scenes.fir(
                pen,
                rng,
                float(x),
                size[1] * float(rng.uniform(0.7, 1)),
                float(rng.uniform(15, 90)),
                mix(near, (0, 0, 0), 0.5),
            )
    if chance(rng, 0.35):
        pixels = light.to_array(image).copy()
        scenes.mirror(pixels, round(size[1] * rng.uniform(0.55, 0.85)), rng, near)
        image = light.to_image(pixels)
    return image


def sea(rng: Rng, world: World) -> Image.Image:
    """Water to the horizon, with or without a beach and a low sun."""
    width, height = size = canvas(rng, (0, 0, 0), (0.7, 2.0))[0].size
    pixels = sky(rng, world, size)
    shore = round(height * rng.uniform(0.3, 0.7))
    spot = (float(rng.uniform(0.1, 0.9)) * width, shore * float(rng.uniform(0.5, 1)))
    pixels += light.glow(size, spot, width * 0.1)[..., None] * 140 * rng.random()
    waves = light.fractal(rng, (width, height - shore), (5, 40), 4)
    water = light.tint(waves, colour(rng, world, (0.3, 0.9), (0.1, 0.4)), colour(rng, world, (0.1, 0.6), (0.4, 0.9)))
    pixels[shore:] = water
    if chance(rng, 0.5):
        beach = round(height * rng.uniform(0.75, 0.95))
        sand = light.fractal(rng, (width, height - beach), (60, 30), 3)
        pixels[beach:] = light.tint(
            sand, colour(rng, world, (0.2, 0.5), (0.3, 0.6)), colour(rng, world, (0.1, 0.4), (0.6, 0.9))
        )
    return light.to_image(pixels)


def lamps(rng: Rng, world: World) -> Image.Image:
    """Lights out of focus in the dark."""
    size = canvas(rng, (0, 0, 0), (0.7, 1.8))[0].size
    pixels = light.gradient(
        size, [(0, colour(rng, world, (0, 0.8), (0, 0.2))), (1, colour(rng, world, (0, 0.8), (0, 0.3)))]
    )
    for _ in range(between(rng, 12, 60)):
        at = (float(rng.uniform(0, size[0])), float(rng.normal(0.5, 0.25) * size[1]))
        disc = scenes.lens_disc(size, at, float(rng.uniform(3, 26)))
        pixels += (
            disc[..., None] * np.array(colour(rng, world, (0.1, 0.8), (0.5, 1.0)), np.float32) * rng.uniform(0.1, 0.7)
        )
    return light.to_image(pixels).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2)))


def city(rng: Rng, world: World) -> Image.Image:
    """Houses under the sky, windows lit or not, perhaps mirrored."""
    size = canvas(rng, (0, 0, 0), (0.8, 4.0))[0].size
    image = light.to_image(sky(rng, world, size))
    pen = ImageDraw.Draw(image)
    ground, fill = round(size[1] * rng.uniform(0.6, 1.0)), colour(rng, world, (0, 0.5), (0.1, 0.7))
    for row in range(between(rng, 1, 3)):
        x = -8
        while x < size[0]:
            broad, tall = between(rng, 8, 40), size[1] * rng.uniform(0.12, 0.6) / (row + 1) ** 0.4
            tone = mix(fill, (0, 0, 0), 0.25 * row + 0.25 * float(rng.random()))
            pen.rectangle([x, ground - tall, x + broad, ground], fill=tone)
            _windows(pen, rng, (x, ground - tall, x + broad, ground))
            x += broad + between(rng, -3, 5)
    pixels = light.to_array(image).copy()
    if ground < size[1] - 10:
        scenes.mirror(pixels, ground, rng, mix(fill, (0, 0, 0), 0.5))
    return light.to_image(pixels).filter(ImageFilter.GaussianBlur(0.6))


def _windows(pen: ImageDraw.ImageDraw, rng: Rng, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    share, tone = rng.choice([0, 0.2, 0.5]), (255, 220, 150) if chance(rng, 0.7) else (60, 66, 80)
    for y in np.arange(top + 4, bottom - 4, 6).tolist():
        for x in np.arange(left + 3, right - 3, 5).tolist():
            if chance(rng, float(share)):
                pen.rectangle([x, y, x + 2, y + 3], fill=tone)


def ball(size: tuple[int, int], at: tuple[float, float], radius: float, skin: Any, sun: Any) -> tuple[Any, Any]:
    """A lit sphere: pixels ``(H, W, 3)`` and mask ``(H, W)`` in [0, 1].

    ``skin`` is its colour, ``(H, W, 3)``; ``sun`` the direction ``(x, y, z)`` towards the light.
    """
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    u, v = (x - at[0]) / radius, (y - at[1]) / radius
    depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    lit = np.clip(u * sun[0] + v * sun[1] + depth * sun[2], 0, 1)
    shine = np.clip(lit, 0, 1) ** 24 * 110
    return skin * (0.15 + 0.95 * lit)[..., None] + shine[..., None], np.clip((1 - np.hypot(u, v)) * radius, 0, 1)


def fruit(rng: Rng, world: World) -> Image.Image:
    """Round things on a table before a wall."""
    size = canvas(rng, (0, 0, 0), (0.8, 1.6))[0].size
    wall = light.to_array(surfaces.plaster(rng, size, colour(rng, world, (0.1, 0.6), (0.2, 0.8)))).copy()
    edge = round(size[1] * rng.uniform(0.5, 0.8))
    wall[edge:] = light.to_array(surfaces.wood(rng, (size[0], size[1] - edge)))
    sun = np.array([rng.uniform(-0.7, 0.7), -0.5, 0.6])
    for _ in range(between(rng, 1, 6)):
        radius = float(rng.uniform(18, 60))
        at = (float(rng.uniform(0, size[0])), edge + float(rng.uniform(-0.6, 0.4)) * radius)
        wall *= 1 - 0.5 * light.glow(size, (at[0], at[1] + radius), radius * 0.5)[..., None]
        skin = light.tint(
            light.fractal(rng, size, (8, 8), 3),
            colour(rng, world, (0.6, 1), (0.5, 0.9)),
            colour(rng, world, (0.5, 1), (0.6, 1)),
        )
        body, mask = ball(size, at, radius, skin, sun)
        wall += (body - wall) * mask[..., None]
    return light.to_image(wall)


def planet(rng: Rng, world: World) -> Image.Image:
    """One lit globe in the dark, grey as often as not."""
    size = canvas(rng, (0, 0, 0), (0.8, 1.4))[0].size
    tones = (
        ((40, 40, 44), (210, 210, 206))
        if chance(rng, 0.5)
        else (colour(rng, world, value=(0.2, 0.4)), colour(rng, world))
    )
    skin = light.tint(light.fractal(rng, size, (4, 4), 6), *tones)
    sun = np.array([rng.uniform(-0.9, 0.9), rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.8)])
    at = (size[0] * float(rng.uniform(0.35, 0.65)), size[1] * float(rng.uniform(0.35, 0.65)))
    body, mask = ball(size, at, min(size) * float(rng.uniform(0.25, 0.48)), skin, sun)
    stars = np.where(rng.random(mask.shape) > 0.998, rng.uniform(0, 200), 4)[..., None]
    return light.to_image(stars + (body - stars) * mask[..., None])


def closeup(rng: Rng, world: World) -> Image.Image:
    """A surface from near: stone, wood, cork, bricks."""
    size = canvas(rng, (0, 0, 0), (0.7, 1.6))[0].size
    kind = between(rng, 0, 3)
    if kind == 0:
        return surfaces.wood(rng, size)
    if kind == 1:
        return surfaces.brick(
            rng, size, colour(rng, world, (0.2, 0.7), (0.3, 0.7)), (between(rng, 24, 60), between(rng, 10, 24))
        )
    cells = (between(rng, 3, 30), between(rng, 3, 30))
    field = light.fractal(rng, size, cells, 5)
    return light.to_image(
        light.tint(field, colour(rng, world, (0.1, 0.7), (0.05, 0.4)), colour(rng, world, (0.1, 0.7), (0.4, 0.95)))
    )


def northern_lights(rng: Rng, world: World) -> Image.Image:
    """Bands of light at night; kept for testing."""
    size = canvas(rng, (0, 0, 0), (0.8, 1.8))[0].size
    pixels = light.gradient(size, scenes.NIGHT)
    for _ in range(between(rng, 1, 3)):
        band = scenes.curtain(rng, size, float(rng.uniform(0.2, 0.5)))
        pixels += band[..., None] * np.array(colour(rng, world, (0.5, 0.9), (0.5, 0.9)), np.float32)
    scenes.hills(rng, pixels, (30, 52, 74), (6, 10, 18), 0.7, 0.95, 3)
    return light.to_image(pixels)


def meadow(rng: Rng, world: World) -> Image.Image:
    """Grass and flowers; kept for testing."""
    size = canvas(rng, (0, 0, 0), (0.8, 1.8))[0].size
    image = light.to_image(sky(rng, world, size))
    pen = ImageDraw.Draw(image)
    low, high = colour(rng, world, (0.4, 0.9), (0.15, 0.4)), colour(rng, world, (0.3, 0.8), (0.5, 0.8))
    pen.rectangle([0, size[1] * 0.55, *size], fill=low)
    petals: list[Colour] = [colour(rng, world, (0.6, 1), (0.8, 1)) for _ in range(4)]
    for y in np.sort(rng.uniform(0.52, 1.15, 1300)):
        x, tall = float(rng.uniform(0, size[0])), float((y - 0.45) * 40)
        pen.line(
            [x, y * size[1], x + float(rng.normal(0, tall / 3)), y * size[1] - tall],
            fill=mix(low, high, float(rng.random())),
        )
        if chance(rng, 0.06):
            r = tall * 0.14
            pen.ellipse([x - r, y * size[1] - r, x + r, y * size[1] + r], fill=petals[between(rng, 0, 3)])
    return image.filter(ImageFilter.GaussianBlur(0.5))


SEEN: list[Layout] = [hills, sea, lamps, city, fruit, planet, closeup]
UNSEEN: list[Layout] = [northern_lights, meadow]
