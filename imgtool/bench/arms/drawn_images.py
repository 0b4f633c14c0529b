"""Images made on the spot for a benchmark: the same bytes for the same numbers, with shapes and words to find.

Drawn in a process of its own, so that neither the process that measures nor the one measured imports Pillow.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from msgspec import Struct

from imgtool.bench.measure.child import ask

_WORDS = ("invoice", "total", "harbour", "ticket", "station", "2024", "route", "17", "thank you", "open daily", "nine")


class Drawing(Struct, frozen=True):
    """What to draw: ``count`` images whose sizes, in pixels as (width, height), take turns."""

    folder: str
    sizes: tuple[tuple[int, int], ...]
    count: int


def draw_in_child(folder: Path, sizes: tuple[tuple[int, int], ...], count: int) -> tuple[str, ...]:
    """Write ``count`` JPEG files into ``folder``; returns their paths, in order.

    Raises:
        imgtool.bench.measure.child.ChildFailed: it could not be done.
    """
    return tuple(ask(draw, Drawing(str(folder), sizes, count), list[str]))


def draw(request: Drawing) -> list[str]:
    """The child's side."""
    folder = Path(request.folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(request.count):
        width, height = request.sizes[number % len(request.sizes)]
        path = folder / f"{number:04}-{width}x{height}.jpg"
        _picture(number, width, height).save(path, quality=88)
        files.append(str(path))
    return files


def _picture(number: int, width: int, height: int) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    chance = random.Random(number)
    image = Image.new("RGB", (width, height), _pale(chance))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = chance.randrange(width), chance.randrange(height)
        corner = (left + chance.randrange(1, width + 1) // 3, top + chance.randrange(1, height + 1) // 3)
        pen.ellipse((left, top, *corner), fill=_pale(chance))
    size = max(8, height // 18)
    font = ImageFont.load_default(size)
    for line in range(4):
        words = " ".join(chance.choices(_WORDS, k=3))
        pen.text((width // 20, height // 10 + line * 2 * size), words, fill=(20, 20, 30), font=font)
    return image


def _pale(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(150, 255), chance.randrange(150, 255), chance.randrange(150, 255)
