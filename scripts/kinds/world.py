"""What may vary, and how far: letters, words, colours, cameras. Training and testing live in different worlds."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from drawing.canvas import Colour, Point, font
from PIL import Image, ImageDraw

Rng = np.random.Generator

HANGUL = (
    "안내문입주민여러분께알려드립니다승강기정점검을실시하오계단이용행복식떡볶김밥라면오늘의메뉴녹차치즈케이크고양를찾습"
)


@dataclass(frozen=True)
class World:
    """Ranges are ``(least, most)``: ``hues`` in [0, 1], JPEG ``quality``.

    The rest are limits: ``tilt`` in degrees, ``blur`` in pixels, ``noise`` in grey levels.
    """

    faces: tuple[str, ...]
    syllables: tuple[str, ...]
    hues: tuple[float, float]
    quality: tuple[int, int]
    tilt: float
    blur: float
    noise: float


TRAINING = World(
    faces=("gothic", "gothic-bold", "mono", "round"),
    syllables=(
        "ba",
        "ke",
        "lo",
        "mi",
        "nu",
        "ra",
        "se",
        "ti",
        "vo",
        "ster",
        "and",
        "ing",
        "the",
        "cor",
        "ple",
        "12",
        "40",
    ),
    hues=(0.0, 0.8),
    quality=(35, 95),
    tilt=5,
    blur=1.2,
    noise=9,
)
TESTING = World(
    faces=("serif", "gothic"),
    syllables=("fa", "ghi", "jo", "wu", "xe", "zy", "quo", "mar", "ton", "est", "our", "ch", "ly", "7", "863"),
    hues=(0.1, 1.0),
    quality=(20, 70),
    tilt=8,
    blur=1.6,
    noise=13,
)
Layout = Callable[[Rng, World], Image.Image]


def between(rng: Rng, low: float, high: float) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(rng.integers(int(low), int(high) + 1))


def chance(rng: Rng, share: float) -> bool:
    """True in ``share`` of all cases."""
    return bool(rng.random() < share)


def colour(
    rng: Rng, world: World, saturation: tuple[float, float] = (0.3, 0.95), value: tuple[float, float] = (0.3, 0.9)
) -> Colour:
    """A colour with a hue of ``world``; saturation and value in [0, 1]."""
    parts = colorsys.hsv_to_rgb(rng.uniform(*world.hues), rng.uniform(*saturation), rng.uniform(*value))
    red, green, blue = (round(255 * part) for part in parts)
    return red, green, blue


def pale(rng: Rng, world: World) -> Colour:
    """Paper: white more often than not."""
    return (255, 255, 255) if chance(rng, 0.45) else colour(rng, world, (0.0, 0.14), (0.88, 1.0))


def dark(rng: Rng, world: World) -> Colour:
    """Ink: near black, sometimes with a hue."""
    return colour(rng, world, (0.0, 0.7), (0.0, 0.35))


def face(rng: Rng, world: World) -> str:
    """One of the fonts of ``world``."""
    return str(rng.choice(world.faces))


def words(rng: Rng, world: World, count: int, korean: bool = False) -> str:
    """``count`` made-up words, Latin or Hangul."""
    if korean:
        return " ".join("".join(rng.choice(list(HANGUL), between(rng, 1, 4))) for _ in range(count))
    made = ["".join(rng.choice(world.syllables, between(rng, 1, 3))) for _ in range(count)]
    return " ".join(word.capitalize() if chance(rng, 0.15) else word for word in made)


def canvas(
    rng: Rng, fill: Colour, aspect: tuple[float, float] = (0.65, 1.8)
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty image whose longer side has 320 pixels; ``aspect`` is the range of width / height."""
    ratio = float(np.exp(rng.uniform(*np.log(aspect))))
    size = (320, round(320 / ratio)) if ratio > 1 else (round(320 * ratio), 320)
    image = Image.new("RGB", size, fill)
    return image, ImageDraw.Draw(image)


def fit(text: str, name: str, size: int, width: float) -> str:
    """``text`` cut at its end until it is no wider than ``width`` pixels."""
    letters = font(name, size)
    fitting, beyond = 0, len(text) + 1
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if letters.getlength(text[:middle]) <= width else (fitting, middle)
    return text[:fitting]


def corners(rng: Rng, box: tuple[float, float, float, float], shake: float) -> list[Point]:
    """The corners of ``box`` clockwise from the top left, each up to ``shake`` pixels off."""
    left, top, right, bottom = box
    points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    moves = rng.uniform(-shake, shake, (4, 2))
    return [(x + float(dx), y + float(dy)) for (x, y), (dx, dy) in zip(points, moves, strict=True)]
