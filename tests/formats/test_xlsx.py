"""Excel workbooks, as another program reads them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imgtool.distribution import install_command
from imgtool.errors import ExitCode
from imgtool.formats import xlsx
from imgtool.formats.csvout import COLUMNS
from imgtool.formats.xlsx import MOST_CHARACTERS, MOST_ROWS, XlsxWriter
from imgtool.types import Chapter, Code, ImageResult, TextLine, TextResult
from tests import pictures
from tests.command import imgtool
from tests.results import BOX, answered, any_result, by, caption, codes, failed, labels, partial, text

openpyxl = pytest.importorskip("openpyxl")
Row = dict[str, Any]


def written(results: Iterable[ImageResult]) -> bytes:
    out = io.BytesIO()
    writer = XlsxWriter(out)
    for result in results:
        writer.write(result)
    writer.close({})
    return out.getvalue()


def rows(book: bytes, sheet: str) -> list[Row]:
    found = openpyxl.load_workbook(io.BytesIO(book))[sheet].iter_rows(values_only=True)
    head = next(found)
    return [dict(zip(head, row, strict=True)) for row in found]


def test_each_image_is_a_row_with_the_columns_of_csv() -> None:
    answer = replace(text("Total", "23.40"), notice="rapidocr cannot read ko")
    result = replace(
        answered("a/합계.png", caption=caption("A picture."), text=answer, labels=labels(chart=0.93)), pages=3
    )
    (row,) = rows(written([result]), "Images")
    assert tuple(row) == COLUMNS
    assert (row["path"], row["page"], row["pages"], row["width"]) == ("a/합계.png", 0, 3, 1000)
    assert (row["text"], row["text_lines"], row["text_confidence"]) == ("Total\n23.40", 2, 0.9)
    assert (row["text_engine"], row["notice"]) == ("rapidocr", "text: rapidocr cannot read ko")
    assert (row["labels"], row["from_cache"], row["error"]) == ("chart 0.93", False, None)


def test_each_line_is_a_row_of_its_own_sheet() -> None:
    lines = (TextLine("합계", 0.9, BOX), TextLine("??", 0.2, BOX, doubt="not the script asked for"))
    first, second = rows(written([answered(text=TextResult(value=lines, **by("rapidocr")))]), "Lines")
    assert (first["path"], first["line"], first["text"], first["confidence"]) == ("photos/a.png", 1, "합계", 0.9)
    assert [first[f"{axis}{corner}"] for corner in (1, 2, 3, 4) for axis in "xy"] == [1, 2, 30.5, 2, 30.5, 9, 1, 9]
    assert (second["line"], second["doubt"]) == (2, "not the script asked for")


def test_each_problem_is_a_row_of_its_own_sheet() -> None:
    book = written([answered(), failed(), partial()])
    broken, slow = rows(book, "Failures")
    assert (broken["path"], broken["task"], broken["error_code"]) == ("photos/broken.jpg", None, "truncated")
    assert (slow["task"], slow["error"], slow["remedy"]) == ("text", "no answer in 120 s", "use --timeout 300")
    assert [row["status"] for row in rows(book, "Images")] == ["ok", "failed", "partial"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "{=", "http://", "internal:", "0"])
def test_a_text_is_never_a_formula_a_link_or_a_number(start: str) -> None:
    value = start + "1+1"
    book = written([answered(value, text=text(value))])
    sheet = openpyxl.load_workbook(io.BytesIO(book))["Images"]
    assert (sheet["A2"].value, sheet["A2"].data_type) == (value, "s")
    assert sheet["A2"].hyperlink is None
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        for name in parts.namelist():
            assert b"<f>" not in parts.read(name)


def test_what_xml_does_not_allow_is_replaced() -> None:
    (row,) = rows(written([answered("a\0b\x1b\ud800\uffff_x0041_.png", text=text("a\vb"))]), "Images")
    # A spreadsheet reads _x0041_ as an A and _x005F_ as the underscore that it was.
    assert row["path"] == "a\ufffdb\ufffd\ufffd\ufffd_x005F_x0041_.png"
    assert row["text"] == "a\ufffdb"


@pytest.mark.parametrize("letter", ["a", "한", "😀"])
def test_a_long_text_is_cut_and_its_lines_are_whole(letter: str) -> None:
    lines = text(*[letter * 1000] * 40)
    book = written([answered(text=lines)])
    (row,) = rows(book, "Images")
    assert MOST_CHARACTERS - 1 <= len(row["text"].encode("utf-16-le")) // 2 <= MOST_CHARACTERS
    assert row["text"].endswith("…")
    assert [line["text"] for line in rows(book, "Lines")] == [letter * 1000] * 40


def test_each_code_is_a_row() -> None:
    chapter = Chapter(number="09", english="coffee, tea, spices", korean="커피")
    hs = Code(
        kind="hs", value="0901.21-0000", confidence=0.99, box=BOX, normalised="090121", national="0000", checked=True,
        chapter=chapter, evidence=("label: HS CODE", "form: 4.2-4"),
    )  # fmt: skip
    qr = Code(kind="qr", value="=1+1", confidence=1.0, box=BOX)
    first, second = rows(written([answered("a.png", codes=codes(hs, qr)), answered("b.png")]), "Codes")
    assert (first["path"], first["kind"], first["value"], first["checked"]) == ("a.png", "hs", "0901.21-0000", True)
    assert (first["normalised"], first["national"], first["chapter"]) == ("090121", "0000", "09 coffee, tea, spices")
    assert first["evidence"] == "label: HS CODE; form: 4.2-4"
    assert (second["value"], second["normalised"], second["confidence"]) == ("=1+1", None, 1)


def test_every_sheet_can_be_filtered() -> None:
    book = openpyxl.load_workbook(io.BytesIO(written([answered("a.png", text=text("a", "b")), answered("b.png")])))
    assert [book[name].auto_filter.ref for name in ("Images", "Lines", "Codes")] == ["A1:X3", "A1:N3", "A1:J1"]


def test_a_full_sheet_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ROWS == 2**20
    monkeypatch.setattr(xlsx, "MOST_ROWS", 5)
    book = written([answered(f"{number}.png", text=text("a", "b")) for number in range(5)])
    assert openpyxl.load_workbook(io.BytesIO(book)).sheetnames == [
        "Images",
        "Lines",
        "Codes",
        "Failures",
        "Lines 2",
        "Images 2",
        "Lines 3",
    ]
    parts = [rows(book, name) for name in ("Lines", "Lines 2", "Lines 3")]
    assert [(row["path"], row["line"]) for part in parts for row in part] == [
        (f"{number}.png", line) for number in range(5) for line in (1, 2)
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_result(), max_size=4))
def test_any_result_can_be_written_and_read(results: list[ImageResult]) -> None:
    book = written(results)
    assert len(rows(book, "Images")) == len(results)
    assert len(rows(book, "Lines")) == sum(len(result.lines or ()) for result in results)
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        assert not [name for name in parts.namelist() if b"<f>" in parts.read(name)]


MEASURE = """
import resource, sys
from imgtool.formats.xlsx import XlsxWriter
from tests.results import answered, text
with open(sys.argv[1], "wb") as out:
    writer = XlsxWriter(out)
    for number in range(int(sys.argv[2])):
        writer.write(answered(f"{number}.png", text=text(*(f"{number} {line} " + "x" * 200 for line in range(20)))))
    writer.close({})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_rows_are_not_held_in_memory(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        command = [sys.executable, "-c", MEASURE, tmp_path / "b.xlsx", str(count)]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert peak(1500) - peak(10) < 12_000  # kB; the texts alone are twice 6 MB


def test_it_is_chosen_by_its_suffix_and_needs_its_extra(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    given = ("analyze", photos, "-t", "caption", "--caption-engine", "describe", "-q")
    assert imgtool(*given, "-o", tmp_path / "r.xlsx").code is ExitCode.OK
    assert [Path(row["path"]).name for row in rows((tmp_path / "r.xlsx").read_bytes(), "Images")] == [
        "000.png",
        "001.png",
    ]
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "xlsxwriter.py").write_text("raise ModuleNotFoundError(name='xlsxwriter')")
    path = f"{tmp_path / 'hidden'}{os.pathsep}{os.environ['PYTHONPATH']}"
    lacking = imgtool(*given, "-o", tmp_path / "s.xlsx", PYTHONPATH=path)
    assert lacking.code is ExitCode.USAGE
    assert install_command("formats") in lacking.err
    assert not (tmp_path / "s.xlsx").exists()
