"""What a process left when it was gone: temporary files, shared memory, processes. Reads /proc and /dev/shm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
_SYSTEM_V = Path("/proc/sysvipc/shm")
_MARK = "_IMGTOOL_BENCH_MARK"  # not IMGTOOL_...: those are options


@dataclass(frozen=True)
class Leftovers:
    """Names of what exists at one moment: ``files`` in the temporary folder, ``shared_memory`` of POSIX and
    System V, ``processes`` that carry the mark in their environment."""

    files: frozenset[str]
    shared_memory: frozenset[str]
    processes: frozenset[str]


class LeftBehind:
    """Finds what marked processes leave behind. Give them ``environment``: a temporary folder of their own, and a mark
    that everything they start inherits, however it detaches itself."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder = folder
        self._mark = mark
        self._before = _shared_memory()

    @property
    def environment(self) -> dict[str, str]:
        """To be added to the environment of the processes."""
        return {"TMPDIR": str(self._folder), _MARK: self._mark}

    def look(self) -> Leftovers:
        """What is there now that was not there when this was made. Shared memory that a process without the mark has
        mapped belongs to another program."""
        new = _shared_memory() - self._before
        marked, held = set(), set()
        wanted = f"{_MARK}={self._mark}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            if wanted in _read(process / "environ").split(b"\0"):
                name = _read(process / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
                marked.add(f"{process.name} {name[:80]}")
            elif new:
                maps = _read(process / "maps").decode("utf-8", "replace")
                held |= {name for name in new if name in maps}
        return Leftovers(
            files=frozenset(_below(self._folder)), shared_memory=frozenset(new - held), processes=frozenset(marked)
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # gone, or another user's
        return b""


def _shared_memory() -> frozenset[str]:
    """POSIX segments and semaphores of this user by path, System V segments by number."""
    names = set()
    try:
        with os.scandir(_SHARED_MEMORY) as entries:
            names = {entry.path for entry in entries if entry.stat(follow_symlinks=False).st_uid == os.geteuid()}
    except OSError:
        pass
    rows = _read(_SYSTEM_V).decode("ascii", "replace").splitlines()[1:]
    return frozenset(names | {f"System V segment {row.split()[1]}" for row in rows if len(row.split()) > 1})


def _below(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        # A folder that contains something is named by what it contains.
        names = files if files or folders else [""]
        yield from (str(Path(place, name).relative_to(folder)) for name in names if Path(place, name) != folder)
