"""Words in the street: road signs, a Korean shop, a chalkboard menu, a note on a pin board, a concert poster."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drawing import light, scenes, surfaces
from drawing.canvas import BLACK, INK, WHITE, Colour, Point, arrow, font, sheet, write

GREEN: Colour = (0, 104, 74)


def blade(text: str, fill: Colour = GREEN, ink: Colour = WHITE, face: str = "round", height: int = 200) -> Image.Image:
    """A street-name plate with a border, transparent around its round corners."""
    width = round(font(face, height * 6 // 10).getlength(text) + height * 0.8)
    plate = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(plate)
    pen.rounded_rectangle([0, 0, width - 1, height - 1], height // 8, fill=(*fill, 255))
    inset = height // 20
    box = [inset, inset, width - 1 - inset, height - 1 - inset]
    pen.rounded_rectangle(box, height // 10, outline=(*ink, 255), width=max(2, height // 28))
    write(pen, (width / 2, height / 2), text, face, height * 6 // 10, ink, "mm")
    return plate


def _one_way() -> Image.Image:
    plate = Image.new("RGBA", (560, 200), (0, 0, 0, 0))
    pen = ImageDraw.Draw(plate)
    pen.rounded_rectangle([0, 0, 559, 199], 18, fill=(*INK, 255))
    pen.polygon([(24, 66), (400, 66), (400, 20), (536, 100), (400, 180), (400, 134), (24, 134)], fill=WHITE)
    write(pen, (236, 100), "ONE WAY", "gothic-bold", 60, BLACK, "mm")
    return plate


def _pole(scene: Image.Image, left: int, width: int, top: int) -> None:
    across = np.linspace(-1, 1, width, dtype=np.float32)
    shine = 96 + 110 * np.exp(-((across + 0.35) ** 2) * 5)
    column = np.repeat(shine[None, :, None], scene.height - top, axis=0).repeat(3, axis=2)
    scene.paste(light.to_image(column * np.array([0.96, 1.0, 1.02], np.float32)), (left, top))


def street_sign(rng: np.random.Generator) -> Image.Image:
    """Two street names and an arrow on a pole, seen from below."""
    scene = scenes.trees(rng, (1000, 1000))
    _pole(scene, 478, 40, 96)
    plates: list[tuple[Image.Image, list[Point]]] = [
        (blade("MAPLE STREET"), [(118, 176), (884, 126), (890, 288), (124, 326)]),
        (blade("HARBOUR AVE", (20, 74, 150)), [(176, 372), (834, 352), (838, 498), (180, 512)]),
        (_one_way(), [(280, 590), (720, 586), (722, 742), (282, 744)]),
    ]
    for plate, corners in plates:
        scene = light.lay(plate, scene, corners, 6, 0.35)
    sunlit = light.shade(scene, light.slope(scene.size, 1.1, 0.88, 0.7))
    return light.develop(sunlit, rng, 0.7, 2.6)


def shop_sign(rng: np.random.Generator) -> Image.Image:
    """A Korean snack bar in the evening: its board under lamps, words on the window, an awning."""
    scene = surfaces.brick(rng, (1000, 750))
    _shop_window(scene)
    board = Image.new("RGB", (1500, 330), (26, 84, 62))
    pen = ImageDraw.Draw(board)
    pen.rectangle([14, 14, 1485, 315], outline=(236, 204, 120), width=8)
    write(pen, (560, 160), "행복분식", "round", 210, (252, 246, 226), "mm")
    write(pen, (1220, 118), "since 1998", "serif", 64, (236, 204, 120), "mm")
    write(pen, (1220, 214), "02-555-0198", "gothic-bold", 64, (252, 246, 226), "mm")
    scene = light.lay(board, scene, [(96, 120), (904, 96), (908, 276), (94, 290)], 12)
    lamps = 0.42 + sum(0.5 * light.glow(scene.size, (x, 150), 150) for x in (230, 500, 770))
    lamps += 0.62 * light.glow(scene.size, (500, 580), 260)
    return light.develop(light.shade(scene, np.minimum(lamps, 1.12)), rng, 0.7, 4)


def _shop_window(scene: Image.Image) -> None:
    pen = ImageDraw.Draw(scene)
    pen.rectangle([110, 390, 890, 750], fill=(54, 40, 32))
    inside = light.gradient((740, 340), [(0, (255, 214, 140)), (1, (214, 140, 74))])
    scene.paste(light.to_image(inside), (130, 410))
    for x in (376, 622):
        pen.rectangle([x, 410, x + 8, 750], fill=(54, 40, 32))
    for x, word, price in ((252, "떡볶이", "4,000"), (503, "김밥", "3,500"), (756, "라면", "4,500")):
        write(pen, (x, 536), word, "gothic-bold", 66, (120, 30, 22), "mm")
        write(pen, (x, 620), f"{price}원", "gothic-bold", 46, (74, 42, 26), "mm")
    for stripe in range(17):
        left = 92 + stripe * 48
        fill = (188, 46, 40) if stripe % 2 == 0 else (246, 238, 222)
        pen.polygon([(left, 340), (left + 48, 340), (left + 48, 420), (left, 420)], fill=fill)
        pen.pieslice([left, 398, left + 48, 442], 0, 180, fill=fill)


_MENU = [
    ("아메리카노", "Americano", "4.5"),
    ("카페라떼", "Caffe latte", "5.0"),
    ("녹차", "Green tea", "4.8"),
    ("레몬차", "Lemon tea", "5.2"),
    ("치즈케이크", "Cheesecake", "6.5"),
]


def _slate(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    dust = light.fractal(rng, size, (5, 6), 6)
    return light.to_image(light.tint(dust, (34, 38, 40), (62, 67, 68)))


def menu(rng: np.random.Generator) -> Image.Image:
    """A café's chalkboard in Korean and English."""
    board = _slate(rng, (900, 1100))
    chalk = Image.new("L", board.size)
    pen = ImageDraw.Draw(chalk)
    write(pen, (450, 90), "오늘의 메뉴", "round", 100, 255, "ma")
    write(pen, (450, 225), "TODAY'S MENU", "gothic-bold", 46, 220, "ma")
    pen.line([220, 310, 680, 310], fill=200, width=5)
    for row, (korean, english, price) in enumerate(_MENU):
        top = 370 + row * 124
        write(pen, (90, top), korean, "round", 60, 255)
        write(pen, (92, top + 66), english, "gothic", 36, 210)
        write(pen, (810, top + 14), price, "round", 60, 255, "ra")
    write(pen, (450, 1020), "Open 08:00 - 20:00", "gothic", 38, 220, "ma")
    rubbed = light.to_array(chalk) / 255 * (0.66 + 0.34 * light.fractal(rng, board.size, (90, 110), 2))
    ink = np.array([244, 240, 226], np.float32)
    slate = light.to_array(board)
    drawn = light.to_image(slate + (ink - slate) * rubbed[..., None])
    frame = surfaces.wood(rng, (980, 1180), (110, 72, 40), (170, 120, 76))
    frame.paste(drawn, (40, 40))
    wall = surfaces.plaster(rng, (850, 1000), (196, 178, 152))
    scene = light.lay(frame, wall, [(74, 66), (780, 52), (790, 946), (66, 938)], 14)
    return light.develop(light.shade(scene, light.slope(scene.size, 1.04, 0.84)), rng, 0.6, 2.6)


def _cat(pen: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    """A sitting cat seen from behind, ``size`` pixels high, its middle at ``x``, its feet at ``y``."""
    fur = (52, 48, 52)
    pen.ellipse([x - size * 0.3, y - size * 0.62, x + size * 0.3, y], fill=fur)
    pen.ellipse([x - size * 0.2, y - size * 0.9, x + size * 0.2, y - size * 0.52], fill=fur)
    for side in (-1, 1):
        tip = (x + side * size * 0.17, y - size)
        pen.polygon(
            [tip, (x + side * size * 0.19, y - size * 0.74), (x + side * size * 0.02, y - size * 0.86)], fill=fur
        )
        eye = x + side * size * 0.08
        pen.ellipse([eye - size * 0.035, y - size * 0.77, eye + size * 0.035, y - size * 0.69], fill=(226, 198, 74))
    pen.polygon([(x - 5, y - size * 0.66), (x + 5, y - size * 0.66), (x, y - size * 0.635)], fill=(222, 140, 140))
    pen.arc([x, y - size * 0.32, x + size * 0.62, y], 0, 150, fill=fur, width=round(size * 0.07))


def lost_cat(rng: np.random.Generator) -> Image.Image:
    """A paper on a pin board, upright as a person sees it; the file stores it lying on its side."""
    paper, pen = sheet((760, 1000), (252, 250, 244))
    write(pen, (380, 50), "LOST CAT", "gothic-bold", 118, (186, 36, 34), "ma")
    write(pen, (380, 200), "고양이를 찾습니다", "gothic-bold", 72, INK, "ma")
    pen.rectangle([160, 310, 600, 700], fill=(214, 226, 214))
    _cat(pen, 380, 690, 330)
    write(pen, (380, 736), "Nabi, black, very shy", "gothic", 50, INK, "ma")
    write(pen, (380, 812), "Maple Street, 12 March", "gothic", 50, INK, "ma")
    write(pen, (380, 900), "010-5550-0147", "gothic-bold", 72, INK, "ma")
    board = surfaces.cork(rng, (900, 1200))
    scene = light.lay(surfaces.creased(paper, rng, 0.1), board, [(118, 110), (776, 84), (800, 1064), (96, 1084)], 12)
    pin = ImageDraw.Draw(scene)
    pin.ellipse([436, 98, 476, 138], fill=(196, 40, 44))
    pin.ellipse([446, 104, 458, 116], fill=(240, 150, 150))
    return light.develop(light.shade(scene, light.slope(scene.size, 0.84, 1.06, 0.8)), rng, 0.7, 3)


def poster(rng: np.random.Generator) -> Image.Image:
    """A concert poster in the four inks of a print shop."""
    size = (760, 1075)
    sky = light.gradient(size, [(0, (24, 40, 96)), (0.5, (206, 76, 96)), (0.8, (252, 190, 92))])
    page = light.to_image(sky)
    sun = Image.new("L", size)
    ImageDraw.Draw(sun).ellipse([190, 400, 570, 780], fill=255)
    for bar in range(6):
        ImageDraw.Draw(sun).rectangle([0, 584 + bar * 26, 760, 588 + bar * 27], fill=0)
    page.paste((254, 226, 140), (0, 0), sun)
    hills = light.to_array(page).copy()
    scenes.hills(rng, hills, (150, 56, 92), (26, 22, 58), 0.72, 0.92, 4)
    page = light.to_image(hills)
    pen = ImageDraw.Draw(page)
    write(pen, (380, 80), "SUMMER", "round", 150, (255, 246, 224), "ma")
    write(pen, (380, 236), "CONCERT", "round", 118, (255, 246, 224), "ma")
    write(pen, (380, 900), "Sat 18 July 2026 · 19:30", "gothic-bold", 46, (255, 246, 224), "ma")
    write(pen, (380, 968), "Harbour Park, Eastport", "gothic", 42, (254, 226, 140), "ma")
    return separate(page)


def separate(page: Image.Image) -> Image.Image:
    """RGB to CMYK with the grey of every pixel in the black ink."""
    inks = 255 - light.to_array(page)
    black = inks.min(axis=2, keepdims=True)
    colour = (inks - black) / np.maximum(255 - black, 1) * 255
    planes = np.concatenate([colour, black], axis=2)
    return Image.frombytes("CMYK", page.size, np.rint(planes).astype(np.uint8).tobytes())


def arrow_plate(text: str, fill: Colour, ink: Colour = WHITE) -> Image.Image:
    """A way sign with an arrow to the right."""
    width = round(font("gothic-bold", 90).getlength(text) + 320)
    plate = Image.new("RGB", (width, 180), fill)
    pen = ImageDraw.Draw(plate)
    pen.rectangle([8, 8, width - 9, 171], outline=ink, width=6)
    write(pen, (60, 90), text, "gothic-bold", 90, ink, "lm")
    arrow(pen, (width - 190, 90), (width - 50, 90), ink, 22, 60)
    return plate.filter(ImageFilter.GaussianBlur(0.5))
