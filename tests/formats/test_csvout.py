"""CSV: one row an image, whatever its name and its text hold, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imgtool.formats.csvout import COLUMNS, CsvWriter
from imgtool.types import ImageResult
from tests.results import HS_CODE, QR_CODE, answered, any_result, caption, codes, failed, labels, partial, text

TEXT_COLUMNS = [c for c in COLUMNS if c not in ("page", "pages", "width", "height", "text_lines", "processing_time_ms")]


def written(results: Iterable[ImageResult]) -> str:
    out = io.StringIO(newline="")
    writer = CsvWriter(out)
    for result in results:
        writer.write(result)
    writer.close({})
    return out.getvalue()


def rows(results: Iterable[ImageResult]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(results), newline="")))


def test_an_answered_image_is_one_row() -> None:
    result = answered(
        "photos/a, b.png",
        caption=caption('A "bright" picture.'),
        text=replace(text("Total", "23.40"), notice="rapidocr cannot read ko"),
        labels=labels(chart=0.93, document=0.05),
        codes=codes(HS_CODE, QR_CODE),
    )
    assert rows([result]) == [
        {
            "path": "photos/a, b.png",
            "page": "0",
            "pages": "1",
            "status": "ok",
            "format": "PNG",
            "width": "1000",
            "height": "600",
            "sha256": "ab" * 32,
            "caption": 'A "bright" picture.',
            "caption_engine": "describe",
            "text": "Total\n23.40",
            "text_lines": "2",
            "text_confidence": "0.9",
            "text_engine": "rapidocr",
            "labels": "chart 0.93; document 0.05",
            "labels_engine": "classifier",
            "codes": "hs 8471300000 0.991; qr =1+2 https://example.org 0.999",
            "codes_engine": "codes",
            "notice": "text: rapidocr cannot read ko",
            "error_code": "",
            "error": "",
            "remedy": "",
            "processing_time_ms": "12.346",
            "from_cache": "false",
        }
    ]


def test_a_failed_image_is_a_row_with_its_problem() -> None:
    (row,) = rows([failed(message="the file is cut short", remedy="copy it again")])
    assert (row["status"], row["error_code"], row["error"]) == ("failed", "truncated", "the file is cut short")
    assert (row["remedy"], row["width"], row["caption"]) == ("copy it again", "", "")


def test_a_task_that_failed_is_named_with_its_problem() -> None:
    (row,) = rows([partial()])
    assert (row["error_code"], row["error"], row["remedy"]) == (
        "timeout",
        "text: no answer in 120 s",
        "use --timeout 300",
    )
    assert (row["caption"], row["text"], row["text_lines"]) == ("A small picture.", "", "")


def test_an_image_without_text_has_no_lines_and_no_confidence() -> None:
    (row,) = rows([answered(text=text())])
    assert (row["text"], row["text_lines"], row["text_confidence"]) == ("", "0", "")


def test_no_result_is_a_header() -> None:
    assert written([]) == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_nothing_from_a_picture_or_a_name_is_a_formula(start: str) -> None:
    attack = start + "cmd|' /C calc'!A0"
    (row,) = rows([answered(attack, caption=caption(attack), text=text(attack, "x"), labels=labels(**{attack: 0.5}))])
    assert row["path"] == row["caption"] == "'" + attack
    assert row["text"].startswith("'" + start)
    assert row["labels"].startswith("'" + start)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_result(), max_size=3))
def test_any_result_is_one_row_without_a_formula(results: list[ImageResult]) -> None:
    document = written(results)
    document.encode()
    found = list(csv.reader(io.StringIO(document, newline=""), strict=True))
    assert [len(row) for row in found] == [len(COLUMNS)] * (1 + len(results))
    texts = [dict(zip(COLUMNS, row, strict=True)) for row in found[1:]]
    assert not [
        row for row in texts for column in TEXT_COLUMNS if row[column].startswith(("=", "+", "-", "@", "\t", "\r"))
    ]
