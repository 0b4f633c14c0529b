"""Files that appear whole or not at all: written under a unique name, flushed to the disk, then moved."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgtool.errors import OutputNotWritable, StoreNotWritable

TEMPORARY = ".tmp-"
"""In the name of every unfinished file or folder of ours; what a killed process leaves is recognised by it."""

SET_ASIDE = ".corrupt-"
"""In the name of every damaged file that was put away."""

_FULL_BYTES = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def temporary_beside(path: Path) -> Path:
    """A unique name in the folder of ``path``, on the same file system, so that moving to ``path`` is atomic."""
    return path.with_name(f"{path.name}{TEMPORARY}{os.urandom(6).hex()}")


def write_atomically(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``: a reader sees the former content or the new one, also after a crash.

    Raises:
        StoreNotWritable: no space, no permission, or a read-only file system.
    """
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_output(path: Path, data: bytes) -> None:
    """:func:`write_atomically` for a file that a person named.

    Raises:
        OutputNotWritable: the folder or the disk does not allow it.
    """
    try:
        write_atomically(path, data)
    except StoreNotWritable as error:
        raise OutputNotWritable(str(error), "free some space or fix its permissions, or name another place") from error
    except OSError as error:
        raise OutputNotWritable(f"{path} cannot be written: {error.strerror or error}", "name another file") from error


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` outlive a power cut, where the platform can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse this for folders
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing takes it for whole; returns where it is now.

    Raises:
        StoreNotWritable: the folder does not allow it.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.name}{SET_ASIDE}{stamp}-{os.urandom(3).hex()}")
    with writable(path.parent):
        path.replace(target)
    return target


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about writing in ``folder`` into a message with a remedy.

    Raises:
        StoreNotWritable: no space, no permission, or a read-only file system.
    """
    try:
        yield
    except OSError as error:
        if (problem := not_writable(error, folder)) is None:
            raise
        raise problem from error


def not_writable(error: OSError, folder: Path) -> StoreNotWritable | None:
    """``error`` as a message with a remedy, or ``None`` where it is about something else."""
    if error.errno in _NO_SPACE:
        return StoreNotWritable(
            f"no space left in {folder}",
            "free some space, run `imgtool warm-cache --prune`, or choose another place with IMGTOOL_CACHE_DIR, "
            "HF_HOME or EASYOCR_MODULE_PATH",
        )
    if error.errno in _NO_ACCESS:
        return StoreNotWritable(
            f"{folder} cannot be written: {error.strerror}",
            "mend its permissions, or choose another place with IMGTOOL_CACHE_DIR, HF_HOME or EASYOCR_MODULE_PATH",
        )
    return None


def is_full(folder: Path) -> bool:
    """Whether the disk that ``folder`` is on has no room left: libraries that write files say so in their own words."""
    import shutil

    return shutil.disk_usage(folder).free < _FULL_BYTES


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start what cannot be finished: ``needed`` bytes must be free where ``folder`` is (or will be).

    Raises:
        StoreNotWritable: there is less.
    """
    import shutil

    existing = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if existing is None:
        return
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise StoreNotWritable(
            f"{needed / 1e6:.0f} MB are needed in {folder}, and {free / 1e6:.0f} MB are free",
            "free some space, run `imgtool warm-cache --prune`, or choose another place with IMGTOOL_CACHE_DIR, "
            "HF_HOME or EASYOCR_MODULE_PATH",
        )
