"""Small real image files for the tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

Colour = tuple[int, int, int]


def flat(path: Path, colour: Colour = (255, 255, 255), size: tuple[int, int] = (8, 6)) -> Path:
    """One colour all over. Different colours or sizes have different bytes, so different SHA-256."""
    Image.new("RGB", size, colour).save(path)
    return path


def folder(path: Path, colours: Iterable[Colour]) -> Path:
    """A folder of flat PNGs ``000.png``, ``001.png``, ... in the order of ``colours``."""
    path.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(colours):
        # The size makes each file's content its own, also where colours repeat.
        flat(path / f"{number:03}.png", colour, (8 + number, 6))
    return path


def greys(count: int) -> list[Colour]:
    """Harmless colours, all different up to 200."""
    return [(20 + n % 200, 20 + n % 200, 30) for n in range(count)]
