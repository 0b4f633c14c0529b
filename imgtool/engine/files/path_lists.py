"""Lists of paths, as ``--from-file`` and standard input bring them: read as they come, whatever their length."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

from imgtool.engine.files.problems import shown
from imgtool.errors import PathMissing, UsageProblem

_CHUNK_BYTES = 65_536
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_BYTES = 1 << 20
"""No system has longer paths, by far. What is longer is no list of paths, and would be read into memory whole."""


def read_list(source: str, nul: bool = False) -> Iterator[str]:
    """The paths in the file ``source`` (``-``: standard input), one a line or, with ``nul``, NUL-separated.

    They are read as they are asked for. A path may be any bytes (``os.fsdecode``); nothing in it is expanded or
    stripped, but for the line's end (LF or CRLF) and a byte order mark at the very beginning. Blank lines are skipped.

    Raises:
        imgtool.errors.PathMissing: there is no such list; at once, not at the first path.
        imgtool.errors.UsageProblem: the list cannot be read, or holds something too long for a path.
    """
    paths = _paths_of(source, nul)
    next(paths)  # opens the list
    return paths


def _paths_of(source: str, nul: bool) -> Iterator[str]:
    name = "standard input" if source == "-" else shown(source)
    with ExitStack() as stack:
        try:
            stream = _open_list(source, stack)
            yield ""
            # One byte more than is allowed, so that a longer line shows.
            lines = iter(lambda: stream.readline(_LONGEST_BYTES + 1), b"")
            for number, entry in enumerate(_entries_between_nuls(stream) if nul else lines):
                if len(entry) > _LONGEST_BYTES:
                    other = (
                        "leave out -0 where the paths end with newlines" if nul else "say -0 where they end with NUL"
                    )
                    raise UsageProblem(
                        f"entry {number + 1} of the list {name} is longer than any path can be",
                        f"give a text file with one path a line; {other}",
                    )
                path = entry.removeprefix(_BYTE_ORDER_MARK) if number == 0 else entry
                if not nul:
                    path = path.removesuffix(b"\n").removesuffix(b"\r")
                if path if nul else path.strip():
                    yield os.fsdecode(path)
        except OSError as error:
            text = f"the list {name} cannot be read: {error.strerror or error}"
            raise UsageProblem(text, "give a text file with one path a line") from error


def _open_list(source: str, stack: ExitStack) -> BinaryIO:
    if source == "-":
        if sys.stdin is None:
            raise PathMissing("the list is to come from standard input, which is closed", "pipe the paths into imgtool")
        return sys.stdin.buffer
    try:
        return stack.enter_context(open(source, "rb"))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        remedy = "check the spelling; - reads the list from standard input"
        raise PathMissing(f"the list {shown(source)} does not exist", remedy) from error


def _entries_between_nuls(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    # read1 gives what a pipe holds now: the first path is not kept waiting for a full buffer.
    while chunk := stream.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
        *entries, rest = (rest + chunk).split(b"\0")
        yield from entries
        if len(rest) > _LONGEST_BYTES:
            break
    yield rest
