"""Writes files and folders atomically, and removes what killed processes leave.

Everything is written under a unique temporary name beside its place, flushed to the disk, and then moved. A process
that writes for longer claims its file or folder with a lock that ends with the process: what is not claimed, and was
not written to for a day, may be removed. Without such locks (Windows) nothing is removed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imgtool.errors import OutputNotWritable, StoreNotWritable, UsageProblem
from imgtool.ground.home import mended_by
from imgtool.image_formats import sniff_file

try:
    import fcntl

    _LOCKS = True
except ImportError:
    _LOCKS = False

TEMPORARY = ".tmp-"
"""Part of the name of every unfinished file or folder of ours."""

FORMER = f"{TEMPORARY}former-"
"""Part of the name of a complete folder that was moved aside for a new one."""

SET_ASIDE = ".corrupt-"
"""Part of the name of every damaged file that was set aside."""

STALE_SECONDS = 24 * 3600.0
"""An unfinished file that was not written to for so long belongs to a process that was killed."""

_FULL_BYTES = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_PLACES = "HF_HOME and EASYOCR_MODULE_PATH name the caches of the libraries"
_ELSEWHERE = "choose another place with IMGTOOL_CACHE_DIR, HF_HOME or EASYOCR_MODULE_PATH"
_MORE_SPACE = f"free some space (`--prune` of warm-cache removes former models), or {_ELSEWHERE}"


def temporary_beside(path: Path) -> Path:
    """A unique name in the folder of ``path``, on the same file system, so that moving to ``path`` is atomic."""
    return path.with_name(f"{path.name}{TEMPORARY}{os.urandom(6).hex()}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file under a temporary name. It is flushed and moved to ``path`` at the end of the block, or removed if
    that fails.

    Raises:
        OSError: it cannot be written or moved.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: readers see the former content or the new one, even after a crash.

    Raises:
        StoreNotWritable: no space, no permission, or a read-only file system.
    """
    with writable(path.parent), replacing(path) as file:
        file.write(data)


@contextmanager
def staging_folder(beside: Path) -> Iterator[Path]:
    """A new folder under a temporary name beside ``beside``; removed at the end unless it was moved.

    Raises:
        OSError: it cannot be made.
    """
    folder = temporary_beside(beside)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(staging: Path, target: Path) -> None:
    """Move the folder ``staging`` to ``target``.

    A folder cannot be replaced in one step: the former one is moved aside, the new one moved in, and the former one
    deleted.

    Raises:
        OSError: it cannot be moved; the former ``target`` was restored.
    """
    former = target.with_name(f"{target.name}{FORMER}{os.urandom(6).hex()}")
    try:
        if target.exists():
            # Processes that have the old files open keep them.
            target.replace(former)
        staging.replace(target)
    except BaseException:
        with suppress(OSError):
            former.replace(target)
        raise
    sync_folder(target.parent)
    shutil.rmtree(former, ignore_errors=True)


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


def refuse_image(path: Path) -> None:
    """
    Raises:
        UsageProblem: ``path`` is an image or a document: hardly what an output was meant to replace.
    """
    with suppress(OSError):
        if path.is_file() and sniff_file(str(path)) is not None:
            raise UsageProblem(f"{path} is an image and would be overwritten", "name another file")


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, if the platform can."""
    with suppress(OSError):  # some network file systems refuse this for folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing uses it; returns the new path.

    Raises:
        StoreNotWritable: the folder cannot be written.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.name}{SET_ASIDE}{stamp}-{os.urandom(3).hex()}")
    with writable(path.parent):
        path.replace(target)
    return target


# -- leftovers of killed processes


def claim_file(descriptor: int) -> None:
    """Mark the file behind ``descriptor`` as being written while that is open."""
    if _LOCKS:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(folder: Path, pattern: str) -> None:
    """Remove this user's files in ``folder`` that match ``pattern`` and that no process writes any more.

    Never raises: what cannot be examined or removed stays.
    """
    if not _LOCKS:
        return
    with suppress(OSError):
        for path in list(folder.glob(pattern)):
            with suppress(OSError):
                if _is_abandoned(path):
                    path.unlink()


def _is_abandoned(path: Path) -> bool:
    found = path.lstat()
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or time.time() - found.st_mtime < STALE_SECONDS:
        return False
    with closing(os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "rb")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


# -- places that cannot be written


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn errors of writing in ``folder`` into one with a remedy.

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
    """``error`` as an error with a remedy, or ``None`` if it has another cause."""
    if error.errno in _NO_SPACE:
        return no_space(folder)
    if error.errno in _NO_ACCESS:
        mended = mended_by(folder, read_only=error.errno == errno.EROFS)
        return StoreNotWritable(
            f"{folder} cannot be written: {error.strerror}",
            f"{mended} ({_PLACES})",
        )
    return None


def no_space(folder: Path) -> StoreNotWritable:
    """The error for a full disk under ``folder``."""
    return StoreNotWritable(f"no space left in {folder}", _MORE_SPACE)


def is_full(folder: Path) -> bool:
    """Whether the disk of ``folder`` is full, which libraries that write files report in their own words."""
    return shutil.disk_usage(folder).free < _FULL_BYTES


def require_space(folder: Path, needed: int) -> None:
    """Check that ``needed`` bytes are free where ``folder`` is (or will be).

    Raises:
        StoreNotWritable: there is less.
    """
    existing = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if existing is not None and (free := shutil.disk_usage(existing).free) < needed:
        text = f"{needed / 1e6:.0f} MB are needed in {folder}, and {free / 1e6:.0f} MB are free"
        raise StoreNotWritable(text, _MORE_SPACE)
