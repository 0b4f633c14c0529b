"""Ink on paper: outlines, hatching, no fills to speak of."""

from __future__ import annotations

import math

import numpy as np
from drawing.canvas import Colour, Point
from PIL import Image, ImageDraw

from kinds.world import Layout, Rng, World, between, canvas, chance, colour, dark, pale


class Ink:
    """A pen of one colour and width, whose hand may shake."""

    def __init__(self, pen: ImageDraw.ImageDraw, rng: Rng, world: World) -> None:
        self.pen, self.rng = pen, rng
        self.colour: Colour = colour(rng, world, (0.4, 1), (0.1, 0.5)) if chance(rng, 0.25) else dark(rng, world)
        self.width = between(rng, 1, 4)
        self.shake = float(rng.uniform(0, 1.4))

    def line(self, points: list[Point]) -> None:
        """A stroke through ``points``."""
        moved = [
            (x + float(self.rng.normal(0, self.shake)), y + float(self.rng.normal(0, self.shake))) for x, y in points
        ]
        self.pen.line(moved, fill=self.colour, width=self.width, joint="curve")

    def oval(self, x: float, y: float, across: float, down: float, start: float = 0, end: float = 2 * math.pi) -> None:
        """An ellipse or a part of it, with half axes ``across`` and ``down``; angles in radians."""
        angles = np.linspace(start, end, 26)
        self.line([(x + across * math.cos(a), y + down * math.sin(a)) for a in angles])

    def box(self, left: float, top: float, right: float, bottom: float) -> None:
        """Four strokes."""
        self.line([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])


def _paper(rng: Rng, world: World) -> tuple[Image.Image, Ink]:
    image, pen = canvas(rng, pale(rng, world), (0.7, 1.6))
    return image, Ink(pen, rng, world)


def _hatch(ink: Ink, left: float, top: float, right: float, bottom: float) -> None:
    for x in np.arange(left, right, ink.rng.uniform(4, 9)):
        ink.line([(float(x), bottom), (float(x) + (bottom - top) * 0.4, top)])


def house(rng: Rng, world: World) -> Image.Image:
    """Houses and trees on a line of ground."""
    image, ink = _paper(rng, world)
    ground = image.height * float(rng.uniform(0.7, 0.9))
    ink.line([(8, ground), (image.width - 8, ground)])
    x = float(rng.uniform(6, 40))
    while x < image.width - 40:
        wide, tall = float(rng.uniform(34, 120)), float(rng.uniform(30, image.height * 0.45))
        if chance(rng, 0.6):
            _cottage(ink, x, ground, wide, tall)
        else:
            ink.line([(x + wide / 2, ground), (x + wide / 2, ground - tall * 0.6)])
            ink.oval(x + wide / 2, ground - tall * 0.9, wide * 0.35, tall * 0.4)
        x += wide + float(rng.uniform(2, 24))
    if chance(rng, 0.6):
        _sun(ink, image.width * float(rng.uniform(0.15, 0.85)), image.height * 0.16, float(rng.uniform(8, 22)))
    return image


def _cottage(ink: Ink, x: float, ground: float, wide: float, tall: float) -> None:
    roof = ground - tall
    ink.box(x, roof, x + wide, ground)
    ink.line([(x - 4, roof), (x + wide / 2, roof - tall * 0.5), (x + wide + 4, roof)])
    ink.box(x + wide * 0.4, ground - tall * 0.5, x + wide * 0.6, ground)
    if chance(ink.rng, 0.5):
        ink.box(x + wide * 0.1, roof + tall * 0.15, x + wide * 0.3, roof + tall * 0.4)
    if chance(ink.rng, 0.3):
        _hatch(ink, x, roof, x + wide * 0.35, ground)


def _sun(ink: Ink, x: float, y: float, radius: float) -> None:
    ink.oval(x, y, radius, radius)
    for angle in np.linspace(0, 2 * math.pi, 13)[:-1]:
        ends = [(x + r * math.cos(angle), y + r * math.sin(angle)) for r in (radius * 1.3, radius * 1.8)]
        ink.line(ends)


def flowers(rng: Rng, world: World) -> Image.Image:
    """Stems, leaves and petals."""
    image, ink = _paper(rng, world)
    for _ in range(between(rng, 1, 6)):
        x, y = float(rng.uniform(0.15, 0.85)) * image.width, float(rng.uniform(0.15, 0.55)) * image.height
        radius, petals = float(rng.uniform(10, 40)), between(rng, 5, 10)
        for petal in range(petals):
            angle = 2 * math.pi * petal / petals
            ink.oval(x + radius * math.cos(angle), y + radius * math.sin(angle), radius * 0.5, radius * 0.5)
        ink.oval(x, y, radius * 0.5, radius * 0.5)
        foot = (x + float(rng.uniform(-20, 20)), image.height * float(rng.uniform(0.8, 1)))
        ink.line([(x, y + radius), foot])
        ink.oval(foot[0] + 14, (y + foot[1]) / 2 + 20, 14, 6)
    return image


def creature(rng: Rng, world: World) -> Image.Image:
    """A face or an animal out of ovals."""
    image, ink = _paper(rng, world)
    x, y, size = image.width / 2, image.height * 0.42, min(image.size) * float(rng.uniform(0.2, 0.36))
    ink.oval(x, y, size, size * float(rng.uniform(0.8, 1.2)))
    for side in (-1, 1):
        ink.oval(x + side * size * 0.4, y - size * 0.2, size * 0.12, size * 0.12)
        ink.line(
            [
                (x + side * size * 0.8, y - size * 0.6),
                (x + side * size * 0.9, y - size * 1.2),
                (x + side * size * 0.4, y - size * 0.9),
            ]
        )
        for whisker in (-0.1, 0.0, 0.1):
            ink.line([(x + side * size * 0.3, y + size * 0.3), (x + side * size * 1.3, y + size * (0.3 + whisker * 2))])
    ink.oval(x, y + size * 0.3, size * 0.4, size * 0.25, 0.2, math.pi - 0.2)
    if chance(rng, 0.6):
        ink.oval(x, y + size * 1.8, size * 0.8, size * 0.9)
    return image


def vehicle(rng: Rng, world: World) -> Image.Image:
    """Something on wheels, with spokes, a frame and ground below."""
    image, ink = _paper(rng, world)
    ground = image.height * float(rng.uniform(0.7, 0.92))
    radius = image.width * float(rng.uniform(0.08, 0.2))
    hubs = [image.width * float(share) for share in (rng.uniform(0.2, 0.35), rng.uniform(0.65, 0.8))]
    for x in hubs:
        ink.oval(x, ground - radius, radius, radius)
        ink.oval(x, ground - radius, radius * 0.85, radius * 0.85)
        for angle in np.linspace(0, math.pi, between(rng, 2, 12)):
            dx, dy = radius * math.cos(angle), radius * math.sin(angle)
            ink.line([(x - dx, ground - radius - dy), (x + dx, ground - radius + dy)])
    top = ground - radius * float(rng.uniform(2.2, 3.4))
    if chance(rng, 0.5):
        middle = (sum(hubs) / 2, ground - radius)
        ink.line(
            [
                (hubs[0], ground - radius),
                (hubs[0] + radius, top),
                (hubs[1] - radius * 0.5, top),
                (hubs[1], ground - radius),
            ]
        )
        ink.line([(hubs[0] + radius, top), middle, (hubs[1] - radius * 0.5, top)])
    else:
        ink.box(hubs[0] - radius, top, hubs[1] + radius, ground - radius * 1.2)
        ink.box(hubs[0], top + 8, sum(hubs) / 2, ground - radius * 1.8)
    ink.line([(6, ground), (image.width - 6, ground)])
    _strokes(ink, image.width, ground)
    return image


def _strokes(ink: Ink, width: int, ground: float) -> None:
    for x in ink.rng.uniform(8, width - 8, between(ink.rng, 0, 40)):
        ink.line(
            [(float(x), ground), (float(x) + float(ink.rng.uniform(-4, 4)), ground - float(ink.rng.uniform(3, 12)))]
        )


def doodle(rng: Rng, world: World) -> Image.Image:
    """Curves, boxes and ovals at random, some hatched."""
    image, ink = _paper(rng, world)
    for _ in range(between(rng, 4, 14)):
        x, y = float(rng.uniform(0.1, 0.9)) * image.width, float(rng.uniform(0.1, 0.9)) * image.height
        size, kind = float(rng.uniform(10, 70)), between(rng, 0, 3)
        if kind == 0:
            ink.oval(x, y, size, size * float(rng.uniform(0.4, 1)))
        elif kind == 1:
            ink.box(x, y, x + size, y + size * 0.7)
        elif kind == 2:
            ink.line([(x + k * 6, y + size * 0.4 * math.sin(k * size / 60)) for k in range(between(rng, 6, 40))])
        else:
            _hatch(ink, x, y, x + size, y + size * 0.6)
    return image


def plan(rng: Rng, world: World) -> Image.Image:
    """The plan of a flat; kept for testing."""
    image, ink = _paper(rng, world)
    wide, tall = image.width, image.height
    ink.box(16, 16, wide - 16, tall - 16)
    for _ in range(between(rng, 2, 5)):
        x, y = float(rng.uniform(0.25, 0.75)) * wide, float(rng.uniform(0.25, 0.75)) * tall
        ink.line([(x, 16), (x, y)] if chance(rng, 0.5) else [(16, y), (x, y)])
        ink.oval(x, y, 24, 24, 0, math.pi / 2)
    for _ in range(between(rng, 3, 9)):
        x, y = float(rng.uniform(24, wide - 60)), float(rng.uniform(24, tall - 50))
        ink.box(x, y, x + float(rng.uniform(10, 34)), y + float(rng.uniform(10, 24)))
    return image


def contours(rng: Rng, world: World) -> Image.Image:
    """Hills and a boat in a few long lines; kept for testing."""
    image, ink = _paper(rng, world)
    for row in range(between(rng, 2, 6)):
        base, high = image.height * (0.2 + 0.1 * row), float(rng.uniform(6, 30))
        ink.line([(x, base + high * math.sin(x / (14 + 9 * row) + row)) for x in range(4, image.width - 4, 5)])
    x, y = image.width * float(rng.uniform(0.3, 0.7)), image.height * 0.82
    ink.line([(x - 50, y), (x + 50, y), (x + 34, y + 20), (x - 34, y + 20), (x - 50, y)])
    ink.line([(x, y), (x, y - 90), (x + 40, y - 10), (x, y - 10)])
    return image


SEEN: list[Layout] = [house, flowers, creature, vehicle, doodle]
UNSEEN: list[Layout] = [plan, contours]
