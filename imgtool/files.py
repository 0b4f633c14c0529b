"""Files and folders that appear whole or not at all, and what killed processes leave of them.

Whatever is written gets a unique temporary name beside its place, is flushed to the disk, then moved. Who writes for
longer claims the file or folder with a lock that ends with the process: what nobody claims, and nobody has written to
for a day, may be removed. Where there are no such locks (Windows) nothing is removed.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imgtool.errors import OutputNotWritable, StoreNotWritable

try:
    import fcntl

    _LOCKS = True
except ImportError:
    _LOCKS = False

TEMPORARY = ".tmp-"
"""In the name of every unfinished file or folder of ours."""

FORMER = f"{TEMPORARY}former-"
"""In the name of a whole folder that was moved aside for a new one."""

SET_ASIDE = ".corrupt-"
"""In the name of every damaged file that was put away."""

STALE_SECONDS = 24 * 3600.0
"""An unfinished file that nobody wrote to for so long belongs to a process that was killed."""

_CLAIM = ".in-use"
_FULL_BYTES = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_ELSEWHERE = "choose another place with IMGTOOL_CACHE_DIR, HF_HOME or EASYOCR_MODULE_PATH"
_MORE_SPACE = f"free some space (`--prune` of warm-cache removes former models), or {_ELSEWHERE}"


def temporary_beside(path: Path) -> Path:
    """A unique name in the folder of ``path``, on the same file system, so that moving to ``path`` is atomic."""
    return path.with_name(f"{path.name}{TEMPORARY}{os.urandom(6).hex()}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file under a temporary name, flushed and moved to ``path`` as the block ends; removed if the block fails.

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
    """Put ``data`` at ``path``: a reader sees the former content or the new one, also after a crash.

    Raises:
        StoreNotWritable: no space, no permission, or a read-only file system.
    """
    with writable(path.parent), replacing(path) as file:
        file.write(data)


@contextmanager
def staging_folder(beside: Path) -> Iterator[Path]:
    """A new folder under a temporary name beside ``beside``; removed at the end, unless it was put in its place.

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

    A folder cannot be replaced in one step: the one that is there is moved aside, the new one is moved in, and then the
    former one is removed.

    Raises:
        OSError: it cannot be moved; what was at ``target`` is there again.
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


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` outlive a power cut, where the platform can."""
    with suppress(OSError):  # some network file systems refuse this for folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
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


# -- what killed processes leave


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
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(folder: Path, pattern: str) -> None:
    """Remove this user's files and folders in ``folder`` that match ``pattern`` and belong to nobody any more.

    Never raises: what cannot be looked at or removed stays.
    """
    if not _LOCKS:
        return
    with suppress(OSError):
        for path in list(folder.glob(pattern)):
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
        with closing(os.fdopen(os.open(claimed, os.O_RDWR | os.O_CLOEXEC), "rb")) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
    return True


# -- what keeps something from being written


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
        return no_space(folder)
    if error.errno in _NO_ACCESS:
        return StoreNotWritable(
            f"{folder} cannot be written: {error.strerror}", f"correct its permissions, or {_ELSEWHERE}"
        )
    return None


def no_space(folder: Path) -> StoreNotWritable:
    """What to raise where the disk of ``folder`` is full."""
    return StoreNotWritable(f"no space left in {folder}", _MORE_SPACE)


def is_full(folder: Path) -> bool:
    """Whether the disk of ``folder`` has no room left. Libraries that write files report that in their own words."""
    return shutil.disk_usage(folder).free < _FULL_BYTES


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start what cannot be finished: ``needed`` bytes must be free where ``folder`` is (or will be).

    Raises:
        StoreNotWritable: there is less.
    """
    existing = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if existing is not None and (free := shutil.disk_usage(existing).free) < needed:
        text = f"{needed / 1e6:.0f} MB are needed in {folder}, and {free / 1e6:.0f} MB are free"
        raise StoreNotWritable(text, _MORE_SPACE)
