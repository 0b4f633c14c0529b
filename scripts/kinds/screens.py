"""What a screen shows: slides, windows, pages, editors, games."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from drawing.canvas import Colour, arrow, mix, write
from drawing.light import fractal, tint, to_image
from drawing.screens import raised
from PIL import Image, ImageDraw

from kinds.world import Layout, Rng, World, between, canvas, chance, colour, dark, face, fit, pale, words

PALE: Colour = (234, 236, 240)


def _theme(rng: Rng, world: World) -> tuple[Colour, Colour, Colour]:
    """Background, text and accent, bright or dark."""
    accent = colour(rng, world, (0.5, 0.95), (0.4, 0.95))
    if chance(rng, 0.35):
        return colour(rng, world, (0, 0.5), (0.08, 0.25)), PALE, accent
    return pale(rng, world), dark(rng, world), accent


def slide(rng: Rng, world: World) -> Image.Image:
    """Title, points, perhaps a diagram."""
    back, ink, accent = _theme(rng, world)
    image, pen = canvas(rng, back, (1.25, 1.9))
    name, tall = face(rng, world), between(rng, 26, 56)
    band = chance(rng, 0.6)
    if band:
        pen.rectangle([0, 0, image.width, tall], fill=accent)
    title = fit(words(rng, world, 4, chance(rng, 0.2)), name, between(rng, 15, 24), image.width * 0.85)
    write(pen, (16, tall / 2), title, name, min(24, tall - 8), (255, 255, 255) if band else ink, "lm")
    size = between(rng, 9, 15)
    for row in range(between(rng, 2, 5)):
        y = tall + 22 + row * size * 2
        pen.ellipse([16, y + size * 0.3, 16 + size * 0.5, y + size * 0.8], fill=accent)
        write(
            pen, (30, y), fit(words(rng, world, 6, chance(rng, 0.15)), name, size, image.width * 0.5), name, size, ink
        )
    if chance(rng, 0.6):
        _diagram(pen, rng, world, image.size)
    return image


def _diagram(pen: ImageDraw.ImageDraw, rng: Rng, world: World, size: tuple[int, int]) -> None:
    spots = [(float(rng.uniform(0.6, 0.85)) * size[0], size[1] * share) for share in (0.35, 0.58, 0.8)]
    for start, end in pairwise(spots):
        arrow(pen, start, end, (140, 146, 160), 2, 7)
    for x, y in spots:
        fill = colour(rng, world)
        pen.rounded_rectangle([x - 26, y - 11, x + 26, y + 11], 5, fill=fill)
        write(
            pen, (x, y), fit(words(rng, world, 1), face(rng, world), 9, 44), face(rng, world), 9, (255, 255, 255), "mm"
        )


def window(rng: Rng, world: World) -> Image.Image:
    """A program with a title bar, a side bar and a list or panels."""
    back, ink, accent = _theme(rng, world)
    image, pen = canvas(rng, back, (1.1, 1.8))
    name, bar, side = face(rng, world), between(rng, 12, 26), between(rng, 40, 100)
    pen.rectangle([0, 0, image.width, bar], fill=mix(back, accent, float(rng.uniform(0.1, 1))))
    pen.rectangle([0, bar, side, image.height], fill=mix(back, ink, 0.08))
    for y in range(bar + 10, image.height - 12, 18):
        pen.rounded_rectangle([6, y, 15, y + 9], 2, fill=accent)
        write(pen, (20, y), fit(words(rng, world, 1, chance(rng, 0.2)), name, 8, side - 24), name, 8, ink)
    _cards(pen, rng, world, (side + 10, bar + 10, image.width - 8, image.height - 8), (back, ink, accent))
    return image


def _cards(
    pen: ImageDraw.ImageDraw,
    rng: Rng,
    world: World,
    box: tuple[float, float, float, float],
    theme: tuple[Colour, Colour, Colour],
) -> None:
    left, top, right, bottom = box
    back, ink, accent = theme
    across, high, name = between(rng, 1, 4), between(rng, 30, 80), face(rng, world)
    wide = (right - left) / across
    for y in np.arange(top, bottom - high * 0.6, high).tolist():
        for column in range(across):
            x = left + column * wide
            pen.rounded_rectangle(
                [x, y, x + wide - 6, y + high - 6], 4, fill=mix(back, ink, 0.05), outline=mix(back, ink, 0.2)
            )
            if chance(rng, 0.5):
                pen.rectangle([x + 4, y + 4, x + wide - 10, y + high * 0.45], fill=colour(rng, world))
            write(pen, (x + 5, y + high * 0.5), fit(words(rng, world, 3), name, 8, wide - 14), name, 8, ink)
            if chance(rng, 0.3):
                pen.rounded_rectangle([x + 5, y + high * 0.7, x + wide * 0.5, y + high - 9], 3, fill=accent)


def dialogue(rng: Rng, world: World) -> Image.Image:
    """A message with buttons over a desktop."""
    image, pen = canvas(rng, colour(rng, world, (0.1, 0.9), (0.2, 0.8)), (1.1, 1.8))
    name, old = face(rng, world), chance(rng, 0.5)
    for y in range(14, image.height - 30, 40):
        if chance(rng, 0.7):
            pen.rectangle([12, y, 30, y + 16], fill=colour(rng, world, (0, 0.6), (0.5, 1)))
            write(pen, (21, y + 18), fit(words(rng, world, 1), name, 8, 40), name, 8, PALE, "ma")
    left, top = between(rng, 50, 90), between(rng, 20, 60)
    right, bottom = image.width - between(rng, 10, 50), image.height - between(rng, 30, 60)
    if old:
        raised(pen, (left, top, right, bottom))
    else:
        pen.rounded_rectangle([left, top, right, bottom], 7, fill=(248, 248, 250))
    pen.rectangle([left + 3, top + 3, right - 3, top + 17], fill=colour(rng, world, (0.4, 1), (0.3, 0.7)))
    write(pen, (left + 8, top + 10), fit(words(rng, world, 2), name, 10, 120), name, 10, (255, 255, 255), "lm")
    for row in range(between(rng, 1, 4)):
        write(
            pen,
            (left + 40, top + 28 + row * 15),
            fit(words(rng, world, 5), name, 10, right - left - 50),
            name,
            10,
            (20, 20, 24),
        )
    for place in range(between(rng, 1, 3)):
        x = right - 12 - 62 * (place + 1)
        raised(pen, (x, bottom - 24, x + 54, bottom - 7))
        write(pen, (x + 27, bottom - 15), fit(words(rng, world, 1), name, 9, 46), name, 9, (20, 20, 24), "mm")
    if chance(rng, 0.6):
        pen.rectangle([0, image.height - 16, *image.size], fill=(192, 192, 192) if old else (30, 32, 40))
    return image


def editor(rng: Rng, world: World) -> Image.Image:
    """Indented coloured words, as in a terminal or an editor."""
    back, ink, _ = _theme(rng, world)
    image, pen = canvas(rng, back, (0.9, 1.8))
    colours = [ink] + [mix(ink, colour(rng, world, (0.5, 1), (0.5, 1)), 0.8) for _ in range(3)]
    size, name = between(rng, 7, 10), "mono" if "mono" in world.faces else face(rng, world)
    pen.rectangle([0, 0, image.width, 14], fill=mix(back, ink, 0.15))
    for y in np.arange(20, image.height - 10, size * 1.5):
        x = 10.0 + 14 * between(rng, 0, 4)
        for _ in range(between(rng, 0, 6)):
            word = words(rng, world, 1) + str(rng.choice(["", "(", ")", " =", ":", "."]))
            write(pen, (x, float(y)), word, name, size, colours[between(rng, 0, 3)])
            x += pen.textlength(word + " ", font=None) * size / 10
    return image


def game(rng: Rng, world: World) -> Image.Image:
    """Large square dots: ground, things, a line of numbers."""
    cell = between(rng, 4, 10)
    image, pen = canvas(rng, colour(rng, world, (0.2, 1), (0.05, 0.9)), (1.1, 1.8))
    tiles = [colour(rng, world, (0.4, 1), (0.3, 1)) for _ in range(4)]
    for _ in range(between(rng, 4, 24)):
        sprite = rng.random((between(rng, 3, 6), between(rng, 2, 4))) < 0.6
        whole = np.concatenate([sprite, sprite[:, ::-1]], axis=1)
        x0, y0 = between(rng, 0, image.width), between(rng, 30, image.height)
        for row, column in np.argwhere(whole):
            x, y = (x0 // cell + int(column)) * cell // 2, (y0 // cell + int(row)) * cell // 2
            pen.rectangle([x * 2, y, x * 2 + cell // 2, y + cell // 2], fill=tiles[between(rng, 0, 3)])
    ground = image.height - cell * between(rng, 1, 5)
    for x in range(0, image.width, cell * 2):
        pen.rectangle([x, ground, x + cell * 2 - 2, image.height], fill=tiles[0])
    for place in (8, image.width // 2, image.width - 70):
        write(
            pen, (place, 6), fit(words(rng, world, 2).upper(), "gothic", 12, 70), face(rng, world), 12, (255, 255, 255)
        )
    return image


def splash(rng: Rng, world: World) -> Image.Image:
    """A sign in the middle, a bar that fills, a few words."""
    back, ink, accent = _theme(rng, world)
    image, pen = canvas(rng, back, (0.8, 1.8))
    x, y, radius = image.width / 2, image.height * 0.36, image.height * float(rng.uniform(0.12, 0.24))
    box = [x - radius, y - radius, x + radius, y + radius]
    if chance(rng, 0.5):
        pen.ellipse(box, fill=accent if chance(rng, 0.5) else back, outline=ink, width=between(rng, 2, 8))
        pen.line([(x, y), (x + radius * 0.5, y - radius * 0.6)], fill=ink, width=4)
    else:
        pen.arc(box, 0, between(rng, 60, 300), fill=accent, width=between(rng, 4, 12))
    low, share = image.height * float(rng.uniform(0.64, 0.75)), float(rng.uniform(0.05, 1))
    pen.rounded_rectangle([x * 0.35, low, x * 1.65, low + 14], 7, fill=mix(back, ink, 0.15))
    pen.rounded_rectangle([x * 0.35, low, x * 0.35 + 14 + (x * 1.3 - 14) * share, low + 14], 7, fill=accent)
    write(
        pen,
        (x, low + 38),
        fit(words(rng, world, 2), face(rng, world), 20, image.width),
        face(rng, world),
        20,
        ink,
        "mm",
    )
    return image


def chat(rng: Rng, world: World) -> Image.Image:
    """Messages left and right; kept for testing."""
    back, ink, accent = _theme(rng, world)
    image, pen = canvas(rng, back, (0.5, 1.2))
    name = face(rng, world)
    pen.rectangle([0, 0, image.width, 26], fill=accent)
    y = 36.0
    while y < image.height - 50:
        mine, rows = chance(rng, 0.5), between(rng, 1, 3)
        wide = image.width * float(rng.uniform(0.4, 0.7))
        left = image.width - wide - 8 if mine else 8
        pen.rounded_rectangle(
            [left, y, left + wide, y + 10 + rows * 12], 6, fill=accent if mine else mix(back, ink, 0.12)
        )
        for row in range(rows):
            text = fit(words(rng, world, 8, chance(rng, 0.3)), name, 9, wide - 12)
            write(pen, (left + 6, y + 5 + row * 12), text, name, 9, (255, 255, 255) if mine else ink)
        y += 20 + rows * 12
    pen.rounded_rectangle([8, image.height - 26, image.width - 8, image.height - 8], 8, fill=mix(back, ink, 0.1))
    return image


def web_page(rng: Rng, world: World) -> Image.Image:
    """A shop page with a banner picture and rows of cards; kept for testing."""
    back, ink, accent = _theme(rng, world)
    image, pen = canvas(rng, back, (0.7, 1.5))
    name = face(rng, world)
    for place in range(4):
        write(pen, (10 + place * 60, 6), fit(words(rng, world, 1), name, 9, 50), name, 9, ink)
    banner = tint(fractal(rng, (image.width, 70)), colour(rng, world), colour(rng, world))
    image.paste(to_image(banner), (0, 22))
    write(pen, (image.width / 2, 56), fit(words(rng, world, 3), name, 20, image.width), name, 20, (255, 255, 255), "mm")
    _cards(pen, rng, world, (10, 102, image.width - 4, image.height - 4), (back, ink, accent))
    return image


SEEN: list[Layout] = [slide, window, dialogue, editor, game, splash]
UNSEEN: list[Layout] = [chat, web_page]
