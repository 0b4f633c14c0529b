"""SHA-256 of a classifier's files. A large file that has not changed is read once, and not by every run."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from imgtool.errors import ImgtoolError
from imgtool.files import write_atomically
from imgtool.ground.versioned import read_json
from imgtool.options import EngineOptions, cache_root

_KEPT = "classifiers.json"
_WORTH_BYTES = 1_000_000
# File systems round times: a file that was changed so shortly before it was read may be changed once more unseen.
_MARGIN_NS = 2_000_000_000
_MOST = 100

Stat = tuple[int, int, int, int, int]
"""Device, inode, size, time of the last change of the content and of the inode, in ns since 1970."""


class _Known(msgspec.Struct, array_like=True):
    stat: Stat
    sha256: str


def file_sha256(path: Path, options: EngineOptions) -> str:
    """The SHA-256 of a file in hex, from the cache directory where that knows it.

    Raises:
        OSError: the file cannot be read.
    """
    found = path.stat()
    kept: Path | None = None
    if options.cache and found.st_size >= _WORTH_BYTES:
        with suppress(ImgtoolError):
            kept = cache_root(options) / _KEPT
    stat = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return _sha256(path, stat, kept, options.rehash)


@lru_cache(maxsize=32)
def _sha256(path: Path, stat: Stat, kept: Path | None, rehash: bool) -> str:
    known: dict[str, _Known] = {}
    if kept is not None:
        with suppress(OSError, ValueError):
            known = read_json(kept.read_bytes(), dict[str, _Known])
        entry = known.get(str(path))
        if entry is not None and entry.stat == stat and not rehash:
            return entry.sha256
    began = time.time_ns()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if kept is not None and max(stat[3:]) + _MARGIN_NS <= began:
        others = [(name, entry) for name, entry in known.items() if name != str(path)]
        with suppress(OSError, ImgtoolError):  # what is not kept is computed again
            write_atomically(kept, msgspec.json.encode(dict([*others[-_MOST:], (str(path), _Known(stat, digest))])))
    return digest
