"""Lists of paths, as ``--from-file`` and standard input bring them: read as they come, whatever their length."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedReader
from typing import cast

from imgtool.engine.files.discover import ImageRef, RefusedPath
from imgtool.engine.files.problems import shown, with_content
from imgtool.engine.sources import MOST_BYTES
from imgtool.errors import PathMissing, UsageProblem
from imgtool.image_formats import HEAD_BYTES, sniff

_CHUNK_BYTES = 65_536
_LEAST_IN_TEXT = 9  # a tab
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_BYTES = 1 << 20
"""No system has longer paths, by far. What is longer is no list of paths, and would be read into memory whole."""


def read_list(source: str, nul: bool = False) -> Iterator[str | ImageRef | RefusedPath]:
    """The paths in the file ``source`` (``-``: standard input), one a line or, with ``nul``, NUL-separated.

    They are read as they are asked for. A path may be any bytes (``os.fsdecode``); nothing in it is stripped, but for
    the line's end (LF or CRLF) and a byte order mark at the very beginning. Blank lines are skipped. Standard input
    that begins like an image is one, named ``-``.

    Raises:
        imgtool.errors.PathMissing: there is no such list; at once, not at the first path.
        imgtool.errors.UsageProblem: the list cannot be read, is in UTF-16 or an image, or holds something too long for
            a path.
    """
    paths = _paths_of(source, nul)
    next(paths)  # opens the list
    return paths


def _paths_of(source: str, nul: bool) -> Iterator[str | ImageRef | RefusedPath]:
    name = "standard input" if source == "-" else shown(source)
    with ExitStack() as stack:
        try:
            stream = _open_list(source, stack)
            yield ""
            head = b"" if nul else stream.peek(HEAD_BYTES)[:HEAD_BYTES]
            _refuse_utf16(head, name)
            if is_image(head):
                yield _read_image(stream, source, name)
                return
            if b"\0" in head:
                raise UsageProblem(f"the list {name} has NUL bytes", "say -0 where its paths end with NUL")
            # One byte more than is allowed, so that a longer line shows.
            lines = iter(lambda: stream.readline(_LONGEST_BYTES + 1), b"")
            for number, entry in enumerate(_entries_between_nuls(stream, name) if nul else lines):
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


def is_image(head: bytes) -> bool:
    """Whether what begins with ``head`` is an image, or a document of them, rather than a list of paths."""
    return sniff(head) is not None and (min(head) < _LEAST_IN_TEXT or head.startswith(b"%PDF-"))


def _read_image(stream: BufferedReader, source: str, name: str) -> ImageRef | RefusedPath:
    if source != "-":
        raise UsageProblem(f"the list {name} is an image", f"leave out --from-file: imgtool analyze {name}")
    content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UsageProblem("the image on standard input is longer than 2 GB", "give the path of the file")
    problem = with_content(content[:HEAD_BYTES])
    return ImageRef("-", len(content), 0, 0, 0, 0, content) if problem is None else RefusedPath("-", problem)


def _refuse_utf16(head: bytes, name: str) -> None:
    every_other = len(head) > 1 and not any(head[1::2]) and all(head[::2])
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or every_other:
        listed = "FILE" if name == "standard input" else name
        remedy = f"convert it: iconv -f UTF-16 -t UTF-8 {listed} | imgtool analyze -"
        raise UsageProblem(f"the list {name} is in UTF-16, not UTF-8", remedy)


def _open_list(source: str, stack: ExitStack) -> BufferedReader:
    if source == "-":
        if sys.stdin is None:
            raise PathMissing("the list is to come from standard input, which is closed", "pipe the paths into imgtool")
        return cast(BufferedReader, sys.stdin.buffer)
    try:
        return stack.enter_context(open(source, "rb"))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        remedy = "check the spelling; - reads the list from standard input"
        raise PathMissing(f"the list {shown(source)} does not exist", remedy) from error


def _entries_between_nuls(stream: BufferedReader, name: str) -> Iterator[bytes]:
    rest, has_nul = b"", False
    # read1 gives what a pipe holds now: the first path is not kept waiting for a full buffer.
    while chunk := stream.read1(_CHUNK_BYTES):
        *entries, rest = (rest + chunk).split(b"\0")
        has_nul = has_nul or bool(entries)
        yield from entries
        if len(rest) > _LONGEST_BYTES:
            break
    if rest.endswith(b"\n") and not has_nul and not os.path.lexists(rest):
        raise UsageProblem(f"the list {name} has no NUL byte", "leave out -0: its paths end with newlines")
    yield rest
