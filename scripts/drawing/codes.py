"""Codes that scanners read: QR by OpenCV, EAN-13 after the GS1 General Specifications."""

from __future__ import annotations

import cv2
from PIL import Image, ImageDraw

from drawing.canvas import write

_LEFT_ODD = "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011".split(" ")  # noqa: SIM905
_PARITY = ["LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL"]


def qr(text: str, module: int = 5) -> Image.Image:
    """``text`` as a QR code with its quiet zone; ``module`` is the side of a dot in pixels."""
    dots = Image.fromarray(cv2.QRCodeEncoder.create().encode(text)).convert("RGB")
    return dots.resize((dots.width * module, dots.height * module), Image.Resampling.NEAREST)


def check_digit(digits: str) -> str:
    """The thirteenth digit for the first twelve."""
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return str(-total % 10)


def ean13_modules(digits: str) -> str:
    """The 95 modules of a 13-digit code, ``1`` for a bar."""
    right = {str(n): code.translate({48: "1", 49: "0"}) for n, code in enumerate(_LEFT_ODD)}
    left = {("L", str(n)): code for n, code in enumerate(_LEFT_ODD)}
    left |= {("G", digit): code[::-1] for digit, code in right.items()}
    parity = _PARITY[int(digits[0])]
    first = "".join(left[kind, digit] for kind, digit in zip(parity, digits[1:7], strict=True))
    return "101" + first + "01010" + "".join(right[digit] for digit in digits[7:]) + "101"


def ean13(first_twelve: str, module: int = 2, height: int = 80) -> Image.Image:
    """A bar code with its digits below, in RGB; ``module`` is the narrowest bar in pixels."""
    digits = first_twelve + check_digit(first_twelve)
    quiet = 11 * module
    image = Image.new("RGB", (95 * module + 2 * quiet, height + 26), "white")
    pen = ImageDraw.Draw(image)
    for place, bar in enumerate(ean13_modules(digits)):
        if bar == "1":
            left = quiet + place * module
            pen.rectangle([left, 6, left + module - 1, height], fill="black")
    write(pen, (image.width / 2, height + 3), digits, "mono", 18, (0, 0, 0), "ma")
    return image
