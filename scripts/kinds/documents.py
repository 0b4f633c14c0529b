"""Pages, slips and notes: flat as a program exports them, or lying on something."""

from __future__ import annotations

import numpy as np
from drawing import light, papers, surfaces
from drawing.canvas import Colour, write
from PIL import Image, ImageDraw

from kinds.world import (
    HANGUL,
    Layout,
    Rng,
    World,
    between,
    canvas,
    chance,
    colour,
    corners,
    dark,
    face,
    fit,
    pale,
    words,
)


def paragraph(
    pen: ImageDraw.ImageDraw, rng: Rng, world: World, box: tuple[float, float, float, float], size: int, ink: Colour
) -> None:
    """Fill ``box`` (left, top, right, bottom) with lines of words."""
    left, top, right, bottom = box
    name, korean = face(rng, world), chance(rng, 0.25)
    leading = size * rng.uniform(1.25, 1.9)
    while top + size <= bottom:
        room = (right - left) * (rng.uniform(0.3, 0.8) if chance(rng, 0.18) else 1)
        write(pen, (left, top), fit(words(rng, world, 16, korean), name, size, room), name, size, ink)
        top += leading * (1.8 if chance(rng, 0.12) else 1)


def heading(
    pen: ImageDraw.ImageDraw, rng: Rng, world: World, left: float, top: float, room: float, ink: Colour
) -> float:
    """One large line; returns the y below it."""
    size, name = between(rng, 12, 22), face(rng, world)
    write(pen, (left, top), fit(words(rng, world, 4, chance(rng, 0.25)), name, size, room), name, size, ink)
    return top + size * 1.8


def letter(rng: Rng, world: World) -> Image.Image:
    """Running text below a heading."""
    page, pen = canvas(rng, pale(rng, world), (0.62, 1.1))
    ink, margin = dark(rng, world), between(rng, 14, 40)
    top = heading(pen, rng, world, margin, margin, page.width - 2 * margin, ink)
    size = between(rng, 6, 11)
    paragraph(
        pen, rng, world, (margin, top, page.width - margin, page.height * rng.uniform(0.5, 1) - margin), size, ink
    )
    return page


def table(rng: Rng, world: World) -> Image.Image:
    """An invoice or a list: head, ruled table, sums, now and then a code."""
    page, pen = canvas(rng, pale(rng, world), (0.62, 1.1))
    ink, margin = dark(rng, world), between(rng, 10, 28)
    top = heading(pen, rng, world, margin, margin, page.width * 0.6, colour(rng, world, value=(0.2, 0.6)))
    paragraph(pen, rng, world, (margin, top, page.width * 0.6, top + 46), between(rng, 6, 9), ink)
    bottom = _rows(pen, rng, world, (margin, top + 56, page.width - margin), ink)
    paragraph(
        pen, rng, world, (page.width * 0.6, bottom + 6, page.width - margin, bottom + 44), between(rng, 6, 9), ink
    )
    if chance(rng, 0.5):
        page.paste(_code(rng), (margin, round(bottom + 14)))
    return page


def _rows(pen: ImageDraw.ImageDraw, rng: Rng, world: World, place: tuple[float, float, float], ink: Colour) -> float:
    left, top, right = place
    height, columns, size = between(rng, 12, 20), between(rng, 2, 5), between(rng, 6, 9)
    ruled, name = chance(rng, 0.7), face(rng, world)
    for row in range(between(rng, 3, 9)):
        if row == 0 and chance(rng, 0.6):
            pen.rectangle([left, top, right, top + height], fill=colour(rng, world, (0, 0.6), (0.6, 0.95)))
        for column in range(columns):
            x = left + (right - left) * column / columns + 3
            write(
                pen, (x, top + 2), fit(words(rng, world, 2), name, size, (right - left) / columns - 5), name, size, ink
            )
        if ruled:
            pen.rectangle([left, top, right, top + height], outline=ink)
        top += height
    return top


def _code(rng: Rng) -> Image.Image:
    side = between(rng, 17, 25)
    dots = (rng.random((side, side)) > 0.5).astype(np.uint8) * 255
    bars = np.repeat(dots[:1].repeat(2, axis=1), 14, axis=0)
    chosen = dots if chance(rng, 0.6) else bars
    image = Image.fromarray(chosen).convert("RGB")
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST)


def backdrop(rng: Rng, world: World, size: tuple[int, int]) -> Image.Image:
    """A table, a board or a wall to lay something on."""
    kind = between(rng, 0, 3)
    if kind == 0:
        return surfaces.wood(
            rng, size, colour(rng, world, (0.3, 0.7), (0.2, 0.4)), colour(rng, world, (0.3, 0.6), (0.5, 0.7))
        )
    if kind == 1:
        return surfaces.plaster(rng, size, colour(rng, world, (0, 0.4), (0.25, 0.85)))
    if kind == 2:
        return surfaces.cork(rng, size)
    return Image.new("RGB", size, colour(rng, world, (0, 0.5), (0.05, 0.8)))


def photographed(paper: Image.Image, rng: Rng, world: World, shake: float = 14) -> Image.Image:
    """``paper`` lying somewhere, seen not quite from above."""
    size = (round(paper.width * rng.uniform(1.1, 1.7)), round(paper.height * rng.uniform(1.05, 1.4)))
    left, top = (size[0] - paper.width) * rng.uniform(0.2, 0.8), (size[1] - paper.height) * rng.uniform(0.2, 0.8)
    box = (left, top, left + paper.width, top + paper.height)
    rough = surfaces.creased(paper, rng, float(rng.uniform(0, 0.25)))
    scene = light.lay(rough, backdrop(rng, world, size), corners(rng, box, shake), 5, float(rng.uniform(0.2, 0.7)))
    return light.shade(scene, light.slope(size, *rng.uniform(0.7, 1.1, 2))) if chance(rng, 0.6) else scene


def receipt(rng: Rng, world: World) -> Image.Image:
    """A narrow slip with two columns, on a table most of the time."""
    slip, pen = canvas(rng, pale(rng, world), (0.36, 0.7))
    ink, size, name = dark(rng, world), between(rng, 7, 11), face(rng, world)
    y = heading(pen, rng, world, 10, 12, slip.width - 20, ink)
    while y < slip.height * rng.uniform(0.65, 0.95):
        write(pen, (8, y), fit(words(rng, world, 3), name, size, slip.width * 0.6), name, size, ink)
        write(pen, (slip.width - 8, y), f"{rng.uniform(0, 99):.2f}", name, size, ink, "ra")
        y += size * (2.4 if chance(rng, 0.15) else 1.5)
    if chance(rng, 0.6):
        bars = _code(rng)
        slip.paste(bars, ((slip.width - bars.width) // 2, slip.height - bars.height - 8))
    return photographed(slip, rng, world) if chance(rng, 0.8) else slip


def page_on_table(rng: Rng, world: World) -> Image.Image:
    """Any flat page, photographed."""
    flat = letter if chance(rng, 0.5) else table
    return photographed(flat(rng, world), rng, world)


def note(rng: Rng, world: World) -> Image.Image:
    """A few lines by hand on a slip of paper, or marker on a whiteboard, by day or by lamplight."""
    sheet, _ = canvas(rng, colour(rng, world, (0, 0.5), (0.82, 1.0)), (0.8, 1.7))
    height = between(rng, 16, 34)
    lines = [words(rng, world, between(rng, 1, 3)) for _ in range(between(rng, 2, 5))]
    written = papers.handwriting(rng, sheet.size, lines, height, colour(rng, world, (0.2, 0.9), (0.1, 0.5)))
    sheet.paste(written, (0, 0), written)
    scene = photographed(sheet, rng, world, 18)
    if chance(rng, 0.35):
        spot = (scene.width * rng.uniform(0.3, 0.7), scene.height * rng.uniform(0.3, 0.7))
        scene = light.shade(scene, 0.1 + 0.7 * light.glow(scene.size, spot, scene.width * 0.4))
    return scene


def columns(rng: Rng, world: World) -> Image.Image:
    """A newspaper page: columns and a picture; kept for testing."""
    page, pen = canvas(rng, pale(rng, world), (0.62, 1.0))
    ink, count = dark(rng, world), between(rng, 2, 4)
    top = heading(pen, rng, world, 12, 10, page.width - 24, ink) + 4
    wide, size = (page.width - 24) / count, between(rng, 6, 8)
    for column in range(count):
        left = 12 + column * wide
        start = top
        if chance(rng, 0.35):
            grey = light.to_image(light.fractal(rng, (round(wide) - 8, 50)) * 200)
            page.paste(grey.convert("RGB"), (round(left), round(top)))
            start += 56
        paragraph(pen, rng, world, (left, start, left + wide - 8, page.height - 14), size, ink)
    return page


def form(rng: Rng, world: World) -> Image.Image:
    """Labels with boxes to fill in; kept for testing."""
    page, pen = canvas(rng, pale(rng, world), (0.62, 1.0))
    ink, name = dark(rng, world), face(rng, world)
    top = heading(pen, rng, world, 16, 14, page.width - 32, ink)
    while top < page.height - 40:
        write(pen, (16, top), words(rng, world, 2, chance(rng, 0.4)), name, 8, ink)
        if chance(rng, 0.3):
            for left in range(16, page.width - 50, 60):
                pen.rectangle([left, top + 14, left + 8, top + 22], outline=ink)
                write(pen, (left + 12, top + 13), rng.choice(list(HANGUL)) * 2, name, 8, ink)
        else:
            pen.rectangle([16, top + 12, page.width * rng.uniform(0.5, 0.95), top + 26], outline=ink)
        top += 34
    return page


SEEN: list[Layout] = [letter, table, receipt, page_on_table, note]
UNSEEN: list[Layout] = [columns, form]
