"""Few and large words, put up for people who pass: plates, boards, shop fronts, posters."""

from __future__ import annotations

import numpy as np
from drawing import light, scenes, signs, surfaces
from drawing.canvas import Colour, font, mix, write
from PIL import Image, ImageDraw

from kinds.photos import sky
from kinds.world import Layout, Rng, World, between, canvas, chance, colour, corners, dark, face, fit, words

WHITE: Colour = (255, 255, 255)


def street(rng: Rng, world: World, size: tuple[int, int]) -> Image.Image:
    """What stands behind a sign: sky and trees, a wall, bricks."""
    kind = between(rng, 0, 3)
    if kind == 0:
        return surfaces.brick(
            rng, size, colour(rng, world, (0.2, 0.7), (0.3, 0.7)), (between(rng, 20, 46), between(rng, 9, 20))
        )
    if kind == 1:
        return surfaces.plaster(rng, size, colour(rng, world, (0, 0.5), (0.2, 0.9)))
    if kind == 2:
        return scenes.trees(rng, size)
    return light.to_image(sky(rng, world, size))


def _pole(scene: Image.Image, rng: Rng, x: float) -> None:
    wide, tone = between(rng, 5, 14), between(rng, 70, 190)
    ImageDraw.Draw(scene).rectangle([x, scene.height * 0.1, x + wide, scene.height], fill=(tone, tone, tone))


def blades(rng: Rng, world: World) -> Image.Image:
    """One to three plates with names, on a pole or a wall."""
    size = canvas(rng, WHITE, (0.8, 1.5))[0].size
    scene = street(rng, world, size)
    if chance(rng, 0.7):
        _pole(scene, rng, size[0] * float(rng.uniform(0.4, 0.6)))
    rows = between(rng, 1, 3)
    for row in range(rows):
        fill = colour(rng, world, (0.5, 1), (0.2, 0.7)) if chance(rng, 0.75) else (244, 244, 240)
        ink = WHITE if sum(fill) < 460 else dark(rng, world)
        text = words(rng, world, between(rng, 1, 2), chance(rng, 0.3)).upper()
        plate = signs.blade(text, fill, ink, face(rng, world), 90)
        wide = min(size[0] * float(rng.uniform(0.5, 0.9)), plate.width * size[1] / rows / 110)
        tall = min(wide * plate.height / plate.width, size[1] * 0.75 / rows)
        left, top = (size[0] - wide) * float(rng.uniform(0.2, 0.8)), size[1] * (0.12 + 0.8 * row / rows)
        scene = light.lay(plate, scene, corners(rng, (left, top, left + wide, top + tall), 6), 3, 0.4)
    return scene


def board(rng: Rng, world: World) -> Image.Image:
    """The front of a shop: a wide board, a window or an awning below, by day or lit at night."""
    size = canvas(rng, WHITE, (0.9, 1.7))[0].size
    scene = street(rng, world, size)
    low = size[1] * float(rng.uniform(0.45, 0.6))
    _shop(scene, rng, world, low)
    fill, name = colour(rng, world, (0.1, 1), (0.1, 0.9)), face(rng, world)
    ink = WHITE if sum(fill) < 400 else dark(rng, world)
    plate = Image.new("RGB", (600, between(rng, 110, 190)), fill)
    pen = ImageDraw.Draw(plate)
    if chance(rng, 0.5):
        pen.rectangle([6, 6, 593, plate.height - 7], outline=ink, width=5)
    tall = plate.height * 6 // 10
    text = fit(words(rng, world, 2, chance(rng, 0.5)), name, tall, 560)
    write(pen, (300, plate.height / 2), text, name, tall, ink, "mm")
    box = (size[0] * 0.08, size[1] * 0.12, size[0] * 0.92, low - 14)
    scene = light.lay(plate, scene, corners(rng, box, 7), 4, 0.4)
    if chance(rng, 0.4):
        scene = light.shade(scene, 0.35 + 0.75 * light.glow(size, (size[0] / 2, low), size[0] * 0.4))
    return scene


def _shop(scene: Image.Image, rng: Rng, world: World, low: float) -> None:
    pen, name = ImageDraw.Draw(scene), face(rng, world)
    frame, glass = dark(rng, world), colour(rng, world, (0.1, 0.6), (0.4, 1))
    panes = between(rng, 1, 4)
    wide = scene.width * 0.8 / panes
    for pane in range(panes):
        left = scene.width * 0.1 + pane * wide
        pen.rectangle([left, low + 10, left + wide, scene.height], fill=glass, outline=frame, width=3)
        if chance(rng, 0.6):
            text = fit(words(rng, world, 1, chance(rng, 0.5)), name, 18, wide - 8)
            write(pen, (left + wide / 2, low + 60), text, name, 18, dark(rng, world), "mm")
    stripes = (colour(rng, world, (0.5, 1), (0.5, 0.9)), (244, 240, 230))
    if chance(rng, 0.5):
        for stripe in range(20):
            left = scene.width * (0.06 + 0.044 * stripe)
            pen.rectangle([left, low - 6, left + scene.width * 0.044, low + 26], fill=stripes[stripe % 2])


def traffic(rng: Rng, world: World) -> Image.Image:
    """A round, three-cornered or square road sign."""
    size = canvas(rng, WHITE, (0.7, 1.3))[0].size
    scene = street(rng, world, size)
    x, y, radius = size[0] / 2, size[1] * float(rng.uniform(0.35, 0.5)), min(size) * float(rng.uniform(0.2, 0.36))
    _pole(scene, rng, x - 5)
    rim, middle = (
        colour(rng, world, (0.7, 1), (0.5, 0.9)),
        WHITE if chance(rng, 0.6) else colour(rng, world, (0.7, 1), (0.5, 0.9)),
    )
    pen, sides = ImageDraw.Draw(scene), int(rng.choice([3, 4, 8, 60]))
    turn = between(rng, 0, 1) * 180 / sides
    pen.regular_polygon((x, y, radius), sides, turn, fill=rim)
    pen.regular_polygon((x, y, radius * float(rng.uniform(0.7, 0.88))), sides, turn, fill=middle)
    text, name = str(rng.choice(["STOP", "30", "50", "P", "!", "X", "i", "ONE WAY"])), face(rng, world)
    write(
        pen,
        (x, y),
        text,
        name,
        round(radius * 1.1 / max(1, len(text) * 0.45)),
        WHITE if sum(middle) < 420 else dark(rng, world),
        "mm",
    )
    return scene


def chalkboard(rng: Rng, world: World) -> Image.Image:
    """A menu: bright words on dark slate in a frame."""
    slate, pen = canvas(rng, colour(rng, world, (0, 0.4), (0.08, 0.28)), (0.65, 1.2))
    chalk, name = colour(rng, world, (0, 0.15), (0.85, 1)), face(rng, world)
    top, korean = between(rng, 12, 36), chance(rng, 0.5)
    title = fit(words(rng, world, 2, korean), name, 28, slate.width - 20)
    write(pen, (slate.width / 2, top), title, name, 28, chalk, "ma")
    size = between(rng, 12, 20)
    for y in np.arange(top + 50, slate.height - 24, size * rng.uniform(1.5, 2.4)):
        write(pen, (18, float(y)), fit(words(rng, world, 2, korean), name, size, slate.width * 0.6), name, size, chalk)
        write(pen, (slate.width - 18, float(y)), f"{rng.uniform(1, 9):.1f}", name, size, chalk, "ra")
    frame = surfaces.wood(rng, (slate.width + 24, slate.height + 24))
    frame.paste(slate, (12, 12))
    size_out = (round(frame.width * rng.uniform(1.05, 1.35)), round(frame.height * rng.uniform(1.05, 1.3)))
    left, over = (size_out[0] - frame.width) / 2, (size_out[1] - frame.height) / 2
    box = (left, over, left + frame.width, over + frame.height)
    return light.lay(frame, street(rng, world, size_out), corners(rng, box, 8), 5, 0.5)


def poster(rng: Rng, world: World) -> Image.Image:
    """Large words over a simple bright picture."""
    size = canvas(rng, WHITE, (0.6, 1.1))[0].size
    stops = [(float(place), colour(rng, world, (0.3, 1), (0.2, 1))) for place in (0, rng.uniform(0.3, 0.7), 1)]
    page = light.to_image(light.gradient(size, stops))
    pen, name, ink = ImageDraw.Draw(page), face(rng, world), WHITE if chance(rng, 0.7) else dark(rng, world)
    radius = min(size) * float(rng.uniform(0.12, 0.34))
    x, y = size[0] * float(rng.uniform(0.3, 0.7)), size[1] * float(rng.uniform(0.4, 0.65))
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour(rng, world, (0.1, 0.8), (0.7, 1)))
    if chance(rng, 0.6):
        pixels = light.to_array(page).copy()
        scenes.hills(
            rng, pixels, colour(rng, world), colour(rng, world, value=(0.05, 0.3)), 0.65, 0.9, between(rng, 1, 4)
        )
        page = light.to_image(pixels)
        pen = ImageDraw.Draw(page)
    y = size[1] * 0.06
    for _ in range(between(rng, 1, 2)):
        text = words(rng, world, 1, chance(rng, 0.3)).upper()
        tall = min(70, round(20 * size[0] * 0.85 / font(name, 20).getlength(text)))
        write(pen, (size[0] / 2, y), text, name, tall, ink, "ma")
        y += tall * 1.15
    for row in range(between(rng, 1, 3)):
        text = fit(words(rng, world, 4), name, 13, size[0] - 12)
        write(pen, (size[0] / 2, size[1] * 0.84 + row * 17), text, name, 13, ink, "ma")
    return page


def direction(rng: Rng, world: World) -> Image.Image:
    """A plate with an arrow, large in the picture; kept for testing."""
    size = canvas(rng, WHITE, (1.0, 1.8))[0].size
    scene = street(rng, world, size)
    plate = signs.arrow_plate(words(rng, world, between(rng, 1, 2)), colour(rng, world, (0.5, 1), (0.2, 0.6)))
    wide = size[0] * float(rng.uniform(0.6, 0.92))
    tall = min(wide * plate.height / plate.width * 1.3, size[1] * 0.7)
    left, top = (size[0] - wide) / 2, (size[1] - tall) * float(rng.uniform(0.2, 0.8))
    return light.lay(plate, scene, corners(rng, (left, top, left + wide, top + tall), 9), 4, 0.4)


def neon(rng: Rng, world: World) -> Image.Image:
    """Glowing letters in the dark; kept for testing."""
    size = canvas(rng, WHITE, (1.0, 2.0))[0].size
    wall = light.shade(street(rng, world, size), np.full((size[1], size[0]), 0.18, np.float32))
    tube, name = colour(rng, world, (0.5, 0.9), (0.9, 1)), face(rng, world)
    for row in range(between(rng, 1, 2)):
        text = words(rng, world, 1, chance(rng, 0.3))
        tall = min(90, round(20 * size[0] * 0.8 / font(name, 20).getlength(text)))
        wall = _glowing(wall, text, name, tall, (size[0] / 2, size[1] * (0.32 + 0.36 * row)), tube)
    return wall


def _glowing(wall: Image.Image, text: str, name: str, tall: int, at: tuple[float, float], tube: Colour) -> Image.Image:
    layer = Image.new("L", wall.size)
    write(ImageDraw.Draw(layer), at, text, name, tall, 255, "mm")
    halo = light.to_array(light.soften(layer, 9))[..., None] / 255
    core = light.to_array(light.soften(layer, 0.6))[..., None] / 255
    pixels = light.to_array(wall) + halo * np.array(tube, np.float32) * 0.9
    return light.to_image(pixels + (np.array(mix(tube, WHITE, 0.6), np.float32) - pixels) * core)


SEEN: list[Layout] = [blades, board, traffic, chalkboard, poster]
UNSEEN: list[Layout] = [direction, neon]
