"""Documents: a receipt, an invoice, a notice, a letter of three pages, notes by hand."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from drawing import light, surfaces
from drawing.canvas import BLACK, INK, WHITE, Colour, Point, arrow, dashed, font, sheet, write, write_lines
from drawing.codes import ean13, qr

_BASKET = [
    ("Sourdough bread", 1, 3.80),
    ("Oat milk 1 l", 2, 1.95),
    ("Tomatoes 500 g", 1, 2.40),
    ("Olive oil 0.5 l", 1, 7.25),
    ("Green tea", 3, 2.10),
    ("Dark chocolate", 2, 1.60),
]


def _receipt_paper() -> Image.Image:
    paper, pen = sheet((620, 1120), (250, 248, 242))
    write(pen, (310, 50), "CORNER GROCERY", "gothic-bold", 50, anchor="ma")
    for row, line in enumerate(["12 Harbour Lane, Eastport", "Tel 020 555 0147", "2026-03-14  17:42  Till 3"]):
        write(pen, (310, 122 + row * 38), line, "mono", 28, anchor="ma")
    dashed(pen, (40, 250), (580, 250), INK)
    y, total = 270, 0.0
    for name, count, price in _BASKET:
        write(pen, (40, y), f"{count} x {name}", "mono", 30)
        write(pen, (580, y), f"{count * price:.2f}", "mono", 30, anchor="ra")
        y, total = y + 46, total + count * price
    dashed(pen, (40, y + 10), (580, y + 10), INK)
    write(pen, (40, y + 28), "TOTAL", "gothic-bold", 46)
    write(pen, (580, y + 28), f"EUR {total:.2f}", "gothic-bold", 46, anchor="ra")
    write(pen, (40, y + 100), "Card **** 4821", "mono", 28)
    write(pen, (580, y + 100), "VAT 7 % included", "mono", 28, anchor="ra")
    write(pen, (310, y + 170), "Thank you for your visit!", "mono", 30, anchor="ma")
    code = ean13("402026031417", module=4, height=130)
    at = ((620 - code.width) // 2, y + 230)
    under = paper.crop((*at, at[0] + code.width, at[1] + code.height))
    paper.paste(ImageChops.multiply(code, under), at)
    return paper


def receipt(rng: np.random.Generator) -> Image.Image:
    """A till receipt on a wooden table, photographed by hand."""
    paper = surfaces.creased(light.wobble(_receipt_paper(), rng, 2.5, (6, 9)), rng, 0.16)
    table = surfaces.wood(rng, (900, 1200))
    corners: list[Point] = [(182, 92), (722, 62), (762, 1108), (132, 1126)]
    scene = light.shade(light.lay(paper, table, corners), light.slope(table.size, 1.06, 0.8))
    return light.develop(scene, rng, 0.6, 3)


_ITEMS = [
    ("Site survey, two days", "2", "480.00", "960.00"),
    ("Oak panel 18 mm, 2440 x 1220", "6", "89.50", "537.00"),
    ("Brass hinge, pair", "14", "6.40", "89.60"),
    ("Assembly and finishing", "11 h", "52.00", "572.00"),
    ("Delivery to Eastport", "1", "65.00", "65.00"),
]


def _invoice_head(page: Image.Image, pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle([0, 0, 1000, 18], fill=(28, 84, 110))
    write(pen, (70, 70), "Harbour Joinery Ltd", "serif", 46, (28, 84, 110))
    write_lines(pen, (70, 140), ["4 Quay Street", "Eastport EP2 7QN", "accounts@harbour.example"], "gothic", 22)
    write(pen, (930, 70), "INVOICE", "gothic-bold", 56, anchor="ra")
    facts = ["No. 2026-0147", "Date 14 March 2026", "Due 13 April 2026"]
    for row, line in enumerate(facts):
        write(pen, (930, 146 + row * 33), line, "gothic", 22, anchor="ra")
    write(pen, (70, 290), "Bill to", "gothic-bold", 22, (28, 84, 110))
    write_lines(pen, (70, 322), ["Maple Street Library", "1 Maple Street", "Eastport EP1 3AB"], "gothic", 22)


def _invoice_table(pen: ImageDraw.ImageDraw) -> None:
    places = [(84, "la"), (650, "ra"), (780, "ra"), (916, "ra")]
    pen.rectangle([70, 470, 930, 516], fill=(28, 84, 110))
    for (x, anchor), head in zip(places, ("Description", "Quantity", "Price", "Amount"), strict=True):
        write(pen, (x, 481), head, "gothic-bold", 22, WHITE, anchor)
    for row, item in enumerate(_ITEMS):
        top = 516 + row * 54
        pen.rectangle([70, top, 930, top + 54], fill=(240, 245, 247) if row % 2 else WHITE)
        for (x, anchor), cell in zip(places, item, strict=True):
            write(pen, (x, top + 14), cell, "gothic", 22, INK, anchor)
    pen.line([70, 786, 930, 786], fill=INK, width=2)
    sums = [("Net", "2,223.60"), ("VAT 20 %", "444.72"), ("Total GBP", "2,668.32")]
    for row, (name, amount) in enumerate(sums):
        face, size = ("gothic-bold", 28) if row == 2 else ("gothic", 24)
        write(pen, (780, 810 + row * 44), name, face, size, anchor="ra")
        write(pen, (916, 810 + row * 44), amount, face, size, anchor="ra")


def invoice(rng: np.random.Generator) -> Image.Image:
    """An invoice as a program exports it, with a QR code and an EAN-13 bar code."""
    page, pen = sheet((1000, 1414))
    _invoice_head(page, pen)
    _invoice_table(pen)
    page.paste(qr("https://harbour.example/pay/2026-0147", 6), (70, 1010))
    terms = ["Scan to pay, or transfer to", "IBAN GB00 TEST 0000 0147 2026", "Please quote the invoice number."]
    write_lines(pen, (310, 1040), terms, "gothic", 22)
    code = ean13("502026014714", module=4, height=110)
    page.paste(code, (930 - code.width, 1180))
    pen.line([70, 1360, 930, 1360], fill=(180, 190, 196), width=1)
    write(
        pen, (500, 1370), "Harbour Joinery Ltd · Registered in Eastport 0147 · Page 1 of 1", "gothic", 18, anchor="ma"
    )
    return page


_NOTICE = [
    "입주민 여러분께 알려드립니다.",
    "아래와 같이 승강기 정기 점검을 실시하오니",
    "계단을 이용하여 주시기 바랍니다.",
]
_NOTICE_TABLE = [
    ("구분", "날짜", "시간"),
    ("101동", "3월 16일", "09:00 - 11:00"),
    ("102동", "3월 17일", "13:00 - 15:00"),
]


def _notice_table(pen: ImageDraw.ImageDraw) -> None:
    lefts = (90, 290, 520, 810)
    for row, cells in enumerate(_NOTICE_TABLE):
        top = 620 + row * 84
        for column, cell in enumerate(cells):
            box = [lefts[column], top, lefts[column + 1], top + 84]
            pen.rectangle(box, outline=INK, width=3, fill=(226, 228, 232) if row == 0 else WHITE)
            middle = ((box[0] + box[2]) / 2, top + 42)
            write(pen, middle, cell, "gothic-bold" if row == 0 else "gothic", 36, anchor="mm")


def notice(rng: np.random.Generator) -> Image.Image:
    """A Korean notice to the tenants of a house, scanned slightly askew in greyscale."""
    page, pen = sheet((900, 1200))
    pen.rectangle([44, 44, 856, 1156], outline=INK, width=4)
    write(pen, (450, 110), "안 내 문", "gothic-bold", 96, anchor="ma")
    pen.line([300, 240, 600, 240], fill=INK, width=4)
    write_lines(pen, (90, 320), _NOTICE, "gothic", 38, leading=1.9)
    _notice_table(pen)
    write_lines(pen, (90, 920), ["문의: 관리사무소 02-555-0147", "불편을 드려 죄송합니다."], "gothic", 34, leading=1.7)
    write(pen, (450, 1076), "행복아파트 관리사무소장", "gothic-bold", 44, anchor="ma")
    scan = page.convert("L").rotate(0.8, Image.Resampling.BICUBIC, fillcolor=236)
    soft = light.to_array(scan.filter(ImageFilter.GaussianBlur(0.6))) * 0.95 + 4
    specks = np.where(rng.random(soft.shape) > 0.9999, 70, 0)
    return light.to_image(np.round((soft - specks) / 6) * 6)


_PAGES = [
    (
        "Minutes of the harbour committee",
        [
            "Eastport, 9 March 2026",
            "",
            "Present: A. Lind, J. Park, M. Okafor, R. Silva.",
            "",
            "1. The minutes of 9 February were approved.",
            "2. The crane on the north quay will be inspected",
            "   in April. It stays closed until then.",
            "3. The new lamps save forty percent of the power.",
            "4. Fishing from the pier is allowed after six.",
        ],
    ),
    (
        "Annex A: Tide table",
        [
            "Date        High      Low       High",
            "",
            "16 March    03:12     09:25     15:40",
            "17 March    04:01     10:13     16:28",
            "18 March    04:48     10:59     17:14",
            "19 March    05:33     11:43     17:58",
            "20 March    06:17     12:26     18:41",
            "",
            "Times are local; heights follow on request.",
        ],
    ),
    (
        "Annex B: List of berths",
        [
            "Berth 1     Aurora        12 m",
            "Berth 2     Gannet         9 m",
            "Berth 3     free",
            "Berth 4     Morning Star  15 m",
            "Berth 5     Petrel         8 m",
            "",
            "Visitors report to the harbour office",
            "before they moor. Channel 12.",
        ],
    ),
]


def minutes(rng: np.random.Generator) -> list[Image.Image]:
    """Three fax pages in black and white."""
    return [_fax(number, title, lines) for number, (title, lines) in enumerate(_PAGES, 1)]


def _fax(number: int, title: str, lines: list[str]) -> Image.Image:
    page, pen = sheet((1240, 1754))
    write(pen, (120, 150), title, "serif", 60)
    pen.line([120, 246, 1120, 246], fill=BLACK, width=3)
    write_lines(pen, (120, 320), lines, "mono", 38, leading=1.7)
    write(pen, (620, 1640), f"Page {number} of {len(_PAGES)}", "mono", 32, anchor="ma")
    return page.convert("L").point(lambda level: 255 if level > 140 else 0).convert("1")


def handwriting(
    rng: np.random.Generator, size: tuple[int, int], lines: list[str], height: int, ink: Colour = (32, 44, 96)
) -> Image.Image:
    """Lines as by hand, on a transparent sheet: each letter up or down a little, the whole wobbling."""
    page = Image.new("RGBA", size, (*ink, 0))
    pen = ImageDraw.Draw(page)
    face = font("round", height)
    for row, line in enumerate(lines):
        x, y = float(height * 0.9), height * (0.8 + 1.55 * row)
        for letter in line:
            pen.text((x, y + rng.uniform(-0.05, 0.05) * height), letter, font=face, fill=(*ink, 255))
            x += face.getlength(letter) * rng.uniform(0.98, 1.08)
    return light.wobble(page, rng, height * 0.07, (16, 10))


def night_note(rng: np.random.Generator) -> Image.Image:
    """A note on the kitchen table by the light of one lamp, shaken and grainy."""
    paper = Image.new("RGBA", (760, 560), (246, 232, 150, 255))
    lines = ["Gone to the market,", "back at six.", "Please feed the cat!", "- Ana"]
    paper.alpha_composite(handwriting(rng, paper.size, lines, 66))
    table = surfaces.wood(rng, (1000, 750), (70, 44, 28), (122, 84, 54))
    scene = light.lay(paper, table, [(196, 168), (784, 122), (838, 574), (170, 610)], 10)
    lamp = 0.09 + 0.62 * light.glow(scene.size, (430, 300), 330)
    warm = light.to_array(light.shade(scene, lamp)) * np.array([1.08, 0.9, 0.66], np.float32)
    shaken = light.to_image(warm).filter(ImageFilter.BoxBlur(2)).filter(ImageFilter.GaussianBlur(1.2))
    return light.grain(shaken, rng, 7)


def whiteboard(rng: np.random.Generator) -> Image.Image:
    """The wall after a meeting: marker words, boxes, arrows, a window's reflection."""
    board = Image.new("RGBA", (1200, 800), (240, 243, 244, 255))
    pen = ImageDraw.Draw(board)
    marks: list[tuple[str, Point, int, Colour]] = [
        ("SPRINT PLAN", (70, 40), 84, (32, 60, 150)),
        ("1  Measure first", (80, 190), 60, INK),
        ("2  Fix the slow start", (80, 290), 60, INK),
        ("3  Ship on Friday", (80, 390), 60, (178, 40, 44)),
    ]
    for text, at, height, ink in marks:
        written = handwriting(rng, (1000, height * 3), [text], height, ink)
        board.alpha_composite(
            written, (round(at[0] - height * 0.9) if at[0] > height else 0, round(at[1] - height * 0.5))
        )
    pen.line([(70, 156), (620, 150)], fill=(32, 60, 150), width=7)
    for left, word in ((90, "read"), (470, "decode"), (850, "answer")):
        pen.rounded_rectangle([left, 560, left + 260, 680], 22, outline=(24, 122, 76), width=7)
        board.alpha_composite(handwriting(rng, (260, 150), [word], 52, (24, 122, 76)), (left, 555))
    for left in (360, 740):
        arrow(pen, (left, 620), (left + 100, 620), (24, 122, 76), 7, 26)
    pen.ellipse([760, 180, 1060, 420], outline=(178, 40, 44), width=7)
    board.alpha_composite(handwriting(rng, (320, 160), ["ideas?"], 66, (178, 40, 44)), (770, 215))
    return _on_wall(light.wobble(board, rng, 3, (14, 10)), rng)


def _on_wall(board: Image.Image, rng: np.random.Generator) -> Image.Image:
    framed = Image.new("RGB", (board.width + 40, board.height + 40), (158, 162, 166))
    framed.paste(board.convert("RGB"), (20, 20))
    wall = surfaces.plaster(rng, (1200, 850), (176, 172, 160))
    scene = light.lay(framed, wall, [(70, 74), (1138, 44), (1146, 776), (58, 802)], 12)
    window = light.to_array(Image.new("L", scene.size))
    window[90:420, 820:1060] = 1
    glare = light.to_array(light.to_image(window * 255).rotate(-8).filter(ImageFilter.GaussianBlur(40))) / 255
    lit = light.to_array(light.shade(scene, light.slope(scene.size, 0.84, 1.02))) + 34 * glare[..., None]
    return light.develop(light.to_image(lit), rng, 0.7, 2.5)
