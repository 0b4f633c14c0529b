"""Searchable PDF documents as other programs read them."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2
import pytest
from PIL import Image

from imgtool.types import Box

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
_XHTML = "{http://www.w3.org/1999/xhtml}"


class Place(NamedTuple):
    """A word of a page in pixels of that page."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def pdftotext(path: Path, *options: str) -> str:
    """What pdftotext says of a document."""
    done = subprocess.run(["pdftotext", *options, path, "-"], capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout.decode()


def lines_by_page(path: Path) -> list[list[str]]:
    """The lines of each page, in the order in which they stand in the document."""
    *found, last = pdftotext(path, "-raw").split("\f")
    assert last == ""
    return [page.splitlines() for page in found]


def words(path: Path, *sizes: tuple[int, int]) -> list[list[Place]]:
    """The words of each page and their places, in pixels of pages of those ``sizes``."""
    document: Any = pypdfium2.PdfDocument(path)
    shown = [page.get_size() for page in document]
    document.close()
    # The sizes that pdftotext states are those of pages before they are rotated; its places are not.
    pages = ET.fromstring(pdftotext(path, "-bbox", "-cropbox")).iter(_XHTML + "page")
    return [
        [_place(word, size[0] / width, size[1] / height) for word in page.iter(_XHTML + "word")]
        for page, size, (width, height) in zip(pages, sizes, shown, strict=True)
    ]


def _place(word: ET.Element, across: float, down: float) -> Place:
    left, top, right, bottom = (float(word.attrib[name]) for name in ("xMin", "yMin", "xMax", "yMax"))
    return Place(word.text or "", left * across, top * down, right * across, bottom * down)


def around(places: list[Place]) -> tuple[float, float, float, float]:
    """The rectangle around words."""
    lefts, tops, rights, bottoms = zip(*(place[1:] for place in places), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def rectangle(box: Box) -> tuple[float, float, float, float]:
    """The rectangle around the box of a line."""
    xs, ys = zip(*box, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def level(left: float, top: float, width: float, height: float) -> Box:
    """The box of a level line."""
    return (left, top), (left + width, top), (left + width, top + height), (left, top + height)


def rendered(document: Path | bytes, page: int, size: tuple[int, int]) -> Image.Image:
    """A page as PDFium, the engine of Chromium, shows it."""
    opened: Any = pypdfium2.PdfDocument(document if isinstance(document, Path) else BytesIO(document))
    try:
        sheet = opened[page]
        image = sheet.render(scale=size[0] / sheet.get_width()).to_pil().convert("RGB")
        sheet.close()
        return image
    finally:
        opened.close()


def text_by_pdfium(path: Path) -> list[str]:
    """The text of each page, by the engine of Chromium."""
    document: Any = pypdfium2.PdfDocument(path)
    found = []
    for page in document:
        texts = page.get_textpage()
        found.append(texts.get_text_range().replace("\r\n", "\n"))
        texts.close()
        page.close()
    document.close()
    return found
