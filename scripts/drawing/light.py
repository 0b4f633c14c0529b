"""Texture, gradients, lenses: what makes a drawing look as if a camera had seen it.

Arrays are ``(H, W)`` or ``(H, W, 3)`` float32; pixel values run from 0 to 255, noise fields from 0 to 1.
Sizes are ``(width, height)`` as in Pillow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from drawing.canvas import Colour, Point

Array = Any
Stops = list[tuple[float, Colour]]


def to_image(pixels: Array) -> Image.Image:
    """Round and clip ``pixels`` to an 8-bit image, greyscale or RGB by its shape."""
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def to_array(image: Image.Image) -> Array:
    """The pixels of ``image`` as float32."""
    return np.asarray(image, dtype=np.float32)


def fractal(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int] = (4, 4), octaves: int = 5
) -> Array:
    """Value noise in [0, 1], shape ``(H, W)``; ``cells`` is how many lumps lie across and down in the first octave."""
    total: Array = np.zeros((size[1], size[0]), np.float32)
    for octave in range(octaves):
        grid = rng.random((cells[1] * 2**octave + 1, cells[0] * 2**octave + 1)).astype(np.float32)
        total += to_array(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)) * 0.5**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def ridge(rng: np.random.Generator, width: int, cells: int, octaves: int = 6) -> Array:
    """A skyline: noise in [0, 1], shape ``(width,)``."""
    return fractal(rng, (width, 2), (cells, 1), octaves)[0]


def gradient(size: tuple[int, int], stops: Stops) -> Array:
    """Colours from top (0) to bottom (1), shape ``(H, W, 3)``."""
    places = [place for place, _ in stops]
    rows = np.linspace(0, 1, size[1])
    channels = [np.interp(rows, places, [colour[i] for _, colour in stops]) for i in range(3)]
    column = np.stack(channels, axis=-1).astype(np.float32)
    return np.repeat(column[:, None, :], size[0], axis=1)


def tint(field: Array, dark: Colour, bright: Colour) -> Array:
    """Turn a field in [0, 1] into colours between ``dark`` and ``bright``, shape ``(H, W, 3)``."""
    low, high = np.array(dark, np.float32), np.array(bright, np.float32)
    return low + field[..., None] * (high - low)


def glow(size: tuple[int, int], centre: Point, radius: float) -> Array:
    """A soft round light in [0, 1], shape ``(H, W)``; ``radius`` is its standard deviation in pixels."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2))


def soften(image: Image.Image, radius: float) -> Image.Image:
    """``image`` out of focus by ``radius`` pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def grain(image: Image.Image, rng: np.random.Generator, sigma: float) -> Image.Image:
    """Sensor noise of ``sigma`` grey levels, alike in all channels."""
    pixels = to_array(image)
    noise = rng.normal(0, sigma, pixels.shape[:2]).astype(np.float32)
    return to_image(pixels + (noise if pixels.ndim == 2 else noise[..., None]))


def shade(image: Image.Image, field: Array) -> Image.Image:
    """Multiply the light: ``field`` of shape ``(H, W)``, 1 leaves a pixel as it is."""
    return to_image(to_array(image) * field[..., None])


def vignette(size: tuple[int, int], strength: float = 0.35) -> Array:
    """The fall-off of a lens, shape ``(H, W)``: 1 in the middle, ``1 - strength`` in the corners."""
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    return 1 - strength * (x**2 + y**2) / 2


def slope(size: tuple[int, int], start: float, end: float, across: float = 0.5) -> Array:
    """Light from ``start`` to ``end``, shape ``(H, W)``; ``across`` 1 runs from left to right, 0 from top to bottom."""
    y = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    x = np.linspace(0, 1, size[0], dtype=np.float32)[None, :]
    return start + (end - start) * (across * x + (1 - across) * y)


def perspective(corners: list[Point], size: tuple[int, int]) -> tuple[float, ...]:
    """Pillow's eight coefficients that put an image of ``size`` onto ``corners`` (clockwise from the top left)."""
    width, height = size
    rows, goals = [], []
    for (x, y), (u, v) in zip(corners, [(0, 0), (width, 0), (width, height), (0, height)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        goals += [u, v]
    solution = np.linalg.solve(np.array(rows, np.float64), np.array(goals, np.float64))
    return tuple(float(value) for value in solution)


def place(picture: Image.Image, corners: list[Point], size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """``picture`` seen in perspective on a frame of ``size``: the layer and its mask.

    Works at twice the size, so that edges come out smooth.
    """
    twice = (size[0] * 2, size[1] * 2)
    coefficients = perspective([(x * 2, y * 2) for x, y in corners], picture.size)
    mask = Image.new("L", picture.size, 255) if picture.mode != "RGBA" else picture.getchannel("A")
    warp = (Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    layer = picture.convert("RGB").transform(twice, *warp).reduce(2)
    return layer, mask.transform(twice, *warp).reduce(2)


def lay(
    picture: Image.Image, backdrop: Image.Image, corners: list[Point], shadow: float = 14, depth: float = 0.55
) -> Image.Image:
    """Lay ``picture`` on ``backdrop`` with a soft shadow of ``shadow`` pixels; ``depth`` 1 is a black one."""
    layer, mask = place(picture, corners, backdrop.size)
    cast = ImageChops.offset(mask.filter(ImageFilter.GaussianBlur(shadow)), round(shadow * 0.6), round(shadow * 0.8))
    scene = shade(backdrop, 1 - depth * to_array(cast) / 255)
    scene.paste(layer, (0, 0), mask)
    return scene


def wobble(
    image: Image.Image, rng: np.random.Generator, amplitude: float, cells: tuple[int, int] = (12, 12)
) -> Image.Image:
    """Move the points of a grid by up to ``amplitude`` pixels, as a hand or creased paper would."""
    width, height = image.size
    columns, rows = cells
    shifts = rng.uniform(-amplitude, amplitude, (rows + 1, columns + 1, 2))
    shifts[[0, -1]], shifts[:, [0, -1]] = 0, 0
    mesh = []
    for r in range(rows):
        for c in range(columns):
            box = (width * c // columns, height * r // rows, width * (c + 1) // columns, height * (r + 1) // rows)
            mesh.append((box, _moved(box, shifts[r : r + 2, c : c + 2])))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)


def _moved(box: tuple[int, int, int, int], shifts: Array) -> tuple[float, ...]:
    """The corners of ``box`` in Pillow's order (top left, bottom left, bottom right, top right), shifted."""
    left, top, right, bottom = box
    order = [(left, top, 0, 0), (left, bottom, 1, 0), (right, bottom, 1, 1), (right, top, 0, 1)]
    return tuple(float(v) for x, y, r, c in order for v in (x + shifts[r, c, 0], y + shifts[r, c, 1]))


def develop(
    image: Image.Image, rng: np.random.Generator, blur: float = 0.7, noise: float = 3.0, dark_corners: float = 0.3
) -> Image.Image:
    """The last step of every photo: lens fall-off, softness (pixels), sensor noise (grey levels)."""
    lit = shade(image, vignette(image.size, dark_corners))
    return grain(lit.filter(ImageFilter.GaussianBlur(blur)), rng, noise)
