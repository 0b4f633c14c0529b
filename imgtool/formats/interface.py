"""What every output format is: a writer that takes results one by one, and how to get the one for a format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol, assert_never

from imgtool.options import OutputFormat
from imgtool.types import ImageResult


class Writer(Protocol):
    """Writes results as they come, keeping none, and finishes the document when told that there are no more.

    The stream belongs to the caller, who flushes it where somebody reads along; ``close`` completes what is written but
    leaves the stream open.
    """

    def write(self, result: ImageResult) -> None:
        """Write one image (or one page)."""

    def close(self, summary: Mapping[str, Any]) -> None:
        """Complete the document. ``summary`` is the run's statistics, for the formats that show them."""


def is_binary(format: OutputFormat) -> bool:
    """Whether the writer of ``format`` takes a stream of bytes; the others take text (UTF-8, newlines untouched)."""
    return format in (OutputFormat.PARQUET, OutputFormat.XLSX)


def needs_thumbnails(format: OutputFormat) -> bool:
    """Whether ``format`` shows the images, so that results must carry ``thumbnail``."""
    return format is OutputFormat.HTML


def open_writer(
    format: OutputFormat,
    stream: IO[Any],
    *,
    title: str = "imgtool",
    folder: Path | None = None,
    width: int = 80,
    color: bool = False,
    bom: bool = False,
) -> Writer:
    """The writer of ``format`` on ``stream``, which must be binary where :func:`is_binary` says so.

    ``title`` heads the HTML gallery, whose links to images are relative to ``folder``, where its file lies; ``width``
    (terminal cells) and ``color`` concern the table; ``bom``: CSV begins with a byte order mark. Only the module of the
    format asked for is imported.

    Raises:
        imgtool.errors.MissingExtra: the format needs an optional dependency that is not installed.
    """
    if format is OutputFormat.TABLE:
        from imgtool.formats.table import TableWriter

        return TableWriter(stream, width=width, color=color)
    if format is OutputFormat.CSV:
        from imgtool.formats.csvout import CsvWriter

        return CsvWriter(stream, bom=bom)
    if format is OutputFormat.PARQUET:
        from imgtool.formats.parquet import ParquetWriter

        return ParquetWriter(stream)
    if format is OutputFormat.XLSX:
        from imgtool.formats.xlsx import XlsxWriter

        return XlsxWriter(stream)
    if format is OutputFormat.HTML:
        from imgtool.formats.gallery_writer import HtmlWriter

        return HtmlWriter(stream, title, folder)
    if format is OutputFormat.JSON or format is OutputFormat.JSONL:
        from imgtool.formats.jsonout import JsonLinesWriter, JsonWriter

        return JsonWriter(stream) if format is OutputFormat.JSON else JsonLinesWriter(stream)
    assert_never(format)
