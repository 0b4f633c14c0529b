"""The pages of a TIFF file by their directories, none of whose pixels are read."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SUBFILE, _OLD_SUBFILE = 254, 255
_COPY_OR_MASK, _OLD_COPY = 1 | 4, 2
MOST = 1_000_000
"""Directories; no more are counted, or read."""

MOST_LISTED = 10_000
"""Directories that are read where nobody asks for a later page. Pillow's time for a file grows with their square."""


def directories(file: BinaryIO, most: int = MOST) -> Iterator[ImageFileDirectory_v2]:
    """Each directory of ``file``, in order, or the first ``most`` of them.

    Raises:
        Exception: whatever Pillow raises on what is no directory; when Pillow opens the file it is said.
    """
    file.seek(0)
    head = file.read(16)
    head = head[: 16 if head[2:4] in (b"+\0", b"\0+") else 8]
    directory = ImageFileDirectory_v2(head)
    seen: set[int] = set()
    while directory.next and directory.next not in seen and len(seen) < most:
        seen.add(directory.next)
        file.seek(directory.next)
        directory = ImageFileDirectory_v2(head)
        directory.load(file)
        yield directory


def count_directories(file: BinaryIO) -> int:
    """How many directories ``file`` has, as far as they can be followed. None of them is read: it takes a microsecond
    each."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order, is_big = "<" if head[:2] == b"II" else ">", head[2:4] in (b"+\0", b"\0+")
    count, entry, link = (struct.Struct(order + each) for each in (("Q", "20s", "Q") if is_big else ("H", "12s", "I")))
    at, seen = 8 if is_big else 4, set[int]()
    while len(seen) < MOST and at + link.size <= size:
        file.seek(at)
        (place,) = link.unpack(file.read(link.size))
        if not place or place in seen or place + count.size > size:
            break
        seen.add(place)
        file.seek(place)
        (entries,) = count.unpack(file.read(count.size))
        at = place + count.size + entries * entry.size
    return len(seen)


def is_copy_or_mask(tags: Any) -> bool:
    """Whether a page with these tags is a smaller copy of another one, or a mask: by NewSubfileType, or by SubfileType,
    which it has taken the place of."""
    return bool(tags.get(_SUBFILE, 0) & _COPY_OR_MASK) or tags.get(_OLD_SUBFILE) == _OLD_COPY
