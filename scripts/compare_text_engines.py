"""Each text engine of imgtool against the bare engine, on 40 drawn pictures whose text is known.

    python scripts/compare_text_engines.py [--engine rapidocr] [--engine tesseract] [--engine easyocr] [--only NAME]

Prints the character error rate of both for every picture: edits between the text read and the text drawn, in the order
of lines, divided by the characters drawn; runs of white space count as one space. Both read the same pixels in the same
process. Exit code 1 if imgtool is worse on any picture. EasyOCR needs its weights.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imgtool.analyzers.registry import choose_target, load_class
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import sure_lines

_FONTS = Path(__file__).resolve().parent.parent / "examples" / "fonts"
_PROSE = (
    "The quick brown fox jumps over the lazy dog while seven green parrots watch from a tall oak tree near the river. "
    "Quarterly revenue rose by twelve percent to 4,318 million despite higher shipping costs in March and April. "
    "Please return the signed form to room 217 before Friday; late answers cannot be counted this year. "
    "Captain Hobbs measured the harbour depth again and wrote 14.6 metres into the old brown log book. "
    "Visitors should keep left on the stairs, hold the rail, and mind the low beam above the second door. "
)
_KOREAN = ("입주민 여러분께 알려드립니다.", "Invoice number 2024", "계단을 이용하여 주시기 바랍니다.")
_ITEMS = ("Sourdough bread", "Oat milk", "Tomatoes 500 g", "Olive oil", "Green tea", "Dark chocolate", "Honey", "Salt")


class KnownPicture(NamedTuple):
    """A drawn picture, its text in reading order, and the languages to ask for."""

    name: str
    image: Image.Image
    text: str
    languages: tuple[str, ...] = ("en",)


def _draw(image: Image.Image, place: tuple[float, float], text: str, font: str, size: int, ink: str = "black") -> None:
    ImageDraw.Draw(image).text(place, text, ink, ImageFont.truetype(str(_FONTS / f"{font}.ttf"), size))


def _prose(
    *, font: str = "serif", size: int = 28, columns: int = 1, rows: int = 12, letters: int = 40, heading: str = "",
    paper: str = "white", ink: str = "black",
) -> tuple[Image.Image, str]:  # fmt: skip
    """Columns of text, with a heading across them."""
    step, width = round(size * 1.5), round(letters * size * 0.62) + 60
    top = 40 + (3 * size if heading else 0)
    image = Image.new("RGB", (width * columns + 40, top + step * rows + 40), paper)
    if heading:
        _draw(image, (40, 40), heading, font, round(1.6 * size), ink)
    lines = textwrap.wrap(_PROSE * (1 + rows * columns * letters // 400), letters)[: rows * columns]
    for number, line in enumerate(lines):
        _draw(image, (40 + number // rows * width, top + number % rows * step), line, font, size, ink)
    return image, "\n".join(filter(None, (heading, *lines)))


def _receipt(font: str) -> tuple[Image.Image, str]:
    image, lines = Image.new("RGB", (620, 80 + 48 * len(_ITEMS)), "white"), []
    for number, item in enumerate(_ITEMS):
        price = f"{3 + number}.{15 + 7 * number}"
        _draw(image, (40, 40 + 48 * number), item, font, 28)
        _draw(image, (500, 40 + 48 * number), price, font, 28)
        lines.append(f"{item} {price}")
    return image, "\n".join(lines)


def _chat() -> tuple[Image.Image, str]:
    image, lines = Image.new("RGB", (900, 840), "white"), textwrap.wrap(_PROSE, 24)[:14]
    for number, line in enumerate(lines):
        _draw(image, (40 if number % 2 else 480, 30 + 56 * number), line, "gothic", 28)
    return image, "\n".join(lines)


def _notice(font: str) -> tuple[Image.Image, str]:
    image = Image.new("RGB", (900, 360), "white")
    for number, line in enumerate(_KOREAN):
        _draw(image, (40, 40 + 90 * number), line, font, 34)
    return image, "\n".join(_KOREAN)


def _turned(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, expand=True, fillcolor="white")


def _noisy(image: Image.Image, deviation: float) -> Image.Image:
    noise = np.random.default_rng(5).normal(0, deviation, (*image.size[::-1], 3))
    return Image.fromarray((np.asarray(image, np.float32) + noise).clip(0, 255).astype(np.uint8))


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=quality)
    return Image.open(kept).convert("RGB")


def known_pictures() -> list[KnownPicture]:
    """Forty of them: fonts, sizes, columns, turned and slanting pages, light, damage, long pages, other layouts."""
    found: list[KnownPicture] = []

    def add(
        name: str, drawn: tuple[Image.Image, str], change: Callable[[Any], Any] = lambda image: image, **more: Any
    ) -> None:
        found.append(KnownPicture(name, change(drawn[0]), drawn[1], **more))

    for font in ("gothic", "gothic-bold", "serif", "mono", "round"):
        add(f"plain {font}", _prose(font=font))
    for size in (14, 20, 40, 60):
        add(f"size {size}", _prose(size=size, rows=8))
    for font in ("gothic", "serif", "mono"):
        add(f"two columns {font}", _prose(font=font, columns=2))
    for font in ("gothic", "serif"):
        add(f"three columns {font}", _prose(font=font, columns=3, letters=34))
        add(f"heading over two columns {font}", _prose(font=font, columns=2, heading="Harbour news of the week"))
        for degrees in (90, 180, 270):
            add(f"turned {degrees} {font}", _prose(font=font), partial(_turned, degrees=degrees))
    add("two columns turned", _prose(columns=2), partial(_turned, degrees=90))
    for degrees in (-3, 3):
        add(f"slanting {degrees}", _prose(), partial(_turned, degrees=degrees))
    add("dark", _prose(paper="#101418", ink="#e8e8e8"))
    add("dark mono", _prose(font="mono", paper="#202020", ink="#9fe090"))
    add("pale", _prose(ink="#a0a0a0"))
    add("noise", _prose(), partial(_noisy, deviation=25))
    add("much noise", _prose(), partial(_noisy, deviation=60))
    add("blurred", _prose(), lambda image: image.filter(ImageFilter.GaussianBlur(1.5)))
    add("compressed", _prose(), partial(_compressed, quality=15))
    for font in ("gothic", "mono"):
        add(f"receipt {font}", _receipt(font))
    add("chat", _chat())
    add("tall", _prose(rows=120))
    add("tall and narrow", _prose(font="gothic", size=22, rows=110, letters=30))
    for font in ("gothic", "serif"):
        add(f"notice {font}", _notice(font), languages=("ko", "en"))
    digit = Image.new("RGB", (120, 90), "white")
    _draw(digit, (40, 10), "7", "gothic", 56)
    add("digit", (digit, "7"))
    return found


def error_rate(found: str, truth: str) -> float:
    """Least number of characters inserted, left out or replaced (Levenshtein), as a share of those of ``truth``."""
    one, other = (np.array([ord(letter) for letter in " ".join(text.split())]) for text in (found, truth))
    place = np.arange(len(other) + 1)
    row = place
    for number, letter in enumerate(one, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (other != letter))
        row = np.minimum.accumulate(np.concatenate(([number], best)) - place) + place
    return float(row[-1]) / max(1, len(other))


def _bare_rapidocr() -> Callable[[NDArray[np.uint8], Sequence[str]], str]:
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "error"})
    return lambda pixels, languages: "\n".join(engine(np.ascontiguousarray(pixels[:, :, ::-1])).txts or ())


def _bare_tesseract() -> Callable[[NDArray[np.uint8], Sequence[str]], str]:
    names = {"en": "eng", "ko": "kor"}

    def read(pixels: NDArray[np.uint8], languages: Sequence[str]) -> str:
        kept = io.BytesIO()
        Image.fromarray(pixels).save(kept, "PNG")
        command = ["tesseract", "-", "-", "-l", "+".join(names[language] for language in languages)]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, input=kept.getvalue(), capture_output=True, check=True, env=environment)
        return done.stdout.decode()

    return read


def _bare_easyocr() -> Callable[[NDArray[np.uint8], Sequence[str]], str]:
    import easyocr

    engine = easyocr.Reader(["ko", "en"], gpu=False, quantize=False, verbose=False, download_enabled=False)
    return lambda pixels, languages: "\n".join(text for _, text, _ in engine.readtext(pixels))


BARE = {"rapidocr": _bare_rapidocr, "tesseract": _bare_tesseract, "easyocr": _bare_easyocr}


def compare(engine: str, pictures: Sequence[KnownPicture]) -> list[tuple[str, float, float]]:
    """For each picture its name, the error rate of the bare engine, and that of imgtool's analyzer."""
    bare, analyzers, rows = BARE[engine](), {}, []
    for name, image, truth, languages in pictures:
        if languages not in analyzers:
            options = EngineOptions(languages=languages)
            made = load_class(choose_target(engine, options))
            analyzers[languages] = made({**made.parameters(options), "threads": 1})
            analyzers[languages].load()
        pixels = np.asarray(image.convert("RGB"))
        (lines,) = analyzers[languages].run([Picture(pixels, *image.size, "PNG")])
        text = "\n".join(line.text for line in sure_lines(lines)) if isinstance(lines, tuple) else ""
        rows.append((name, error_rate(bare(pixels, languages), truth), error_rate(text, truth)))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=list(BARE), help="only this engine; repeatable")
    parser.add_argument("--only", metavar="NAME", help="only pictures with this in their name")
    given = parser.parse_args()
    pictures = [each for each in known_pictures() if not given.only or given.only in each.name]
    options = EngineOptions()
    available = [name for name in BARE if load_class(choose_target(name, options)).probe(options).available]
    worse = 0
    for engine in given.engine or available:
        print(f"{engine}: {'picture':32} {'bare':>8} {'imgtool':>8}")
        rows = compare(engine, pictures)
        for name, bare, ours in rows:
            mark = "worse" if ours > bare + 1e-9 else "better" if ours < bare - 1e-9 else ""
            worse += int(mark == "worse")
            print(f"{engine}: {name:32} {bare:8.4f} {ours:8.4f} {mark}", flush=True)
        means = np.mean([rates for _, *rates in rows], axis=0)
        print(f"{engine}: {f'mean of {len(rows)}':32} {means[0]:8.4f} {means[1]:8.4f}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
