"""Barcodes and QR codes in an image with their values, by zxing-cpp."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from imgtool.types import Box

QR = frozenset({"qr", "microqr", "rmqr"})
"""The kinds that ``describe`` counts as QR codes; it counts all others as barcodes."""

_MATRIX = QR | {"datamatrix", "aztec", "aztecrune", "pdf417", "micropdf417", "compactpdf417", "maxicode"}

_NAMES = {"qrcode": "qr", "microqrcode": "microqr", "rmqrcode": "rmqr", "itf": "itf14"}
_FORMAT = zxingcpp.BarcodeFormat
_TRUSTED = ("EAN13", "EAN8", "UPCA", "DataBar", "Code128", "Code93", "Code39", "Codabar", "ITF")
_LINEAR = [getattr(_FORMAT, name) for name in _TRUSTED]
"""UPC-E and ITF other than ITF-14 are left out: parts of other barcodes that are rotated or blurred are read as these
(``scripts/measure_barcodes.py --kinds``: half of what was read as ITF was wrong)."""
_ALL = zxingcpp.BarcodeFormats([*_LINEAR, _FORMAT.AllMatrix])
_DOTS_ALONE = zxingcpp.BarcodeFormats(
    [_FORMAT.QRCode, _FORMAT.MicroQRCode, _FORMAT.RMQRCode, _FORMAT.DataMatrix, _FORMAT.Aztec, _FORMAT.MaxiCode]
)
_BARS, _DOTS = zxingcpp.BarcodeFormats(_LINEAR), zxingcpp.BarcodeFormats([_FORMAT.AllMatrix])

_UNCHECKED = frozenset({"code39", "codabar"})
"""Symbologies without a check digit: a misread bar gives another value, and nothing shows it."""
_PRECISION_CHECKED, _PRECISION_UNCHECKED = 0.998, 0.962
"""The share of right values in ``scripts/measure_barcodes.py --kinds``: 849 of 850, and 124 of 128. One right and one
wrong value are added to each, because no number of pictures proves that a reader is always right."""

_SMALLEST = 8
"""Pixels of the shorter side; nothing can be read in a smaller image."""
_LONGEST, _LONGEST_ROTATED = 8192, 2048
"""Pixels of the longer side; larger images are shrunk, and codes in them usually stay large enough."""

_TILE, _LEAST_CHANGE, _LEAST_RATIO = 8, 4.0, 1.8
"""Bars are looked for in tiles of so many pixels: those that change by so many levels from pixel to pixel
in one direction, and by so many times less in the one across. Of 50 barcodes that were read in the rotated image alone,
some of them ten modules high, all have such tiles at 5 levels and a ratio of 2; half of ordinary pictures have none."""


@dataclass(frozen=True)
class Barcode:
    """A code that was read and whose checks passed.

    ``kind`` is its symbology in lower case: ``qr``, ``ean13``, ``code128``. ``value`` is its text, with GS1 identifiers
    in brackets and escapes for bytes that are not text. ``box`` is in pixels of the image.
    """

    kind: str
    value: str
    box: Box

    @property
    def checked(self) -> bool:
        """Whether its symbology has a check digit or error correction."""
        return self.kind not in _UNCHECKED

    @property
    def confidence(self) -> float:
        """The measured share of right values among such codes, in [0, 1]."""
        return _PRECISION_CHECKED if self.checked else _PRECISION_UNCHECKED


def read_barcodes(pixels: NDArray[np.uint8], threads: int = 1) -> list[Barcode]:
    """The codes in (H, W, 3) RGB or (H, W) grey, uint8, from the top down.

    With two ``threads`` or more, bars are read beside codes of dots: zxing-cpp itself has one thread.
    """
    if min(pixels.shape[:2]) < _SMALLEST:
        return []
    grey = pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    small, scale = _shrunk(grey, _LONGEST)
    back = np.eye(2, 3) / scale

    # The bars of PDF417 count as well.
    if not (_has_bars(small, slanting=False) or _has_bars(small, slanting=True)):
        codes = _barcodes(zxingcpp.read_barcodes(small, formats=_DOTS_ALONE), back)
        return sorted(codes, key=lambda code: (code.box[0][1], code.box[0][0]))

    def read(formats: zxingcpp.BarcodeFormats) -> list[Barcode]:
        return _barcodes(zxingcpp.read_barcodes(small, formats=formats), back)

    if threads > 1:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="codes") as beside:
            of_dots = beside.submit(read, _DOTS)
            found = read(_BARS)
            rotated = [] if found else _read_rotated(grey)
            found += of_dots.result() + rotated
    else:
        found = read(_ALL)
        if all(code.kind in _MATRIX for code in found):
            found += _read_rotated(grey)
    return sorted(found, key=lambda code: (code.box[0][1], code.box[0][0]))


def _read_rotated(grey: NDArray[np.uint8]) -> list[Barcode]:
    """The barcodes in the image rotated by 45 degrees, if it has slanting bars: zxing-cpp scans rows and columns, and
    none of them crosses all bars of a barcode rotated by 30 to 60 degrees."""
    small, scale = _shrunk(grey, _LONGEST_ROTATED)
    if not _has_bars(small, slanting=True):
        return []
    height, width = small.shape
    half = np.sqrt(0.5)
    turn = np.array([[half, half, 0.0], [-half, half, half * width]])
    side = int(np.ceil(half * (height + width)))
    turned = cv2.warpAffine(small, turn, (side, side), borderValue=255)
    return _barcodes(
        zxingcpp.read_barcodes(turned, formats=_BARS),
        cv2.invertAffineTransform(turn) / scale,
    )


def _has_bars(grey: NDArray[np.uint8], *, slanting: bool) -> bool:
    """Whether somewhere (H, W) changes along rows far more than along columns or the other way round, or along one
    diagonal far more than along the other, over more than one edge."""
    if min(grey.shape) <= _TILE:
        return True
    means = []
    here, right, below, across = grey[:-1, :-1], grey[:-1, 1:], grey[1:, :-1], grey[1:, 1:]
    for one, other in ((across, here), (below, right)) if slanting else ((right, here), (below, here)):
        changes = cv2.absdiff(one, other)
        height, width = (side // _TILE for side in changes.shape)
        tiles = cv2.resize(changes[: height * _TILE, : width * _TILE], (width, height), interpolation=cv2.INTER_AREA)
        means.append(cv2.blur(tiles, (4, 4)).astype(np.float32))
    much, little = np.maximum(*means), np.minimum(*means)
    one_way = ((much > _LEAST_CHANGE) & (much > _LEAST_RATIO * little)).astype(np.uint8)
    return bool(cv2.erode(one_way, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0).any())


def _shrunk(grey: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """(H, W) with no side longer than ``longest``, and the scale."""
    scale = longest / max(grey.shape)
    if scale >= 1:
        return np.ascontiguousarray(grey), 1.0
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale


def _barcodes(found: list[zxingcpp.Barcode], back: NDArray[np.float64]) -> list[Barcode]:
    """``found`` without ITF other than ITF-14, with corners mapped by the matrix ``back``, (2, 3)."""
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
