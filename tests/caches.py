"""Answers, updates and stores for the tests of what is kept, and processes that use them."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from imgtool.engine.cache.records import ImageFacts, StoredAnswer, Update
from imgtool.engine.cache.store import ResultStore
from imgtool.engine.files.discover import ImageRef
from imgtool.types import Backend, Problem

FACTS = ImageFacts("JPEG", 40, 30, 1, 1234)
BROKEN = Problem("broken", "it is broken", "mend it")
KEY = "ab" * 32
SHA = hashlib.sha256(b"x").hexdigest()
LONG_AGO = 1_600_000_000_000_000_000
NOW_ISH = 1_700_000_000_000_000_000


def ref(inode: int = 7, **changes: int) -> ImageRef:
    """A file that has not changed for long."""
    return replace(ImageRef("x.jpg", 1, LONG_AGO, LONG_AGO, 3, inode), **changes)


def answer(value: object = "a cat", engine: str = "describe", version: str = "1", age: float = 0.0) -> StoredAnswer:
    """An answer given ``age`` seconds ago."""
    raw = msgspec.Raw(msgspec.json.encode(value))
    return StoredAnswer(raw, engine, "model", version, Backend.PYTHON, 0.25, time.time() - age)


def update(key: str = KEY, *fingerprints: str, failures: dict[str, Problem] | None = None) -> Update:
    """An update with an answer for each fingerprint."""
    return Update(key, FACTS, {name: answer(name) for name in fingerprints}, failures or {})


class Opened:
    """A result store and the warnings it gave."""

    def __init__(self, root: Path, size_limit: int = 10**9, ttl: float | None = None) -> None:
        self.warnings: list[str] = []
        self.store = ResultStore(root, size_limit=size_limit, ttl=ttl, warn=self.warnings.append)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def fingerprints(self, key: str = KEY) -> set[str] | None:
        """Of the answers of a record; ``None`` where there is no record."""
        record = self.store.get(key)
        return None if record is None else set(record.answers)


PREAMBLE = """
import os, sys, time
from pathlib import Path
from tests.caches import *
from tests.caches import Opened
from imgtool.engine.files.discover import ImageRef
from imgtool.engine.files.identity import Identity
root = Path(sys.argv[1])
"""


def start(code: str, *arguments: object, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A Python process that runs ``code`` with a preamble that names ``root``, the first argument."""
    program = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(
        program,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What it printed; fails where it failed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def run(code: str, *arguments: object, prepare: Callable[[], None] | None = None) -> str:
    """Run ``code`` to its end; what it printed."""
    return finish(start(code, *arguments, prepare=prepare))


def plant(root: Path, sql: str, *values: object) -> None:
    """Change the rows of a result store behind its back."""
    connection = sqlite3.connect(root / "results" / "cache.db")
    with connection:
        assert connection.execute(sql, values).rowcount > 0
    connection.close()


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Everything below ``root`` with size and time of change, but for folders' own."""
    found = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}
