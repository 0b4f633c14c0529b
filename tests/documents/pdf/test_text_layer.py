"""The invisible text of a page: found by other programs, at its place, in every script."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgtool.types import Box
from tests.documents.pdf.readers import (
    around,
    level,
    lines_by_page,
    needs_poppler,
    pdftotext,
    rectangle,
    rendered,
    text_by_pdfium,
    words,
)

pikepdf = pytest.importorskip("pikepdf")
WIDTH, HEIGHT = 1654, 2339


def write(path: Path, lines: Sequence[tuple[str, Box]]) -> Path:
    """A page of A4 at 200 dpi with nothing but the text layer."""
    from imgtool.documents.pdf.text_layer import FONT, TextLayer

    pdf = pikepdf.new()
    layer = TextLayer(pdf)
    page = pdf.add_blank_page(page_size=(WIDTH * 0.36, HEIGHT * 0.36)).obj
    page.Contents = pdf.make_stream(layer.content(lines, lambda x, y: (0.36 * x, 0.36 * (HEIGHT - y))))
    page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary({str(FONT): layer.font}))
    layer.finish()
    pdf.save(path)
    pdf.close()
    return path


def turned(left: float, top: float, width: float, height: float, degrees: float) -> Box:
    """A box that is turned clockwise about its first corner."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((0, 0), (width, 0), (width, height), (0, height))
    a, b, c, d = ((left + x * cos - y * sin, top + x * sin + y * cos) for x, y in corners)
    return a, b, c, d


SCRIPTS = [
    "Quick brown foxes, 12.50 EUR",
    "한국어 송장 번호 12-34",
    "請求書 第一号 東京都",
    "ひらがなとカタカナ",
    "发票号码 2026",
    "Ελληνικά Кириллица",
    "é ü ñ e\u0301 ﬁ ½ …",
    "😀 𠮷野家",
    "<b>&amp; (escaped) \\ %",
    "i",
    "•",
]


@needs_poppler
def test_every_script_is_found_at_its_place(tmp_path: Path) -> None:
    lines = [(text, level(100.25, 100 + 60 * row, 30 * len(text), 40)) for row, text in enumerate(SCRIPTS)]
    path = write(tmp_path / "a.pdf", lines)
    assert lines_by_page(path) == [SCRIPTS]
    assert pdftotext(path).split() == " ".join(SCRIPTS).split()
    (found,) = words(path, (WIDTH, HEIGHT))
    for text, box in lines:
        count = len(text.split())
        assert around(found[:count]) == pytest.approx(rectangle(box), abs=0.5), text
        del found[:count]
    chromium = unicodedata.normalize("NFKC", text_by_pdfium(path)[0])
    assert chromium.split() == unicodedata.normalize("NFKC", " ".join(SCRIPTS)).split()


@needs_poppler
def test_right_to_left_text_is_found_as_it_is_written(tmp_path: Path) -> None:
    lines = ["שלום עולם 2026", "اللغة العربية"]
    path = write(tmp_path / "a.pdf", [(text, level(100, 100 + 60 * row, 400, 40)) for row, text in enumerate(lines)])
    marks = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c"))  # how pdftotext marks directions
    assert pdftotext(path).translate(marks).split("\n")[:2] == lines
    assert [line.strip() for line in text_by_pdfium(path)[0].split("\n")] == lines


@needs_poppler
@pytest.mark.parametrize("degrees", [-90, -60, -30, -8, -4, -1, 1, 2, 4, 8, 30, 60, 90, 178, 180])
def test_slanting_and_turned_lines_are_whole(tmp_path: Path, degrees: float) -> None:
    text = "The quick brown fox jumps over"
    box = turned(800, 1000, 600, 40, degrees)
    path = write(tmp_path / "a.pdf", [(text, box)])
    assert lines_by_page(path) == [[text]]
    assert pdftotext(path).split("\n")[0] == text
    if abs(degrees) in (1, 2, 90, 180):
        assert around(words(path, (WIDTH, HEIGHT))[0]) == pytest.approx(rectangle(box), abs=2)


@needs_poppler
@pytest.mark.parametrize("rise", [0.2, 0.5, 0.9, 1.4])
def test_a_page_that_slants_keeps_its_lines_apart(tmp_path: Path, rise: float) -> None:
    texts = [f"{row} " + "lorem ipsum dolor sit amet consectetur " * 2 for row in range(12)]
    texts = [text.strip() for text in texts]
    degrees = math.degrees(math.atan(rise / 35))
    path = write(
        tmp_path / "a.pdf",
        [(text, turned(100, 200 + 42 * row, 30 * 35, 30, degrees)) for row, text in enumerate(texts)],
    )
    assert lines_by_page(path) == [texts]
    assert [line for line in pdftotext(path).split("\n") if line.strip("\f")] == texts


def test_nothing_is_to_be_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pdf", [("visible?", level(0, 0, WIDTH, HEIGHT)), ("x", turned(500, 500, 300, 90, 40))])
    assert rendered(path, 0, (400, 566)).getextrema() == ((255, 255),) * 3


@needs_poppler
def test_boxes_that_make_no_sense_do_no_harm(tmp_path: Path) -> None:
    nowhere: Box = ((5, 5), (5, 5), (5, 5), (5, 5))
    endless: Box = ((math.nan, 0), (math.inf, 0), (1, 1), (0, 1))
    lines = [("a", nowhere), ("b", endless), ("", level(1, 1, 9, 9)), (" \n ", level(1, 1, 9, 9))]
    path = write(tmp_path / "a.pdf", [*lines, ("whole", level(100, 100, 300, 40))])
    assert "whole" in lines_by_page(path)[0]


@needs_poppler
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.text(st.characters(categories=["L", "Nd", "P"], exclude_characters=["\u00ad"]), min_size=1, max_size=25),
        min_size=1,
        max_size=20,
    )
)
def test_any_letters_are_found(tmp_path: Path, texts: list[str]) -> None:
    """Of left-to-right scripts; what pdftotext composes or reorders is left out."""
    texts = [
        text
        for text in texts
        if unicodedata.normalize("NFKC", text) == text
        and all(unicodedata.bidirectional(c) in ("L", "EN") for c in text)
    ]
    lines = [(text, level(50, 50 + 80 * row, 40 * len(text), 40)) for row, text in enumerate(texts)]
    assert lines_by_page(write(tmp_path / "a.pdf", lines)) == [texts]
