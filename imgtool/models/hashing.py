"""Hashes of files, read once in large pieces, and what a publisher says that they should be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PIECE = 1 << 20


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
