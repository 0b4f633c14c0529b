"""Colours, letters and plain shapes. Nothing here is random."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

FONTS = Path(__file__).resolve().parents[2] / "examples" / "fonts"
FACES = ("gothic", "gothic-bold", "serif", "mono", "round")
"""Names of the shipped fonts, without ``.ttf``."""

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
INK: Colour = (38, 40, 46)


@lru_cache(maxsize=256)
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """One of :data:`FACES` at ``size`` pixels.

    Basic layout: what the shaping library of a machine would do must not change the picture.
    """
    return ImageFont.truetype(FONTS / f"{face}.ttf", size, layout_engine=ImageFont.Layout.BASIC)


def write(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    face: str,
    size: int,
    fill: Colour | int = INK,
    anchor: str = "la",
) -> None:
    """Put one line of text at ``at`` (pixels); ``anchor`` as in Pillow."""
    draw.text(at, text, font=font(face, size), fill=fill, anchor=anchor)


def write_lines(
    draw: ImageDraw.ImageDraw,
    at: Point,
    lines: list[str],
    face: str,
    size: int,
    fill: Colour | int = INK,
    leading: float = 1.5,
) -> float:
    """Put lines under one another; returns the y below the last one."""
    x, y = at
    for line in lines:
        write(draw, (x, y), line, face, size, fill)
        y += size * leading
    return y


def sheet(size: tuple[int, int], fill: Colour = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty RGB image of ``(width, height)`` and the pen for it."""
    image = Image.new("RGB", size, fill)
    return image, ImageDraw.Draw(image)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` at share 0, ``second`` at share 1, and what lies between."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def dashed(
    draw: ImageDraw.ImageDraw, start: Point, end: Point, fill: Colour, width: int = 2, dash: tuple[int, int] = (10, 8)
) -> None:
    """A dashed horizontal or slanted line; ``dash`` is the length drawn and the length left out, in pixels."""
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    step = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    position = 0.0
    while position < length:
        stop = min(position + dash[0], length)
        a = (start[0] + step[0] * position, start[1] + step[1] * position)
        b = (start[0] + step[0] * stop, start[1] + step[1] * stop)
        draw.line([a, b], fill=fill, width=width)
        position += sum(dash)


def arrow(
    draw: ImageDraw.ImageDraw, start: Point, end: Point, fill: Colour, width: int = 4, head: float | None = None
) -> None:
    """A straight arrow from ``start`` to ``end``; ``head`` is the length of its point in pixels."""
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    size = head if head is not None else width * 4
    neck = (end[0] - along[0] * size, end[1] - along[1] * size)
    across = (-along[1] * size * 0.55, along[0] * size * 0.55)
    draw.line([start, neck], fill=fill, width=width)
    draw.polygon([end, (neck[0] + across[0], neck[1] + across[1]), (neck[0] - across[0], neck[1] - across[1])], fill)
