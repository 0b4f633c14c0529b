"""The models' files in the page cache: how much of them is there, dropping them, reading them. Needs no root."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from imgtool.bench.data.record import PageCache

_CHUNK = 1 << 22


def prepare(files: Iterable[Path], state: PageCache) -> float | None:
    """Bring ``files`` into ``state``; returns the share of their bytes in memory after it, or ``None`` if unknown.

    The kernel does not drop pages that a running process has mapped.
    """
    files = list(files)
    for path in files:
        if state is PageCache.WARM:
            counted = _pages(path)
            if counted is None or counted[0] < counted[1]:
                with suppress(OSError), path.open("rb", buffering=0) as file:
                    while file.read(_CHUNK):
                        pass
        elif hasattr(os, "posix_fadvise"):
            with suppress(OSError), path.open("rb") as file:
                os.fdatasync(file.fileno())  # pages that are still to be written cannot be dropped
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident_share(files)


def resident_share(files: Iterable[Path]) -> float | None:
    """The share of the bytes of ``files`` that is in the page cache, 0 to 1; ``None`` where the system does not
    tell."""
    resident = total = 0
    for path in files:
        counted = _pages(path)
        if counted is None:
            return None
        resident, total = resident + counted[0], total + counted[1]
    return resident / total if total else None


def model_files(places: Iterable[Path]) -> list[Path]:
    """The files at and below ``places``, each once, links followed; what may not be entered has none."""
    found: dict[Path, None] = {}
    for place in places:
        below = sorted(place.rglob("*")) if os.path.isdir(place) else [place]  # noqa: PTH112 - pathlib's raises
        for path in below:
            if os.path.isfile(path):  # noqa: PTH113
                found.setdefault(path.resolve())
    return list(found)


def _pages(path: Path) -> tuple[int, int] | None:
    """How many pages of ``path`` are in memory, and how many there are (``mincore(2)``)."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return 0, 0
            # A private writable mapping, untouched: ctypes takes the address of writable buffers only.
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
                pages = -(-size // mmap.PAGESIZE)
                vector = (ctypes.c_ubyte * pages)()
                anchor = ctypes.c_char.from_buffer(mapped)
                try:
                    failed = ctypes.CDLL(None).mincore(
                        ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size), vector
                    )
                finally:
                    del anchor  # the mapping cannot be closed while a buffer points into it
            return None if failed else (sum(byte & 1 for byte in vector), pages)
    except (OSError, ValueError, AttributeError):
        return None
