"""The folder for temporary files of restricted workers, which torch for one cannot do without.

One for all workers of a user, in the folder for temporary files: a restricted worker could not remove one of its own.
Each holds a lock on it, and a parent whose workers have ended removes it unless another's still run.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress


def _place() -> str:
    return f"{os.environ.get('TMPDIR') or '/tmp'}/imgtool-worker-{os.geteuid()}"  # noqa: S108 - checked by `hold`


def hold() -> str:
    """Make the folder, and keep it for as long as this process runs. Empty where it cannot be had, or is somebody
    else's."""
    import fcntl

    folder = _place()
    with suppress(OSError):
        while True:
            with suppress(FileExistsError):
                os.mkdir(folder, 0o700)  # noqa: PTH102 - pathlib is slow to import
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(held, fcntl.LOCK_SH)
            found = os.fstat(held)
            if found.st_nlink == 0:  # removed before it was locked
                os.close(held)
            elif stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
                return folder
            else:
                break
    return ""


def remove() -> None:
    """Remove the folder, with what killed workers left in it, unless a worker holds it."""
    import fcntl

    folder = _place()
    with suppress(OSError):
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(held)
            # Without a link another parent has removed it, and what stands in its place is a newer one.
            if found.st_nlink and found.st_uid == os.geteuid():
                _remove(folder)
        finally:
            os.close(held)


def _remove(folder: str) -> None:
    try:
        os.rmdir(folder)  # noqa: PTH106 - the usual case
    except OSError:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
