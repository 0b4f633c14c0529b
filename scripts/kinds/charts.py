"""Numbers as graphics: axes, grids, bars, curves, dots, slices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from drawing.canvas import Colour, mix, write
from drawing.light import ridge
from PIL import Image, ImageDraw

from kinds.world import Layout, Rng, World, between, canvas, chance, colour, dark, face, fit, pale, words


class Plot(NamedTuple):
    """An empty chart: the field between the axes, and the colours to use."""

    image: Image.Image
    pen: ImageDraw.ImageDraw
    left: float
    top: float
    right: float
    bottom: float
    ink: Colour
    back: Colour
    palette: list[Colour]


def _plot(rng: Rng, world: World, axes: bool = True) -> Plot:
    night = chance(rng, 0.15)
    back = colour(rng, world, (0, 0.5), (0.05, 0.2)) if night else pale(rng, world)
    ink: Colour = (226, 228, 232) if night else dark(rng, world)
    image, pen = canvas(rng, back, (0.85, 1.9))
    left, right = between(rng, 18, 48), image.width - between(rng, 8, 28)
    top, bottom = between(rng, 14, 52), image.height - between(rng, 18, 48)
    palette = [colour(rng, world, (0.4, 0.95), (0.35, 0.95)) for _ in range(5)]
    plot = Plot(image, pen, left, top, right, bottom, ink, back, palette)
    _titles(plot, rng, world)
    if axes:
        _grid(plot, rng, world)
    return plot


def _titles(plot: Plot, rng: Rng, world: World) -> None:
    name, size = face(rng, world), between(rng, 9, 15)
    if plot.top > 24:
        title = fit(words(rng, world, 5, chance(rng, 0.2)), name, size, plot.right - plot.left)
        write(plot.pen, (plot.left if chance(rng, 0.5) else 8, 5), title, name, size, plot.ink)
    if chance(rng, 0.45):
        x = plot.left
        for fill in plot.palette[: between(rng, 2, 4)]:
            y = plot.image.height - 11
            plot.pen.rectangle([x, y, x + 7, y + 7], fill=fill)
            write(plot.pen, (x + 10, y - 1), fit(words(rng, world, 1), name, 8, 40), name, 8, plot.ink)
            x += 56


def _grid(plot: Plot, rng: Rng, world: World) -> None:
    faint, name = mix(plot.back, plot.ink, float(rng.uniform(0.08, 0.3))), face(rng, world)
    lines, upright = chance(rng, 0.75), chance(rng, 0.3)
    for share in np.linspace(0, 1, between(rng, 3, 7)):
        y = plot.bottom + (plot.top - plot.bottom) * float(share)
        if lines:
            plot.pen.line([plot.left, y, plot.right, y], fill=faint)
        write(plot.pen, (plot.left - 3, y), str(round(float(share) * 100)), name, 8, plot.ink, "rm")
    for share in np.linspace(0, 1, between(rng, 3, 9)):
        x = plot.left + (plot.right - plot.left) * float(share)
        if upright:
            plot.pen.line([x, plot.top, x, plot.bottom], fill=faint)
        write(plot.pen, (x, plot.bottom + 3), fit(words(rng, world, 1), name, 8, 30), name, 8, plot.ink, "ma")
    if chance(rng, 0.85):
        plot.pen.line([plot.left, plot.bottom, plot.right, plot.bottom], fill=plot.ink, width=between(rng, 1, 2))
    if chance(rng, 0.5):
        plot.pen.line([plot.left, plot.top, plot.left, plot.bottom], fill=plot.ink, width=between(rng, 1, 2))


def bars(rng: Rng, world: World) -> Image.Image:
    """Columns, one or several to a group."""
    plot = _plot(rng, world)
    groups, members = between(rng, 3, 12), between(rng, 1, 3)
    step = (plot.right - plot.left) / groups
    wide = step * float(rng.uniform(0.5, 0.9)) / members
    for group in range(groups):
        for member in range(members):
            x = plot.left + group * step + step * 0.08 + member * wide
            y = plot.bottom - (plot.bottom - plot.top) * float(rng.uniform(0.1, 0.98))
            plot.pen.rectangle([x, y, x + wide * 0.92, plot.bottom], fill=plot.palette[member])
    return plot.image


def lying_bars(rng: Rng, world: World) -> Image.Image:
    """Bars from left to right."""
    plot = _plot(rng, world)
    count = between(rng, 3, 10)
    step = (plot.bottom - plot.top) / count
    for row in range(count):
        y, length = plot.top + row * step, (plot.right - plot.left) * float(rng.uniform(0.1, 1))
        plot.pen.rectangle(
            [plot.left, y + step * 0.15, plot.left + length, y + step * 0.8],
            fill=plot.palette[row % between(rng, 1, 2)],
        )
    return plot.image


def _curve(plot: Plot, rng: Rng, low: float = 0.0) -> list[tuple[float, float]]:
    count = between(rng, 5, 40)
    values = ridge(rng, count, between(rng, 1, 4), 3) * rng.uniform(0.3, 1 - low) + low
    xs = np.linspace(plot.left, plot.right, count)
    return [(float(x), plot.bottom - (plot.bottom - plot.top) * float(v)) for x, v in zip(xs, values, strict=True)]


def curves(rng: Rng, world: World) -> Image.Image:
    """Lines over time, with or without marks."""
    plot = _plot(rng, world)
    width, marks = between(rng, 1, 4), chance(rng, 0.5)
    for fill in plot.palette[: between(rng, 1, 5)]:
        points = _curve(plot, rng, float(rng.uniform(0, 0.5)))
        plot.pen.line(points, fill=fill, width=width, joint="curve")
        for x, y in points if marks else []:
            plot.pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=plot.back if width > 2 else fill, outline=fill, width=2)
    return plot.image


def dots(rng: Rng, world: World) -> Image.Image:
    """A scatter plot."""
    plot = _plot(rng, world)
    for fill in plot.palette[: between(rng, 1, 3)]:
        centre, spread, size = rng.uniform(0.25, 0.75, 2), rng.uniform(0.06, 0.2), rng.uniform(1.5, 4)
        for u, v in np.clip(rng.normal(centre, spread, (between(rng, 12, 90), 2)), 0, 1):
            x, y = plot.left + (plot.right - plot.left) * u, plot.bottom - (plot.bottom - plot.top) * v
            plot.pen.ellipse([x - size, y - size, x + size, y + size], fill=fill)
    return plot.image


def pie(rng: Rng, world: World) -> Image.Image:
    """Slices of a disc, or of a ring."""
    plot = _plot(rng, world, axes=False)
    radius = min(plot.right - plot.left, plot.bottom - plot.top) / 2
    x, y = (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2
    box, start = [x - radius, y - radius, x + radius, y + radius], -90.0
    shares = rng.dirichlet(np.full(between(rng, 2, 6), 3.0))
    for place, share in enumerate(shares):
        plot.pen.pieslice(box, start, start + 360 * share, fill=plot.palette[place % 5], outline=plot.back)
        start += 360 * share
    if chance(rng, 0.4):
        hole = radius * float(rng.uniform(0.4, 0.7))
        plot.pen.ellipse([x - hole, y - hole, x + hole, y + hole], fill=plot.back)
    return plot.image


def areas(rng: Rng, world: World) -> Image.Image:
    """Filled curves one before the other; kept for testing."""
    plot = _plot(rng, world)
    for place, fill in enumerate(plot.palette[: between(rng, 1, 3)]):
        points = _curve(plot, rng, 0.4 - 0.18 * place)
        plot.pen.polygon([(plot.left, plot.bottom), *points, (plot.right, plot.bottom)], fill=fill)
    return plot.image


def stacked(rng: Rng, world: World) -> Image.Image:
    """Columns of several parts; kept for testing."""
    plot = _plot(rng, world)
    count = between(rng, 4, 10)
    step = (plot.right - plot.left) / count
    for column in range(count):
        x, y = plot.left + column * step + step * 0.15, plot.bottom
        for fill in plot.palette[:3]:
            tall = (plot.bottom - plot.top) * float(rng.uniform(0.05, 0.32))
            plot.pen.rectangle([x, y - tall, x + step * 0.7, y], fill=fill)
            y -= tall
    return plot.image


SEEN: list[Layout] = [bars, lying_bars, curves, dots, pie]
UNSEEN: list[Layout] = [areas, stacked]
