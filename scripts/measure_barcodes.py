"""Compare two readers of QR codes and barcodes, zxing-cpp and OpenCV's, on the same drawn pictures.

    python scripts/measure_barcodes.py [--count 6] [--pages FOLDER]

Each code is drawn at several sizes, turned, blurred and put on a noisy page with text around it. ``--pages`` is a
folder of pictures without codes: what is read there is false.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from drawing.canvas import sheet, write  # noqa: E402
from drawing.codes import check_digit, ean13_modules  # noqa: E402

from imgtool.analyzers.codes.barcodes import read_barcodes  # noqa: E402

Grey: TypeAlias = NDArray[np.uint8]

MODULES = (1.5, 2.0, 3.0, 5.0)
"""Pixels of the narrowest bar, or of a dot."""
TURNS = (0, 3, 20, 45, 90)
BLURS = (0.0, 0.8, 1.5, 2.5)
"""Standard deviation in pixels."""


def by_zxing(rgb: Grey) -> list[str]:
    """The values of all codes, as the product reads them."""
    return [code.value for code in read_barcodes(rgb)]


def by_opencv(rgb: Grey) -> list[str]:
    """The same by OpenCV: two detectors of QR codes, and one of barcodes on the picture as it is and smoothed."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    cv2.setRNGSeed(0)
    found: list[str] = []
    for detector in (cv2.QRCodeDetectorAruco(), cv2.QRCodeDetector()):
        try:
            found = [text for text in detector.detectAndDecodeMulti(grey)[1] if text]
        except (cv2.error, UnicodeDecodeError):
            continue
        if found:
            break
    for picture in (grey, cv2.GaussianBlur(grey, (0, 0), 1)):
        bars = [text for text in cv2.barcode.BarcodeDetector().detectAndDecodeMulti(picture)[1] if text]
        if bars:
            return found + bars
    return found


READERS: dict[str, Callable[[Grey], list[str]]] = {"zxing-cpp": by_zxing, "OpenCV": by_opencv}


def _qr(value: str) -> Grey:
    return np.asarray(np.pad(cv2.QRCodeEncoder.create().encode(value), 3, constant_values=255), np.uint8)


def _ean13(value: str) -> Grey:
    row = np.where(np.array(list(ean13_modules(value))) == "1", 0, 255).astype(np.uint8)
    return np.asarray(np.pad(np.repeat(row[None], 40, axis=0), ((4, 4), (11, 11)), constant_values=255), np.uint8)


def _page(code: Grey, module: float, turn: float, blur: float, rng: random.Random) -> Grey:
    """The code on an A5 page with some text, (H, W, 3) RGB."""
    page, pen = sheet((1000, 900), (246, 244, 240))
    for row in range(6):
        write(pen, (60, 40 + row * 34), "Delivery note 4711 / please check all items at once", "gothic", 24)
    size = round(code.shape[1] * module), round(code.shape[0] * module)
    drawn = Image.fromarray(code).resize(size, Image.Resampling.BOX if module % 1 else Image.Resampling.NEAREST)
    turned = drawn.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    mask = Image.new("L", drawn.size, 255).rotate(turn, expand=True)
    page.paste(turned, (500 - turned.width // 2, 560 - turned.height // 2), mask)
    grey = np.asarray(page.convert("L"), np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 5, grey.shape)
    soft = cv2.GaussianBlur(grey, (0, 0), blur) if blur else grey
    return np.asarray(np.repeat(np.clip(soft + noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2))


def _pictures(count: int) -> Iterator[tuple[str, float, float, float, str, Grey]]:
    rng = random.Random(5)
    for kind in ("QR", "EAN-13"):
        for module in MODULES:
            for turn in TURNS:
                for blur in BLURS:
                    for _ in range(count):
                        # No zero first: the same bars are a UPC-A code of twelve digits then.
                        digits = rng.choice("123456789") + "".join(rng.choice("0123456789") for _ in range(11))
                        value = f"https://example.org/p/{digits}" if kind == "QR" else digits + check_digit(digits)
                        code = _qr(value) if kind == "QR" else _ean13(value)
                        yield kind, module, turn, blur, value, _page(code, module, turn, blur, rng)


def _compare(count: int) -> None:
    right: dict[tuple[str, str, object], Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = dict.fromkeys(READERS, 0.0)
    wrong: dict[str, list[str]] = {name: [] for name in READERS}
    pictures = 0
    for kind, module, turn, blur, value, picture in _pictures(count):
        pictures += 1
        groups = [right[kind, *group] for group in (("all", ""), ("module", module), ("turn", turn), ("blur", blur))]
        for group in groups:
            group["pictures"] += 1
        for name, read in READERS.items():
            began = time.perf_counter()
            found = read(picture)
            seconds[name] += time.perf_counter() - began
            for each in found:
                if each != value:
                    wrong[name].append(f"{each} for {value}")
            for group in groups:
                group[name] += value in found
    print(f"{pictures} pictures; seconds a picture: {', '.join(f'{k} {v / pictures:.4f}' for k, v in seconds.items())}")
    print(f"values that were not there: {wrong}")
    for (kind, what, which), counts in right.items():
        shares = "  ".join(f"{name} {counts[name] / counts['pictures']:.3f}" for name in READERS)
        print(f"{kind:7} {what:7} {which!s:5} {shares}")


KINDS = {
    "QRCode": "https://example.org/{}",
    "DataMatrix": "https://example.org/{}",
    "Aztec": "https://example.org/{}",
    "PDF417": "ORDER {} FROM SEOUL",
    "EAN13": "{}",
    "EAN8": "{:.7}",
    "UPCA": "{:.11}",
    "Code128": "ORDER-{}",
    "Code39": "ORDER {:.8}",
    "Code93": "ORDER {:.8}",
    "Codabar": "A{:.10}B",
    "ITF": "{0}{0:.1}",
    "DataBarOmni": "{:.12}",
}
"""What is written into a code of each symbology: a pattern for twelve random digits."""


def _reads_by_kind(count: int) -> None:
    """Of what is read as a kind, how much is right: also where the bars are of another kind."""
    import zxingcpp

    rng = random.Random(11)
    drawn: Counter[str] = Counter()
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for name, pattern in KINDS.items():
        for module in MODULES:
            for turn in TURNS:
                for blur in BLURS:
                    for _ in range(count):
                        digits = rng.choice("123456789") + "".join(rng.choice("0123456789") for _ in range(11))
                        code = zxingcpp.create_barcode(pattern.format(digits), getattr(zxingcpp.BarcodeFormat, name))
                        bars = np.pad(np.asarray(code.to_image(scale=1, add_quiet_zones=True)), 4, constant_values=255)
                        drawn[name] += 1
                        for found in read_barcodes(_page(bars, module, turn, blur, rng)):
                            (right if found.value == code.text else wrong)[found.kind] += 1
    for kind in sorted({*right, *wrong}):
        precision = (right[kind] + 1) / (right[kind] + wrong[kind] + 2)
        print(f"{kind:14} right {right[kind]:5} wrong {wrong[kind]:4}  at least {precision:.4f}")
    for name, kinds in (("unchecked", {"code39", "codabar"}), ("checked", {*right, *wrong} - {"code39", "codabar"})):
        sums = sum(right[kind] for kind in kinds), sum(wrong[kind] for kind in kinds)
        print(f"{name:14} right {sums[0]:5} wrong {sums[1]:4}  at least {(sums[0] + 1) / (sum(sums) + 2):.4f}")
    print(f"drawn: {dict(drawn)}")


def _false_reads(folder: Path) -> None:
    pages = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in {".jpg", ".png"}]
    found: dict[str, list[str]] = {name: [] for name in READERS}
    for path in pages:
        picture = np.asarray(Image.open(path).convert("RGB"))
        for name, read in READERS.items():
            found[name] += read(picture)
    for name, values in found.items():
        print(f"{len(pages)} pictures without codes: {name} reads {len(values)} {values[:5]}")


def main() -> None:
    """Print what each reader reads, and how long it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--kinds", action="store_true", help="how much of what zxing-cpp reads is right, by symbology")
    given = parser.parse_args()
    if given.kinds:
        _reads_by_kind(given.count)
    elif given.pages:
        _false_reads(given.pages)
    else:
        _compare(given.count)


if __name__ == "__main__":
    main()
