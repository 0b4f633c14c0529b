"""Hashes of files, read once in large pieces, and what a publisher says that they should be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PIECE = 1 << 20
_BLOCKS, _BLOCK_BYTES = 64, 4096


@dataclass(frozen=True)
class Measured:
    """A file as it is: its size in bytes and lower-case hexadecimal hashes. ``git`` is the SHA-1 of git's blob."""

    size: int
    sha256: str
    md5: str = ""
    git: str = ""


@dataclass(frozen=True)
class Expected:
    """A file as its publisher describes it; what is empty or ``None`` is not known."""

    size: int | None = None
    sha256: str = ""
    md5: str = ""
    git: str = ""

    def difference(self, found: Measured) -> str:
        """In what ``found`` is not this file, in words; empty where it is."""
        if self.size is not None and self.size != found.size:
            return f"it has {found.size} bytes instead of {self.size}"
        for name in ("sha256", "md5", "git"):
            wanted, got = getattr(self, name), getattr(found, name)
            if wanted and wanted != got:
                return f"its {_TITLES[name]} is {got} instead of {wanted}"
        return ""


_TITLES = {"sha256": "SHA-256", "md5": "MD5", "git": "git hash"}


def measure(path: Path, expected: Expected | None = None) -> Measured:
    """Size and SHA-256 of ``path``, and of the other hashes those that ``expected`` has.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    hashes = _hashes(size, expected or Expected())
    read = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            read += len(piece)
            for one in hashes.values():
                one.update(piece)
    return Measured(read, **{name: one.hexdigest() for name, one in hashes.items()})


def _hashes(size: int, expected: Expected) -> dict[str, Any]:
    hashes: dict[str, Any] = {"sha256": hashlib.sha256()}
    if expected.md5:
        hashes["md5"] = hashlib.md5(usedforsecurity=False)
    if expected.git:
        hashes["git"] = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    return hashes


def sampled_sha256(paths: Iterable[Path]) -> str:
    """SHA-256 in hex over names, sizes and 64 evenly spread blocks of 4 KiB of each file, in the order given.

    Files that were trained, converted or cut off anew differ in nearly every block. This is an identity, no proof of
    integrity: one flipped byte between two blocks goes unseen.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb", buffering=0) as file:
            for offset in _offsets(size):
                file.seek(offset)
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def _offsets(size: int) -> list[int]:
    """Where to read: everything of a small file, else from the first byte to the last block."""
    if size <= _BLOCKS * _BLOCK_BYTES:
        return list(range(0, size, _BLOCK_BYTES))
    return [number * (size - _BLOCK_BYTES) // (_BLOCKS - 1) for number in range(_BLOCKS)]
