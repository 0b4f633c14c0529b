"""A folder of mixed scans whose text is known, and the check of the spreadsheet that a run over it has written.

    python scripts/draw_mixed_scans.py draw FOLDER [--count 200]
    python scripts/draw_mixed_scans.py check FOLDER TABLE

``draw`` writes PDF documents of pictures, multi-page TIFFs and JPEGs in Korean and English, in subfolders, and what
they say to ``FOLDER/truth.json``. ``check`` compares a table (.csv or .xlsx) of ``imgtool analyze FOLDER`` with it:
each page has its row, in order, and the share of words that were read. Exit code 1 if a page is missing.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

_FONT = Path(__file__).resolve().parent.parent / "examples" / "fonts" / "gothic.ttf"
_KOREAN = (
    "입주민 여러분께 알려드립니다",
    "계단을 이용하여 주시기 바랍니다",
    "오늘의 메뉴",
    "아메리카노 4500",
    "카페라떼 5000",
    "치즈케이크 6500",
)
_ENGLISH = (
    "Please return the signed form to room 217",
    "Quarterly revenue rose by twelve percent",
    "Keep left on the stairs and hold the rail",
    "The harbour depth was measured again",
    "Late answers cannot be counted this year",
    "Seven green parrots watch from a tree",
)
_SIZE = (760, 420)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["draw", "check"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    if given.action == "draw":
        draw(given.folder, given.count)
        return 0
    return check(given.folder, given.table)


def draw(folder: Path, count: int) -> None:
    """Write ``count`` documents and what they say."""
    numbers = random.Random(20261130)
    truth: dict[str, list[str]] = {}
    for number in range(count):
        kind = ("jpg", "tif", "pdf")[number % 3]
        texts = [
            _text(numbers, f"{number:03}-{page + 1}") for page in range(1 if kind == "jpg" else 1 + number % 4 // 2)
        ]
        sheets = [_scan(text, numbers) for text in texts]
        place = folder / f"box {number % 5}" / f"스캔 {number:03}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "jpg":
            sheets[0].save(place, quality=88, dpi=(150, 150))
        elif kind == "tif":
            black = [sheet.convert("1") for sheet in sheets]
            black[0].save(place, save_all=True, append_images=black[1:], compression="group4", dpi=(150, 150))
        else:
            held = BytesIO()
            sheets[0].save(held, "PDF", save_all=True, append_images=sheets[1:], resolution=150)
            place.write_bytes(held.getvalue())
        truth[place.relative_to(folder).as_posix()] = texts
    (folder / "truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1), encoding="utf-8")


def _text(numbers: random.Random, name: str) -> str:
    korean = numbers.random() < 0.5
    lines = numbers.sample(_KOREAN if korean else _ENGLISH, 3)
    return "\n".join([f"Document {name}", *lines])


def _scan(text: str, numbers: random.Random) -> Image.Image:
    """A page as a scanner sees it: grey paper, a little askew, a little noise."""
    page = Image.new("L", _SIZE, 238)
    font = ImageFont.truetype(str(_FONT), 32)
    for row, line in enumerate(text.split("\n")):
        ImageDraw.Draw(page).text((50, 50 + 80 * row), line, 25, font)
    noise = Image.effect_noise(_SIZE, 12).filter(ImageFilter.GaussianBlur(0.5))
    page = Image.blend(page, noise, 0.08)
    return page.rotate(numbers.uniform(-0.6, 0.6), Image.Resampling.BICUBIC, fillcolor=225)


def check(folder: Path, table: Path) -> int:
    """Compare a table with what was drawn; returns the exit code."""
    truth: dict[str, list[str]] = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    found: dict[tuple[str, int], str] = {}
    order = []
    for row in _rows(table):
        key = (Path(row["path"]).relative_to(folder).as_posix(), int(row["page"]))
        order.append(key)
        found[key] = row["text"] or ""
    expected = {(name, page): text for name, texts in sorted(truth.items()) for page, text in enumerate(texts)}
    words = sum(len(text.split()) for text in expected.values())
    read = sum(len(set(text.split()) & set(found.get(key, "").split())) for key, text in expected.items())
    print(f"{len(truth)} documents, {len(expected)} pages, {len(found)} rows; {read / words:.1%} of {words} words read")
    complete = order == list(expected)
    print("every page has its row, in order" if complete else "pages are missing or out of order")
    return 0 if complete else 1


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    if table.suffix == ".csv":
        with table.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines)
        return
    import openpyxl

    values = openpyxl.load_workbook(table, read_only=True)["Images"].iter_rows(values_only=True)
    head = [str(name) for name in next(values)]
    for row in values:
        yield dict(zip(head, row, strict=True))


if __name__ == "__main__":
    sys.exit(main())
