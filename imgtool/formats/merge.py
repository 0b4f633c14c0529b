"""The results of ``--retry-failed``, put into the output of an earlier run."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from imgtool.errors import UsageProblem
from imgtool.formats.csvout import safe_cell
from imgtool.formats.interface import open_writer
from imgtool.options import OutputFormat
from imgtool.types import ImageResult

_Page = tuple[str, int]


class _Key(msgspec.Struct):
    """Which page of which file a result is about."""

    path: str
    page: int = 0


class MergeWriter:
    """Writes the results of an earlier output again, those that are new in the place of the former ones about the same
    page, or at the end. The new ones are kept until ``close``: they are few. A row that cannot be read stays as it is.

    Raises:
        UsageProblem: the earlier output is of a format that cannot be merged, or is damaged.
    """

    def __init__(self, format: OutputFormat, earlier: Path, out: IO[str], *, bom: bool = False) -> None:
        if format not in (OutputFormat.JSONL, OutputFormat.JSON, OutputFormat.CSV):
            raise UsageProblem(
                f"{earlier} exists, and --retry-failed can only add to JSON Lines, JSON and CSV",
                "name another file with -o, or leave out --retry-failed: what was answered comes from the cache",
            )
        self._format, self._earlier, self._out, self._bom = format, earlier, out, bom
        self._rows: list[msgspec.Raw] = []
        if format is OutputFormat.JSON:
            try:
                self._rows = msgspec.json.decode(earlier.read_bytes(), type=list[msgspec.Raw])
            except (msgspec.DecodeError, RecursionError) as error:
                raise UsageProblem(f"{earlier} is no JSON array: {error}", "name another file with -o") from error
        self._new: dict[_Page, ImageResult] = {}

    def write(self, result: ImageResult) -> None:
        """Take in a new result."""
        name = safe_cell(result.path) if self._format is OutputFormat.CSV else result.path
        self._new[name, result.page] = result

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write everything."""
        writer: Any = open_writer(self._format, self._out, bom=self._bom)
        for page, row in self._csv_rows() if self._format is OutputFormat.CSV else self._json_rows():
            if page is not None and page in self._new:
                writer.write(self._new.pop(page))
            else:
                writer.write_row(row)
        for result in self._new.values():
            writer.write(result)
        writer.close(summary)

    def _json_rows(self) -> Iterator[tuple[_Page | None, str]]:
        with self._earlier.open("rb") as lines:
            for line in self._rows or (lines if self._format is OutputFormat.JSONL else ()):
                try:
                    key = msgspec.json.decode(line, type=_Key)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    key = None
                text = bytes(line).decode("utf-8", "replace").rstrip("\r\n")
                if text:
                    yield (key.path, key.page) if key else None, text

    def _csv_rows(self) -> Iterator[tuple[_Page | None, Mapping[str, str]]]:
        with self._earlier.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            for row in csv.DictReader(lines):
                page = row.get("page") or "0"
                yield (row.get("path") or "", int(page) if page.isdecimal() else 0), row
