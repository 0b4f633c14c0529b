"""hOCR, as its specification's own checker and a reader of XML see it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from imgtool.documents.boxes import Rectangle, words
from imgtool.documents.hocr import Hocr
from imgtool.types import Box, ImageResult, TextLine, TextResult
from tests.results import answered, any_result, by, failed

etree = pytest.importorskip("lxml.etree")
XHTML = "{http://www.w3.org/1999/xhtml}"
SLANTING: Box = ((100.0, 100.0), (300.4, 50.6), (310.0, 90.0), (109.5, 139.2))


def written(*results: ImageResult) -> str:
    out = io.StringIO(newline="")
    writer = Hocr(out, results[0])
    for result in results:
        writer.add(result)
    closed, out.close = out.close, lambda: None  # type: ignore[method-assign]
    writer.close()
    found = out.getvalue()
    closed()
    return found


def page(*lines: TextLine, number: int = 0, pages: int = 1) -> ImageResult:
    result = answered('scan "1".tif', text=TextResult(value=lines, **by("rapidocr")))
    return replace(result, page=number, pages=pages)


def test_pages_lines_and_words_have_their_places() -> None:
    lines = (TextLine("MAPLE STREET", 0.987, SLANTING), TextLine("??", 0.2, SLANTING, doubt="no text"))
    root = etree.fromstring(written(page(*lines, pages=2), page(number=1, pages=2)).encode())
    first, second = root.iter(XHTML + "div")
    assert (first.get("class"), first.get("id")) == ("ocr_page", "page_1")
    assert first.get("title") == 'image "scan \\"1\\".tif"; bbox 0 0 1000 600; ppageno 0'
    assert second.get("title").endswith("ppageno 1")
    line, *found = first.iter(XHTML + "span")
    assert line.get("title") == "bbox 100 50 310 140; textangle 13.8; x_wconf 99"
    assert ["".join(word.itertext()) for word in found] == ["MAPLE", "STREET"]
    assert "".join(line.itertext()) == "MAPLE STREET"
    boxes = [tuple(map(int, re.findall(r"\d+", word.get("title"))[:4])) for word in found]
    assert boxes[0][0] == 100 and boxes[1][2] == 310 and boxes[0][2] < boxes[1][0] + 20


def test_words_are_where_their_characters_are() -> None:
    box: Box = ((0, 0), (120, 0), (120, 20), (0, 20))
    assert [(word.text, Rectangle.around(word.box)) for word in words(TextLine("한국 ab", 1, box))] == [
        ("한국", (0, 0, 69, 20)),
        ("ab", (85, 0, 120, 20)),
    ]
    assert words(TextLine("  ", 1, box)) == []


def test_it_is_valid(tmp_path: Path) -> None:
    checker = pytest.importorskip("hocr_spec").HocrValidator("standard")
    (tmp_path / "a.hocr").write_text(written(page(TextLine("A <b> & c", 0.5, SLANTING)), failed("b.jpg")))
    (tmp_path / "bad.hocr").write_text(written(page()).replace("ocr-system", "ocr-sistem"))
    report = checker.validate(str(tmp_path / "a.hocr"))
    assert report.is_valid(), report.format("text")
    assert not checker.validate(str(tmp_path / "bad.hocr")).is_valid()


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(any_result())
def test_any_result_is_well_formed(result: ImageResult) -> None:
    root = etree.fromstring(written(result).encode())
    assert len(list(root.iter(XHTML + "div"))) == 1
