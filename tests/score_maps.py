"""Score maps as a detector would give them for made-up layouts: upright, rotated, touching, tiny, curved, none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LAYOUTS = ("upright", "rotated", "touching", "tiny", "curved", "none")

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def blank_maps(height: int, width: int) -> Maps:
    """Nothing anywhere."""
    return np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)


def draw_word(
    maps: Maps, start: tuple[float, float], angle: float, letters: int, size: float, peak: float = 1.0, bend: float = 0
) -> None:
    """A word of ``letters`` blobs from ``start`` on, linked to each other; ``bend`` radians more at each letter."""
    text, link = maps
    x, y = start
    for letter in range(letters):
        _blob(text, (x, y), size, size * 0.9, angle, peak)
        step = size * math.cos(angle), size * math.sin(angle)
        if letter < letters - 1:
            _blob(link, (x + step[0] / 2, y + step[1] / 2), size * 0.8, size * 0.6, angle, peak)
        x, y, angle = x + step[0], y + step[1], angle + bend


def _blob(
    field: NDArray[np.float32], centre: tuple[float, float], long: float, wide: float, angle: float, peak: float
) -> None:
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]].astype(np.float32)
    across, down = columns - centre[0], rows - centre[1]
    along = (across * math.cos(angle) + down * math.sin(angle)) / (long / 2)
    beside = (-across * math.sin(angle) + down * math.cos(angle)) / (wide / 2)
    np.maximum(field, peak * np.exp(-0.9 * (along**2 + beside**2)), out=field)


def made_up(kind: str, seed: int, size: tuple[int, int] = (96, 144)) -> Maps:
    """Maps (H, W) of a layout of ``kind``, with the faint noise that a network leaves everywhere."""
    rng = np.random.default_rng(seed)
    maps = blank_maps(*size)
    _DRAW[kind](maps, rng)
    noise = rng.normal(0, 0.03, (2, *size)).astype(np.float32)
    return tuple(cv2.GaussianBlur(one + some, (3, 3), 0) for one, some in zip(maps, noise, strict=True))  # type: ignore[return-value]


def _somewhere(rng: np.random.Generator, maps: Maps) -> tuple[float, float]:
    height, width = maps[0].shape
    return float(rng.uniform(-2, width * 0.7)), float(rng.uniform(-2, height))


def _upright(maps: Maps, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 6))):
        draw_word(maps, _somewhere(rng, maps), rng.uniform(-0.03, 0.03), int(rng.integers(1, 7)), rng.uniform(6, 16))


def _rotated(maps: Maps, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 5))):
        angle = rng.uniform(-math.pi, math.pi)
        draw_word(maps, _somewhere(rng, maps), angle, int(rng.integers(1, 6)), rng.uniform(6, 18))


def _touching(maps: Maps, rng: np.random.Generator) -> None:
    x, y = _somewhere(rng, maps)
    size = rng.uniform(7, 14)
    for row in range(int(rng.integers(2, 5))):
        draw_word(
            maps, (x + rng.uniform(-4, 4), y + row * size * rng.uniform(0.7, 1.1)), 0, 4, size, rng.uniform(0.7, 1)
        )


def _tiny(maps: Maps, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 20))):
        draw_word(maps, _somewhere(rng, maps), rng.uniform(-1, 1), 1, rng.uniform(1.5, 6), rng.uniform(0.5, 1))


def _curved(maps: Maps, rng: np.random.Generator) -> None:
    bend = rng.uniform(0.1, 0.5) * rng.choice([-1, 1])
    draw_word(maps, _somewhere(rng, maps), rng.uniform(-1, 1), int(rng.integers(4, 10)), rng.uniform(7, 12), bend=bend)


def _none(maps: Maps, rng: np.random.Generator) -> None:
    """Links without characters now and then: no word either."""
    if rng.random() < 0.5:
        _blob(maps[1], _somewhere(rng, maps), 12, 6, 0, 0.9)


_DRAW: dict[str, Any] = {
    "upright": _upright,
    "rotated": _rotated,
    "touching": _touching,
    "tiny": _tiny,
    "curved": _curved,
    "none": _none,
}


def layouts(count: int) -> Sequence[tuple[str, int]]:
    """``count`` layouts as kind and seed, all kinds alike often."""
    return [(LAYOUTS[number % len(LAYOUTS)], number) for number in range(count)]
