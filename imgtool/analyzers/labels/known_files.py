"""What is known about the files of a classifier: hashes and the facts of its graph, kept with each file's stat.

A model of some hundred megabytes takes longer to hash than a run with nothing to compute. What was found out about a
file holds as long as its stat is the same.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from imgtool.analyzers.labels.graph import Graph, read_graph
from imgtool.files import replacing
from imgtool.ground.sealed import encode_sealed, require_seal
from imgtool.ground.versioned import decode

FOLDER = "classifiers"
"""Folder of the cache directory with one JSON file for each large file of a classifier."""

KEEP_FROM_BYTES = 1 << 20
"""Smaller files are hashed in a millisecond."""

# File systems round times, some to two seconds: a file that was changed so shortly before it was read may have been
# changed once more since, without its times showing it.
_MARGIN_NS = 2_000_000_000

_Stat = tuple[int, int, int, int, int]


class KnownFile(msgspec.Struct, frozen=True, kw_only=True):
    """The SHA-256 of a file in hexadecimal and, of an ONNX file, its facts. ``stat`` is device, inode, size in bytes,
    and the times of the last change of content and of status in nanoseconds."""

    tool: str = "imgtool classifier file"
    schema_version: int = 1
    path: str
    stat: _Stat
    sha256: str
    graph: Graph


def know(path: Path, kept: Path | None = None, *, model: bool = False, trust: bool = True) -> KnownFile:
    """What is known about ``path``; it is read only if neither this process nor ``kept`` (a cache directory) knows.

    ``model`` says that it is an ONNX file, not weights beside one. ``trust`` is false for a run that reads unchanged
    files again.

    Raises:
        OSError: the file cannot be read.
    """
    found = path.stat()
    stat = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return _know(str(path), stat, kept if found.st_size >= KEEP_FROM_BYTES else None, model, trust)


@lru_cache(maxsize=64)
def _know(path: str, stat: _Stat, kept: Path | None, model: bool, trust: bool) -> KnownFile:
    record = kept and kept / FOLDER / f"{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.json"
    if record and trust:
        with suppress(OSError, ValueError):
            data = record.read_bytes()
            known = decode(data, KnownFile)
            require_seal(data, "tool")
            if known.stat == stat:
                return known
    read_at = time.time_ns()
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    graph = read_graph(Path(path)) if model else Graph()
    known = KnownFile(path=path, stat=stat, sha256=digest, graph=graph)
    if record and max(stat[3:]) + _MARGIN_NS <= read_at:
        with suppress(OSError, UnicodeEncodeError), replacing(record) as file_:
            file_.write(encode_sealed(known))
    return known
