"""Hashes of files, and their comparison with what a publisher states."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PIECE = 1 << 20
_BLOCKS, _BLOCK_BYTES = 64, 4096
_SECOND = 1_000_000_000
_TITLES = {"sha256": "SHA-256", "md5": "MD5", "git": "git hash"}


@dataclass(frozen=True)
class MeasuredFile:
    """The size in bytes of a file and its lower-case hexadecimal hashes. ``git`` is the SHA-1 of git's blob.

    ``mtime_ns`` is when it had been written to last when its reading began.
    """

    size: int
    sha256: str
    md5: str = ""
    git: str = ""
    mtime_ns: int = 0


@dataclass(frozen=True)
class ExpectedFile:
    """A file as its publisher describes it; empty and ``None`` mean unknown."""

    size: int | None = None
    sha256: str = ""
    md5: str = ""
    git: str = ""

    def difference(self, found: MeasuredFile) -> str:
        """How ``found`` differs from this file, in words; empty if it does not."""
        if self.size is not None and self.size != found.size:
            return f"it has {found.size} bytes instead of {self.size}"
        for name, title in _TITLES.items():
            expected, got = getattr(self, name), getattr(found, name)
            if expected and expected != got:
                return f"its {title} is {got} instead of {expected}"
        return ""


def measure(path: Path, expected: ExpectedFile | None = None) -> MeasuredFile:
    """Size and SHA-256 of ``path``, and those other hashes that ``expected`` has.

    Raises:
        OSError: the file cannot be read.
    """
    hashes: dict[str, Any] = {"sha256": hashlib.sha256()}
    if expected is not None and expected.md5:
        hashes["md5"] = hashlib.md5(usedforsecurity=False)
    if expected is not None and expected.git:
        hashes["git"] = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    read = 0
    with path.open("rb") as file:
        mtime_ns = os.fstat(file.fileno()).st_mtime_ns
        while piece := file.read(_PIECE):
            read += len(piece)
            for one in hashes.values():
                one.update(piece)
    return MeasuredFile(read, mtime_ns=mtime_ns, **{name: one.hexdigest() for name, one in hashes.items()})


def is_untouched(hashed_ns: int, found_ns: int) -> bool:
    """Whether a file was not written to since it was hashed, by its times of modification then and now; 0 is unknown.

    Archives and layers of images keep whole seconds only.
    """
    return hashed_ns in (0, found_ns) or (found_ns % _SECOND == 0 and found_ns == hashed_ns - hashed_ns % _SECOND)


def sampled_sha256(paths: Iterable[Path]) -> str:
    """SHA-256 in hex over names, sizes and 64 evenly spread blocks of 4 KiB of each file, in the order given.

    This identifies files; it does not prove that they are undamaged. Weights that were trained or converted anew differ
    in nearly every block, but one flipped byte between two blocks is not seen.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        if size <= _BLOCKS * _BLOCK_BYTES:
            offsets = list(range(0, size, _BLOCK_BYTES))
        else:
            offsets = [number * (size - _BLOCK_BYTES) // (_BLOCKS - 1) for number in range(_BLOCKS)]
        with path.open("rb", buffering=0) as file:
            for offset in offsets:
                file.seek(offset)
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()
