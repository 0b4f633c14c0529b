"""Results as an Excel workbook. Needs XlsxWriter (extra ``formats``)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

from imgtool.distribution import install_command
from imgtool.errors import MissingExtra, OutputNotWritable
from imgtool.files import scratch_folder
from imgtool.formats.clean import REPLACEMENT, well_formed
from imgtool.formats.csvout import COLUMNS, row_of
from imgtool.types import ImageResult

MOST_ROWS = 1_048_576
"""Rows of a sheet, its header too; what is more goes to a sheet of its own."""

MOST_CHARACTERS = 32_767
"""Of a cell, counted in UTF-16; what is longer is cut, and ends in an ellipsis."""

_LINES = ("path", "page", "line", "text", "confidence", "doubt", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
_CODES = ("path", "page", "kind", "value", "normalised", "national", "chapter", "checked", "confidence", "evidence")
_FAILURES = ("path", "page", "pages", "task", "error_code", "error", "remedy")
_WIDTHS = {"path": 40, "caption": 50, "text": 60, "labels": 30, "codes": 40, "notice": 40, "error": 60, "remedy": 60}
_WIDTHS |= {"value": 25, "chapter": 40, "evidence": 60}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class XlsxWriter:
    """Sheets *Images* (one row an image or page, with the columns of CSV), *Lines* (one row a line of text, doubtful
    ones too, with the four corners of its box in pixels), *Codes* (one row a code) and *Failures* (one row a problem).

    Numbers are numbers. Texts are text cells, which no spreadsheet runs as a formula, with no apostrophe before them.
    A sheet that is full (:data:`MOST_ROWS`) is continued as *Lines 2* and so on. Rows are written to temporary files as
    they come; the workbook is put together by ``close``.

    Raises:
        MissingExtra: XlsxWriter is not installed.
    """

    def __init__(self, out: IO[bytes]) -> None:
        try:
            import xlsxwriter
        except ModuleNotFoundError as error:
            raise MissingExtra("writing Excel workbooks needs XlsxWriter", install_command("formats")) from error
        self._scratch = ExitStack()
        folder = self._scratch.enter_context(scratch_folder("xlsx"))
        self._book: Any = xlsxwriter.Workbook(out, {"constant_memory": True, "tmpdir": str(folder)})
        head = self._book.add_format({"bold": True})
        wrapped = self._book.add_format({"text_wrap": True, "valign": "top"})
        top = self._book.add_format({"valign": "top"})
        self._images = _Sheets(self._book, "Images", COLUMNS, head, {"text": wrapped, "": top})
        self._lines = _Sheets(self._book, "Lines", _LINES, head, {})
        self._codes = _Sheets(self._book, "Codes", _CODES, head, {})
        self._failures = _Sheets(self._book, "Failures", _FAILURES, head, {})

    def write(self, result: ImageResult) -> None:
        self._images.write(row_of(result))
        path = {"path": result.path, "page": result.page}
        for number, line in enumerate(result.lines or (), 1):
            corners = {
                f"{axis}{corner}": at for corner, p in enumerate(line.box, 1) for axis, at in zip("xy", p, strict=True)
            }
            told = {"line": number, "text": line.text, "confidence": line.confidence, "doubt": line.doubt}
            self._lines.write(path | told | corners)
        for code in (result.tasks.codes.value if result.tasks.codes is not None else None) or ():
            told = {name: getattr(code, name) for name in ("kind", "value", "checked", "confidence")}
            digits = {"normalised": code.normalised, "national": code.national, "evidence": "; ".join(code.evidence)}
            chapter = f"{code.chapter.number} {code.chapter.english}" if code.chapter is not None else ""
            self._codes.write(path | told | digits | {"chapter": chapter})
        for task, problem in result.problems():
            named = {"pages": result.pages, "task": task.value if task else "", "error_code": problem.code}
            self._failures.write(path | named | {"error": problem.message, "remedy": problem.remedy})

    def close(self, summary: Mapping[str, Any]) -> None:
        """Put the workbook together.

        Raises:
            OutputNotWritable: there is no space for its temporary files.
        """
        from xlsxwriter.exceptions import XlsxWriterException

        for sheets in (self._images, self._lines, self._codes, self._failures):
            sheets.end()
        try:
            self._book.close()
        except XlsxWriterException as error:
            raise OutputNotWritable(
                f"the Excel workbook cannot be written: {error}", "free some space, or set TMPDIR to another folder"
            ) from error
        finally:
            self._scratch.close()


class _Sheets:
    """Rows under one header, on as many sheets as they need. ``formats`` has cell formats by column; the one without
    a name is for all others."""

    def __init__(self, book: Any, name: str, columns: Sequence[str], head: Any, formats: Mapping[str, Any]) -> None:
        self._book, self._name, self._columns, self._head, self._formats = book, name, columns, head, formats
        self._count = 0
        self._begin()

    def _begin(self) -> None:
        self._count += 1
        self._row = 1
        self._sheet = self._book.add_worksheet(self._name if self._count == 1 else f"{self._name} {self._count}")
        self._sheet.freeze_panes(1, 0)
        for place, column in enumerate(self._columns):
            self._sheet.set_column(place, place, _WIDTHS.get(column, 12))
            self._sheet.write_string(0, place, column, self._head)

    def end(self) -> None:
        """Let the columns of the sheet be filtered and sorted by their heads."""
        self._sheet.autofilter(0, 0, self._row - 1, len(self._columns) - 1)

    def write(self, cells: Mapping[str, Any]) -> None:
        """Add a row by the names of its columns."""
        if self._row == MOST_ROWS:
            self.end()
            self._begin()
        for place, column in enumerate(self._columns):
            value, style = cells.get(column), self._formats.get(column, self._formats.get(""))
            if isinstance(value, bool):
                self._sheet.write_boolean(self._row, place, value, style)
            elif isinstance(value, int | float):
                if math.isfinite(value):
                    self._sheet.write_number(self._row, place, value, style)
            elif value:
                self._sheet.write_string(self._row, place, _cell(value), style)
        self._row += 1


def _cell(text: str) -> str:
    """``text`` as a cell can hold it: characters that XML has not become U+FFFD, and it is not too long."""
    text = _NOT_XML.sub(REPLACEMENT, well_formed(text))
    if len(text) * 2 <= MOST_CHARACTERS:
        return text
    units = text.encode("utf-16-le")
    if len(units) // 2 <= MOST_CHARACTERS:
        return text
    return units[: 2 * (MOST_CHARACTERS - 1)].decode("utf-16-le", "ignore") + "…"
