"""Barcodes and QR codes in an image with their values, by zxing-cpp."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from imgtool.types import Box

QR = frozenset({"qr", "microqr", "rmqr"})
"""The kinds that people call QR codes; to them all others are barcodes."""

_MATRIX = QR | {"datamatrix", "aztec", "aztecrune", "pdf417", "micropdf417", "compactpdf417", "maxicode"}

_NAMES = {"qrcode": "qr", "microqrcode": "microqr", "rmqrcode": "rmqr", "itf": "itf14"}
_FORMAT = zxingcpp.BarcodeFormat
_TRUSTED = ("EAN13", "EAN8", "UPCA", "DataBar", "Code128", "Code93", "Code39", "Codabar", "ITF")
_LINEAR = [getattr(_FORMAT, name) for name in _TRUSTED]
"""Without UPC-E and ITF that is not ITF-14: parts of other barcodes are read as such where they are turned or blurred
(``scripts/measure_barcodes.py --kinds``: half of what was read as ITF was wrong)."""
_ALL = zxingcpp.BarcodeFormats([*_LINEAR, _FORMAT.AllMatrix])

_UNCHECKED = frozenset({"code39", "codabar"})
"""Symbologies that do without a check digit: a misread bar gives another value unseen."""
_PRECISION_CHECKED, _PRECISION_UNCHECKED = 0.998, 0.962
"""How much of what was read was right in ``scripts/measure_barcodes.py --kinds``: 849 of 850, and 124 of 128, each with
one right and one wrong more, because no finite number of pictures proves a certainty."""

_SMALLEST = 8
"""Pixels of the shorter side, under which nothing can be read."""
_LONGEST, _LONGEST_ASLANT = 8192, 2048
"""Pixels of the longer side; larger images are shrunk: a code that fills a part of them is still large enough."""


@dataclass(frozen=True)
class Barcode:
    """A code that could be read, its checks passed.

    ``kind`` is its symbology in small letters and digits: ``qr``, ``ean13``, ``code128``. ``value`` is its text: GS1
    identifiers in brackets, bytes that are no text as escapes. ``box`` is in pixels of the image.
    """

    kind: str
    value: str
    box: Box

    @property
    def checked(self) -> bool:
        """Whether its symbology has a check digit or better, which held."""
        return self.kind not in _UNCHECKED

    @property
    def confidence(self) -> float:
        """The share of such codes whose value was right when it was measured, in [0, 1]."""
        return _PRECISION_CHECKED if self.checked else _PRECISION_UNCHECKED


def read_barcodes(pixels: NDArray[np.uint8]) -> list[Barcode]:
    """The codes in (H, W, 3) RGB or (H, W) grey, uint8, from the top down."""
    if min(pixels.shape[:2]) < _SMALLEST:
        return []
    grey = pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    found = _read(grey)
    if all(code.kind in _MATRIX for code in found):
        # Lines are scanned along rows and columns: a barcode turned by 30 to 60 degrees is crossed by none of them.
        found += _read_aslant(grey)
    return sorted(found, key=lambda code: (code.box[0][1], code.box[0][0]))


def _read(grey: NDArray[np.uint8]) -> list[Barcode]:
    small, scale = _shrunk(grey, _LONGEST)
    return _barcodes(zxingcpp.read_barcodes(small, formats=_ALL), np.eye(2, 3) / scale)


def _read_aslant(grey: NDArray[np.uint8]) -> list[Barcode]:
    """The barcodes that are found once the image is turned by 45 degrees."""
    small, scale = _shrunk(grey, _LONGEST_ASLANT)
    height, width = small.shape
    half = np.sqrt(0.5)
    turn = np.array([[half, half, 0.0], [-half, half, half * width]])
    side = int(np.ceil(half * (height + width)))
    turned = cv2.warpAffine(small, turn, (side, side), borderValue=255)
    return _barcodes(
        zxingcpp.read_barcodes(turned, formats=zxingcpp.BarcodeFormats(_LINEAR)),
        cv2.invertAffineTransform(turn) / scale,
    )


def _shrunk(grey: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """(H, W) with no side longer than ``longest``, and by how much it was scaled."""
    scale = longest / max(grey.shape)
    if scale >= 1:
        return np.ascontiguousarray(grey), 1.0
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale


def _barcodes(found: list[zxingcpp.Barcode], back: NDArray[np.float64]) -> list[Barcode]:
    """What was ``found`` and can be trusted, with corners moved by the matrix ``back``, (2, 3)."""
    codes = []
    for each in found:
        name, place = each.format.name.lower(), each.position
        corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
        a, b, c, d = ((float(x), float(y)) for x, y in (back @ (corner.x, corner.y, 1) for corner in corners))
        if name != "itf" or _is_gtin14(each.text):
            codes.append(Barcode(_NAMES.get(name, name), each.text, (a, b, c, d)))
    return codes


def _is_gtin14(digits: str) -> bool:
    """Whether 14 digits end with the check digit of the GS1 General Specifications."""
    if len(digits) != 14 or not digits.isdecimal():
        return False
    return sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(digits)) % 10 == 0
