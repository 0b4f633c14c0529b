"""What things lie on or hang at: wood, cork, plaster, brick, paper."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drawing.canvas import Colour, mix
from drawing.light import fractal, shade, tint, to_array, to_image


def wood(
    rng: np.random.Generator, size: tuple[int, int], dark: Colour = (96, 62, 36), bright: Colour = (176, 124, 78)
) -> Image.Image:
    """A table of planks that run from left to right."""
    planks = 5
    height = -(-size[1] // planks)
    rows = []
    for _ in range(planks):
        fibre = fractal(rng, (size[0], height), (2, 24), 4)
        plank = tint(fibre, dark, bright) * rng.uniform(0.84, 1.06)
        plank[:3] *= 0.45
        rows.append(plank)
    return to_image(np.concatenate(rows)[: size[1]])


def cork(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A pin board."""
    lumps = fractal(rng, size, (size[0] // 24, size[1] // 24), 4)
    return to_image(tint(lumps, (134, 88, 48), (214, 168, 112)))


def plaster(rng: np.random.Generator, size: tuple[int, int], colour: Colour = (206, 198, 184)) -> Image.Image:
    """A painted wall with some life in it."""
    rough = fractal(rng, size, (6, 5), 6)
    return to_image(tint(rough, mix(colour, (0, 0, 0), 0.16), mix(colour, (255, 255, 255), 0.12)))


def brick(
    rng: np.random.Generator, size: tuple[int, int], colour: Colour = (142, 72, 54), unit: tuple[int, int] = (66, 26)
) -> Image.Image:
    """A wall of bricks of ``unit`` pixels, every other row shifted by half a brick."""
    wall = Image.new("RGB", size, (120, 108, 98))
    pen = ImageDraw.Draw(wall)
    width, height = unit
    for row in range(size[1] // height + 1):
        for left in range(-width if row % 2 else -width // 2, size[0], width):
            tone = mix(colour, (70, 34, 28) if rng.random() < 0.5 else (190, 110, 84), float(rng.uniform(0, 0.45)))
            pen.rectangle([left + 2, row * height + 2, left + width - 2, row * height + height - 2], fill=tone)
    rough = 0.78 + 0.44 * fractal(rng, size, (size[0] // 30, size[1] // 30), 3)
    return shade(wall.filter(ImageFilter.GaussianBlur(0.8)), rough)


def creased(paper: Image.Image, rng: np.random.Generator, depth: float = 0.12) -> Image.Image:
    """``paper`` as if it had been in a pocket; ``depth`` is how far the shading goes."""
    folds = fractal(rng, paper.size, (2, 3), 3)
    lit = shade(paper, 1 - depth * folds)
    tooth = rng.normal(0, 1.5, (paper.height, paper.width, 1)).astype(np.float32)
    return to_image(to_array(lit) + tooth)
