"""A database as JSON Lines, for back-ups and for moving from one kind to the other.

The first line names the format; each that follows is a page of a file: where it is, and its result as
``imgtool schema`` describes it. ``import`` also takes the plain results that ``imgtool analyze --format jsonl`` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import msgspec
from msgspec import Struct

from imgtool.database.entry import Absolute, Entry, stamps, this_machine
from imgtool.database.interface import Database
from imgtool.database.tables import chunks
from imgtool.errors import UsageProblem
from imgtool.types import ImageResult

TOOL = "imgtool database"
VERSION = 1

_BITS = {"page": 31, "pages": 31, "width": 31, "height": 31, "file_size": 63}


class ImportProblem(UsageProblem):
    """A file that cannot be imported; the message names the line."""


class _Head(Struct, frozen=True):
    tool: str = TOOL
    schema_version: int = VERSION


class _File(Struct, frozen=True, omit_defaults=True):
    """``path`` is ``None`` for a content that no known file has; times are as in :class:`Entry`."""

    path: str | None = None
    mtime_ns: int | None = None
    seen_at: float = 0.0
    gone_at: float | None = None
    machine: str = ""
    stamps: dict[str, str] = {}


class _Line(Struct, frozen=True):
    file: _File
    result: ImageResult


_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_result = msgspec.json.Decoder(ImageResult).decode


def export(database: Database, out: IO[bytes]) -> int:
    """Write everything to ``out``; returns the number of pages."""
    out.write(_encode(_Head()) + b"\n")
    count = 0
    for entry in database.entries():
        of_file = _File(entry.path, entry.mtime_ns, entry.seen_at, entry.gone_at, entry.machine, dict(entry.stamps))
        out.write(_encode(_Line(of_file, entry.result)) + b"\n")
        count += 1
    return count


def import_into(database: Database, source: IO[bytes]) -> int:
    """Add everything that ``source`` holds; returns the number of pages. Importing twice changes nothing.

    Raises:
        ImportProblem: a line is neither a page of an export nor a result; what came before it is imported.
    """
    count = 0
    for part in chunks(_entries(source)):
        database.write(part)
        count += len(part)
    return count


def _entries(source: IO[bytes]) -> Iterator[Entry]:
    absolute = Absolute()
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            entry = _entry(line, first=number == 1, absolute=absolute)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ImportProblem(
                f"line {number} cannot be imported: {error}",
                "files to import are written by imgtool database export, or by imgtool analyze --format jsonl",
            ) from error
        if entry is not None:
            yield entry


def _entry(line: bytes, *, first: bool, absolute: Absolute) -> Entry | None:
    if first and (version := _version(line)) is not None:
        if version != VERSION:
            raise ImportProblem(
                f"this export has version {version}, and this imgtool reads {VERSION}", "use the imgtool that wrote it"
            )
        return None
    if not line.startswith(b'{"file":'):
        result = _checked(_decode_result(line))
        path = absolute(result.path)
        return Entry(path, msgspec.structs.replace(result, thumbnail=msgspec.UNSET), stamps(result))
    one = _decode_line(line)
    file = one.file
    return Entry(
        path=file.path,
        result=_checked(one.result),
        stamps=file.stamps or stamps(one.result),
        mtime_ns=file.mtime_ns,
        seen_at=file.seen_at,
        gone_at=file.gone_at,
        machine=file.machine or this_machine(),
    )


def _checked(result: ImageResult) -> ImageResult:
    """``result``, whose numbers the columns can hold.

    Raises:
        msgspec.ValidationError: one is too large, or less than nothing.
    """
    for name, bits in _BITS.items():
        number = getattr(result, name)
        if number is not None and not 0 <= number < 1 << bits:
            raise msgspec.ValidationError(f"{name} is {number}")
    return result


def _version(line: bytes) -> Any:
    """The version of the export that ``line`` heads; ``None`` where it heads none."""
    try:
        head = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return head.get("schema_version") if isinstance(head, dict) and head.get("tool") == TOOL else None
