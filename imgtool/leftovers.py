"""Unfinished files of runs that were killed: nobody comes back for them, so later runs take them away.

Who works in a folder or writes a file claims it with a lock that ends with the process. What is not claimed and has
not been written to for a day belongs to nobody. Where there are no such locks (Windows) nothing is taken away.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl

    _LOCKS = True
except ImportError:
    _LOCKS = False

STALE_SECONDS = 24 * 3600.0
_CLAIM = ".in-use"


def claim(folder: Path) -> int | None:
    """Mark ``folder`` as in use for as long as the returned descriptor is open; ``None`` where that cannot be done."""
    try:
        descriptor = os.open(folder / _CLAIM, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    claim_file(descriptor)
    return descriptor


def claim_file(descriptor: int) -> None:
    """Mark the file behind ``descriptor`` as being written for as long as that is open."""
    if _LOCKS:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks
            return


def sweep(folder: Path, pattern: str) -> None:
    """Remove this user's files and folders in ``folder`` that match ``pattern`` and belong to nobody any more.

    Never raises: what cannot be looked at or removed stays.
    """
    with suppress(OSError):
        for path in list(folder.glob(pattern)) if _LOCKS else ():
            with suppress(OSError):
                if not _is_abandoned(path):
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def _is_abandoned(path: Path) -> bool:
    if path.is_symlink() or path.lstat().st_uid != os.getuid():
        return False
    below = (Path(folder, name) for folder, folders, files in os.walk(path) for name in (*folders, *files))
    if time.time() - max(each.lstat().st_mtime for each in (path, *below)) < STALE_SECONDS:
        return False
    claimed = path / _CLAIM if path.is_dir() else path
    if claimed.exists():
        with open(os.open(claimed, os.O_RDWR | os.O_CLOEXEC), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
    return True
