"""Results as CSV: one row an image, for spreadsheets and data frames."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import IO, Any

from imgtool.formats.clean import REPLACEMENT, well_formed
from imgtool.types import CaptionResult, Code, CodesResult, ImageResult, LabelsResult, sure_lines

COLUMNS = (
    "path",
    "page",
    "pages",
    "status",
    "format",
    "width",
    "height",
    "sha256",
    "caption",
    "caption_engine",
    "text",
    "text_lines",
    "text_confidence",
    "text_engine",
    "labels",
    "labels_engine",
    "codes",
    "codes_engine",
    "notice",
    "error_code",
    "error",
    "remedy",
    "processing_time_ms",
    "from_cache",
)

_BOM = "\ufeff"

# What spreadsheets take for the beginning of a formula, in the full-width forms of East Asian locales too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvWriter:
    """One row an image or page, after RFC 4180: UTF-8, CRLF, a header always, quotes where needed.

    ``text`` is the recognised lines joined with newlines, ``text_confidence`` their mean in [0, 1]; ``labels`` reads
    ``chart 0.93; document 0.05`` and ``codes`` ``hs 8471300100 0.99; qr https://example.org 1``; several problems of
    one image are joined with ``; ``, and so are the notices of its tasks. A task that was not asked, or that failed,
    leaves its cells empty.

    A text cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a line break gets a leading apostrophe: a
    spreadsheet would run it as a formula, and file names and pictures come from strangers. ``page`` counts from 0.
    ``bom`` puts a byte order mark before everything: without it Excel takes UTF-8 for the system's old encoding, and
    Korean becomes unreadable.
    """

    def __init__(self, out: IO[str], *, bom: bool = False) -> None:
        self._out = out
        if bom:
            out.write(_BOM)
        self._rows = csv.writer(out)
        self._rows.writerow(COLUMNS)

    def write(self, result: ImageResult) -> None:
        self.write_row({name: _in_csv(value) for name, value in row_of(result).items()})

    def write_row(self, cells: Mapping[str, Any]) -> None:
        """Write a row by the names of its columns."""
        self._rows.writerow([cells.get(column, "") for column in COLUMNS])

    def close(self, summary: Mapping[str, Any]) -> None:
        self._out.flush()


def row_of(result: ImageResult) -> dict[str, Any]:
    """The cells of a result by the names of their columns: texts as they are, numbers, and ``None`` or "" for none."""
    cells: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    cells.update(
        path=result.path,
        page=result.page,
        pages=result.pages,
        status=result.status.value,
        format=result.format,
        width=result.width,
        height=result.height,
        sha256=result.sha256,
        processing_time_ms=round(result.processing_time_ms, 3),
        from_cache=result.from_cache,
    )
    for task, answer in result.tasks.items():
        if answer.error is not None and answer.error == result.error:
            continue  # the image's own failure: no engine was asked
        cells[f"{task.value}_engine"] = answer.engine
        if isinstance(answer, CaptionResult):
            cells["caption"] = answer.value
        elif isinstance(answer, LabelsResult):
            cells["labels"] = "; ".join(f"{label.label} {label.score:.4g}" for label in answer.value or ())
        elif isinstance(answer, CodesResult):
            codes = (f"{code.kind} {_digits(code)} {code.confidence:.4g}" for code in answer.value or ())
            cells["codes"] = "; ".join(codes)
        elif answer.value is not None:
            lines = sure_lines(answer.value)
            cells.update(text="\n".join(line.text for line in lines), text_lines=len(lines))
            if lines:
                cells["text_confidence"] = round(sum(line.confidence for line in lines) / len(lines), 4)
    found = result.problems()
    notices = (f"{task.value}: {answer.notice}" for task, answer in result.tasks.items() if answer.notice)
    cells.update(
        notice="; ".join(notices),
        error_code="; ".join(dict.fromkeys(problem.code for _, problem in found)),
        error="; ".join(f"{task.value}: {p.message}" if task else p.message for task, p in found),
        remedy="; ".join(dict.fromkeys(problem.remedy for _, problem in found if problem.remedy)),
    )
    return cells


def _in_csv(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return safe_cell(value) if isinstance(value, str) else value


def _digits(code: Code) -> str:
    """A tariff number in digits alone, another code's value on one line."""
    return f"{code.normalised}{code.national or ''}" if code.normalised else " ".join(code.value.split())


def safe_cell(text: str | None) -> str:
    """``text`` as a cell: no NUL (readers end there), nothing that a spreadsheet takes for a formula."""
    if not text:
        return ""
    text = well_formed(text).replace("\0", REPLACEMENT)
    return "'" + text if text.startswith(_FORMULA) else text
