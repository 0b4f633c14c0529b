"""Lines and bars: two charts and a drawing with the pen."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from drawing.canvas import INK, Colour, Point, mix, sheet, write

GREY: Colour = (214, 218, 224)
SERIES: list[Colour] = [(54, 116, 181), (232, 138, 54), (70, 150, 98)]

_RAIN = [("Jan", 62), ("Feb", 48), ("Mar", 55), ("Apr", 71), ("May", 88), ("Jun", 104), ("Jul", 131), ("Aug", 118)]


def bar_chart(rng: np.random.Generator) -> Image.Image:
    """Bars with their values above them."""
    image, pen = sheet((1100, 720))
    write(pen, (70, 36), "Rainfall in Eastport, 2025", "gothic-bold", 42)
    write(pen, (70, 92), "millimetres a month", "gothic", 26, (110, 116, 126))
    for tick in range(0, 151, 50):
        y = 620 - tick * 3
        pen.line([110, y, 1050, y], fill=GREY, width=2)
        write(pen, (96, y), str(tick), "gothic", 24, (90, 96, 106), "rm")
    for place, (month, millimetres) in enumerate(_RAIN):
        left = 138 + place * 114
        fill = mix(SERIES[0], (20, 56, 104), (millimetres - 40) / 100)
        pen.rectangle([left, 620 - millimetres * 3, left + 76, 619], fill=fill)
        write(pen, (left + 38, 610 - millimetres * 3), str(millimetres), "gothic-bold", 26, INK, "mb")
        write(pen, (left + 38, 638), month, "gothic", 26, INK, "ma")
    pen.line([110, 620, 1050, 620], fill=INK, width=3)
    return image


def _temperatures() -> dict[str, list[float]]:
    months = range(12)
    places = {"Eastport": (11, 8, 0.0), "Northfell": (4, 11, 0.2), "Southcape": (19, 5, -0.1)}
    return {
        name: [mean - swing * math.cos((month + late) * math.pi / 6) for month in months]
        for name, (mean, swing, late) in places.items()
    }


def line_chart(rng: np.random.Generator) -> Image.Image:
    """Three curves with marks and a legend."""
    image, pen = sheet((2200, 1440))
    write(pen, (140, 72), "Mean temperature in three towns", "gothic-bold", 84)
    for tick in range(-10, 31, 10):
        y = 1180 - (tick + 10) * 22
        pen.line([220, y, 2090, y], fill=GREY, width=4)
        write(pen, (196, y), f"{tick} °C", "gothic", 48, (90, 96, 106), "rm")
    for month, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]):
        write(pen, (290 + month * 158, 1214), name, "gothic", 48, INK, "ma")
    for values, colour in zip(_temperatures().values(), SERIES, strict=True):
        points = [(290.0 + month * 158, 1180 - (value + 10) * 22) for month, value in enumerate(values)]
        pen.line(points, fill=colour, width=11, joint="curve")
        for at, height in points:
            pen.ellipse([at - 15, height - 15, at + 15, height + 15], fill=(255, 255, 255), outline=colour, width=8)
    for place, (name, colour) in enumerate(zip(_temperatures(), SERIES, strict=True)):
        left = 520 + place * 440
        pen.rectangle([left, 1330, left + 56, 1374], fill=colour)
        write(pen, (left + 76, 1352), name, "gothic", 52, INK, "lm")
    return image.reduce(2)


def line_drawing(rng: np.random.Generator) -> Image.Image:
    """A bicycle at the roadside, pen on paper, one bit a pixel."""
    image = Image.new("L", (2400, 1800), 255)
    pen = ImageDraw.Draw(image)
    _hillside(pen, rng)
    for x in (760, 1660):
        _wheel(pen, x, 1180, 340)
    crank, head, seat, hub, front = (1140, 1190), (1500, 690), (1010, 680), (760, 1180), (1660, 1180)
    frame: list[tuple[Point, Point]] = [
        (hub, crank),
        (crank, head),
        (head, seat),
        (seat, crank),
        (seat, hub),
        (head, front),
    ]
    for start, end in frame:
        _tube(pen, start, end)
    pen.line([seat, (984, 590)], fill=0, width=16)
    pen.polygon([(880, 570), (1090, 572), (1100, 590), (960, 612), (880, 606)], fill=0)
    pen.line([head, (1478, 560), (1390, 540)], fill=0, width=16, joint="curve")
    pen.arc([1440, 520, 1580, 660], 250, 80, fill=0, width=14)
    pen.ellipse([1070, 1120, 1210, 1260], outline=0, width=10, fill=255)
    pen.line([(1140, 1190), (1190, 1330)], fill=0, width=14)
    pen.line([(1150, 1332), (1240, 1332)], fill=0, width=16)
    _basket(pen)
    return image.point(lambda level: 255 if level > 127 else 0).convert("1")


def _tube(pen: ImageDraw.ImageDraw, start: Point, end: Point) -> None:
    pen.line([start, end], fill=0, width=26)
    pen.line([start, end], fill=255, width=14)


def _wheel(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    for inset, width in ((0, 14), (26, 5)):
        box = [x - radius + inset, y - radius + inset, x + radius - inset, y + radius - inset]
        pen.ellipse(box, outline=0, width=width)
    for spoke in range(24):
        angle = spoke * math.pi / 12
        end = (x + (radius - 28) * math.cos(angle), y + (radius - 28) * math.sin(angle))
        pen.line([(x, y), end], fill=0, width=4)
    pen.ellipse([x - 22, y - 22, x + 22, y + 22], fill=255, outline=0, width=8)


def _basket(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(1530, 560), (1850, 560), (1800, 780), (1570, 780)], fill=255, outline=0, width=10)
    for share in (0.2, 0.4, 0.6, 0.8):
        pen.line([(1530 + 320 * share, 560), (1570 + 230 * share, 780)], fill=0, width=5)
        y = 560 + 220 * share
        pen.line([(1530 + 40 * share, y), (1850 - 50 * share, y)], fill=0, width=5)
    for x, size in ((1600, 60), (1690, 76), (1780, 60)):
        for petal in range(6):
            angle = petal * math.pi / 3
            at = (x + size * 0.5 * math.cos(angle), 480 + size * 0.5 * math.sin(angle))
            pen.ellipse(
                [at[0] - size * 0.3, at[1] - size * 0.3, at[0] + size * 0.3, at[1] + size * 0.3],
                fill=255,
                outline=0,
                width=6,
            )
        pen.ellipse([x - size * 0.2, 480 - size * 0.2, x + size * 0.2, 480 + size * 0.2], fill=0)
        pen.line([(x, 480 + size * 0.7), (x, 560)], fill=0, width=6)


def _hillside(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    pen.line([(60, 1524), (2340, 1524)], fill=0, width=10)
    for x in rng.uniform(80, 2320, 150):
        height = rng.uniform(14, 60)
        pen.line([(x, 1524), (x + rng.uniform(-16, 16), 1524 - height)], fill=0, width=4)
    for x in np.linspace(120, 2240, 44):
        y = rng.uniform(1560, 1680)
        pen.line([(x, y), (x + rng.uniform(30, 110), y)], fill=0, width=4)
    for top, shift in ((520, 0), (640, 260)):
        points = [(x, top + 120 * math.sin(x / 380 + shift) + 60 * math.sin(x / 170)) for x in range(60, 2340, 20)]
        pen.line(points, fill=0, width=6, joint="curve")
    pen.ellipse([300, 140, 520, 360], outline=0, width=8)
    for ray in range(16):
        angle = ray * math.pi / 8
        ends = [(410 + r * math.cos(angle), 250 + r * math.sin(angle)) for r in (136, 190)]
        pen.line(ends, fill=0, width=7)
    for x, y in ((1500, 240), (1640, 180), (1760, 280)):
        pen.arc([x - 60, y, x, y + 60], 200, 340, fill=0, width=7)
        pen.arc([x, y, x + 60, y + 60], 200, 340, fill=0, width=7)
