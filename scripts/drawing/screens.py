"""What a screen shows: a slide, a chart page, a retro dialogue, a game, a loading animation, a logo."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from drawing.canvas import BLACK, INK, WHITE, Colour, arrow, sheet, write, write_lines

NAVY: Colour = (24, 42, 78)
AMBER: Colour = (246, 172, 60)


def slide(rng: np.random.Generator) -> Image.Image:
    """A slide of a talk: title, three points, a small diagram."""
    image, pen = sheet((1280, 720), (250, 251, 253))
    pen.rectangle([0, 0, 1280, 132], fill=NAVY)
    pen.rectangle([0, 132, 1280, 140], fill=AMBER)
    write(pen, (64, 66), "Measure first, then optimise", "gothic-bold", 58, WHITE, "lm")
    points = ["Find the slowest step", "Change one thing at a time", "Compare in fresh processes"]
    for row, point in enumerate(points):
        pen.ellipse([70, 226 + row * 100, 92, 248 + row * 100], fill=AMBER)
        write(pen, (122, 237 + row * 100), point, "gothic", 42, INK, "lm")
    _loop(pen)
    write(pen, (64, 678), "Eastport Developer Day 2026", "gothic", 24, (120, 128, 142), "lm")
    write(pen, (1216, 678), "7 / 24", "gothic", 24, (120, 128, 142), "rm")
    return image


def _loop(pen: ImageDraw.ImageDraw) -> None:
    steps: list[tuple[str, int, int, Colour]] = [
        ("measure", 840, 220, (54, 116, 181)),
        ("change", 1040, 420, (46, 140, 106)),
        ("compare", 760, 520, (196, 84, 74)),
    ]
    for start, end in (((980, 310), (1090, 412)), ((1030, 484), (958, 540)), ((832, 512), (880, 318))):
        arrow(pen, start, end, (150, 158, 172), 6, 22)
    for word, left, top, fill in steps:
        pen.rounded_rectangle([left, top, left + 190, top + 84], 20, fill=fill)
        write(pen, (left + 95, top + 42), word, "gothic-bold", 34, WHITE, "mm")


def dialogue(rng: np.random.Generator) -> Image.Image:
    """A window of the nineties in 16 colours."""
    image, pen = sheet((520, 340), (0, 128, 128))
    for row, name in enumerate(("Computer", "Network", "Trash")):
        pen.rectangle([26, 24 + row * 92, 62, 52 + row * 92], fill=(192, 192, 192), outline=BLACK)
        pen.rectangle([31, 29 + row * 92, 57, 44 + row * 92], fill=(0, 0, 128))
        write(pen, (44, 58 + row * 92), name, "gothic", 15, WHITE, "ma")
    raised(pen, (104, 66, 500, 250))
    pen.rectangle([109, 71, 495, 95], fill=(0, 0, 128))
    write(pen, (117, 83), "Save file", "gothic-bold", 16, WHITE, "lm")
    pen.polygon([(146, 120), (176, 172), (116, 172)], fill=(255, 255, 0), outline=BLACK)
    write(pen, (146, 156), "!", "gothic-bold", 30, BLACK, "mm")
    write_lines(
        pen,
        (196, 120),
        ["The disk in drive A: is full.", "Insert another disk and", "press Retry."],
        "gothic",
        19,
        BLACK,
    )
    for left, word in ((190, "Retry"), (310, "Cancel")):
        raised(pen, (left, 208, left + 100, 238))
        write(pen, (left + 50, 223), word, "gothic", 17, BLACK, "mm")
    raised(pen, (0, 310, 520, 340))
    write(pen, (12, 325), "Start", "gothic-bold", 17, BLACK, "lm")
    write(pen, (508, 325), "17:42", "gothic", 16, BLACK, "rm")
    return image.quantize(16, dither=Image.Dither.NONE)


def raised(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """A grey panel with a light and a dark edge, as old windows have it."""
    left, top, right, bottom = box
    pen.rectangle(box, fill=(192, 192, 192))
    pen.line([(left, bottom), (left, top), (right, top)], fill=WHITE, width=2)
    pen.line([(right, top), (right, bottom), (left, bottom)], fill=(96, 96, 96), width=2)


_SHIP = ["...WW...", "...WW...", "..WCCW..", "..WCCW..", ".WWWWWW.", "WWGWWGWW", "W.GWWG.W", "..A..A..", "..R..R.."]
_ALIEN = ["..V...V..", "...V.V...", "..VVVVV..", ".VVKVKVV.", "VVVVVVVVV", "V.VVVVV.V", "V.V...V.V", "...VV.VV."]
_COLOURS: dict[str, Colour] = {
    "W": (226, 232, 240), "C": (90, 200, 250), "G": (120, 128, 150), "A": AMBER,
    "R": (230, 70, 50), "V": (124, 214, 120), "K": (20, 24, 40),
}  # fmt: skip


def game(rng: np.random.Generator) -> Image.Image:
    """A shooting game on an 8-bit machine, four screen pixels to a dot."""
    image, pen = sheet((240, 160), (14, 16, 44))
    for x, y in rng.integers(0, (240, 118), (90, 2)):
        image.putpixel((int(x), int(y)), (130, 136, 180) if rng.random() < 0.7 else WHITE)
    pen.ellipse([168, 40, 224, 96], fill=(196, 96, 72))
    pen.ellipse([176, 44, 222, 90], fill=(222, 128, 88))
    pen.ellipse([146, 62, 246, 74], outline=(240, 206, 150), width=2)
    pen.polygon(
        [(0, 150), (40, 132), (76, 146), (120, 128), (170, 148), (206, 134), (240, 146), (240, 160), (0, 160)],
        (62, 48, 96),
    )
    for row in range(3):
        for column in range(6):
            _sprite(image, _ALIEN, (20 + column * 20, 30 + row * 16))
    _sprite(image, _SHIP, (86, 126))
    for y in (86, 100, 114):
        pen.rectangle([89, y, 90, y + 5], fill=AMBER)
    screen = image.resize((960, 640), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(screen)
    for x, text, anchor in ((30, "SCORE 01250", "la"), (480, "LEVEL 3", "ma"), (930, "TIME 147", "ra")):
        write(pen, (x, 22), text, "gothic-bold", 44, WHITE, anchor)
    return screen.quantize(32, dither=Image.Dither.NONE)


def _sprite(image: Image.Image, rows: list[str], at: tuple[int, int]) -> None:
    for y, row in enumerate(rows):
        for x, dot in enumerate(row):
            if dot in _COLOURS:
                image.putpixel((at[0] + x, at[1] + y), _COLOURS[dot])


def loading(rng: np.random.Generator) -> list[Image.Image]:
    """Ten frames of a clock and a bar that fills."""
    return [_loading_frame(step, 10) for step in range(1, 11)]


def _loading_frame(step: int, steps: int) -> Image.Image:
    image, pen = sheet((720, 540), (247, 248, 250))
    pen.ellipse([230, 50, 490, 310], fill=WHITE, outline=NAVY, width=12)
    for tick in range(12):
        angle = tick * math.pi / 6
        inner, outer = 100, 114
        ends = [(360 + r * math.sin(angle), 180 - r * math.cos(angle)) for r in (inner, outer)]
        pen.line(ends, fill=NAVY, width=6)
    for length, width, turn in ((64, 12, step / steps / 12 + 0.75), (96, 8, step / steps)):
        angle = 2 * math.pi * turn
        pen.line([(360, 180), (360 + length * math.sin(angle), 180 - length * math.cos(angle))], fill=NAVY, width=width)
    pen.ellipse([348, 168, 372, 192], fill=AMBER)
    pen.rounded_rectangle([110, 360, 610, 396], 18, fill=(222, 227, 236))
    pen.rounded_rectangle([110, 360, 110 + max(40, 500 * step // steps), 396], 18, fill=AMBER)
    write(pen, (360, 456), f"Loading {100 * step // steps} %", "gothic-bold", 52, NAVY, "mm")
    return image.reduce(2).quantize(32, dither=Image.Dither.NONE)


def logo(rng: np.random.Generator) -> Image.Image:
    """White words and a sign on nothing at all: invisible on white paper."""
    image = Image.new("RGBA", (1800, 640), (255, 255, 255, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse([80, 90, 540, 550], outline=WHITE, width=30)
    pen.polygon([(310, 160), (372, 310), (248, 310)], fill=WHITE)
    pen.polygon([(310, 480), (372, 330), (248, 330)], fill=(255, 255, 255, 150))
    write(pen, (620, 306), "Northwind", "round", 210, WHITE, "lm")
    spaced = "S A I L I N G   S C H O O L"
    write(pen, (640, 460), spaced, "gothic-bold", 66, WHITE, "lm")
    return image.reduce(2)
