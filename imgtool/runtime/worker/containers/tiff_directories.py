"""The pages of a TIFF file by their directories, none of whose pixels are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SUBFILE, _OLD_SUBFILE = 254, 255
_COPY_OR_MASK, _OLD_COPY = 1 | 4, 2
_MOST = 10_000


def directories(file: BinaryIO) -> Iterator[ImageFileDirectory_v2]:
    """Each directory of ``file``, in order.

    Raises:
        Exception: whatever Pillow raises on what is no directory; when Pillow opens the file it is said.
    """
    file.seek(0)
    head = file.read(16)
    head = head[: 16 if head[2:4] in (b"+\0", b"\0+") else 8]
    directory = ImageFileDirectory_v2(head)
    seen: set[int] = set()
    while directory.next and directory.next not in seen and len(seen) < _MOST:
        seen.add(directory.next)
        file.seek(directory.next)
        directory = ImageFileDirectory_v2(head)
        directory.load(file)
        yield directory


def is_copy_or_mask(tags: Any) -> bool:
    """Whether a page with these tags is a smaller copy of another one, or a mask: by NewSubfileType, or by SubfileType,
    which it has taken the place of."""
    return bool(tags.get(_SUBFILE, 0) & _COPY_OR_MASK) or tags.get(_OLD_SUBFILE) == _OLD_COPY
