"""Writes files and folders atomically, and removes what killed processes leave.

Everything is written under a unique temporary name beside its place, flushed to the disk, and then moved. The process
that writes claims its file or folder with a lock that ends with the process. What this system made and nobody claims
any more is removed by whoever writes there next; what another system made (a shared folder, or before a restart), whose
locks may not be seen here, only once it has not been written to for a day. Without locks (Windows) nothing is removed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
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

_PARTIAL, _PARTIAL_END = ".imgtool-", ".part"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FULL_BYTES = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_PLACES = "HF_HOME and EASYOCR_MODULE_PATH name the caches of the libraries"
_ELSEWHERE = "choose another place with IMGTOOL_CACHE_DIR, HF_HOME or EASYOCR_MODULE_PATH"
_MORE_SPACE = f"free some space (`--prune` of warm-cache removes former models), or {_ELSEWHERE}"


def temporary_beside(path: Path) -> Path:
    """A unique name in the folder of ``path``, on the same file system, so that moving to ``path`` is atomic."""
    return path.with_name(f"{path.name}{TEMPORARY}{_unique()}")


def _unique() -> str:
    """The name of the system on which locks are seen, and a random number."""
    return f"{_this_system()}{os.urandom(6).hex()}"


@lru_cache(maxsize=1)
def _this_system() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii")[:8]
    except OSError:
        return f"{zlib.crc32(os.uname().nodename.encode()) if hasattr(os, 'uname') else 0:08x}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file under a temporary name. It is flushed and moved to ``path`` at the end of the block, or removed if
    that fails.

    Raises:
        OSError: it cannot be written or moved.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = _claimed(lambda: temporary_beside(path), os.O_WRONLY)
    try:
        with open(temporary, "wb", opener=lambda *_: descriptor) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if _LOCKS:  # claimed until it has its name
                temporary.replace(path)
        if not _LOCKS:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    sweep(path.parent, f"{path.name}{TEMPORARY}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: readers see the former content or the new one, even after a crash.

    Raises:
        StoreNotWritable: no space, no permission, or a read-only file system.
    """
    with writable(path.parent), replacing(path) as file:
        file.write(data)


def put_in_place(staging: Path, target: Path) -> None:
    """Move the folder ``staging`` to ``target``.

    A folder cannot be replaced in one step: the former one is moved aside, the new one moved in, and the former one
    deleted.

    Raises:
        OSError: it cannot be moved; the former ``target`` was restored.
    """
    former = target.with_name(f"{target.name}{FORMER}{_unique()}")
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


def new_partial(folder: Path) -> tuple[int, Path]:
    """A new hidden file in ``folder`` for an output that is being written, open and claimed until it is closed.

    Raises:
        OSError: it cannot be made.
    """
    return _claimed(lambda: folder / f"{_PARTIAL}{_unique()}{_PARTIAL_END}", os.O_RDWR)


def sweep_partials(folder: Path) -> None:
    """Remove what killed processes left of outputs in ``folder``. Never raises."""
    sweep(folder, _PARTIAL, _PARTIAL_END)


def _claimed(name: Callable[[], Path], flags: int) -> tuple[int, Path]:
    while True:
        path = name()
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        if _claim(descriptor):
            return descriptor, path
        os.close(descriptor)


def _claim(descriptor: int) -> bool:
    """Mark the file or folder behind ``descriptor`` as being written while that is open; whether it is still there: a
    sweep may have come before the claim."""
    if _LOCKS:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def staging_folder(beside: Path) -> Iterator[Path]:
    """A new folder under a temporary name beside ``beside``, which is claimed; removed at the end unless it was moved.
    What killed processes left there for the same place is removed before.

    Raises:
        OSError: it cannot be made.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    sweep(beside.parent, f"{beside.name}{TEMPORARY}")
    with _claimed_folder(lambda: temporary_beside(beside)) as folder:
        yield folder


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new private folder among the temporary files, removed at the end; so is what killed processes left there.

    Raises:
        OSError: it cannot be made.
    """
    import tempfile

    place, prefix = Path(tempfile.gettempdir()), f"imgtool-{purpose}-"
    sweep(place, prefix)
    with _claimed_folder(lambda: place / f"{prefix}{_unique()}", 0o700) as folder:
        yield folder


@contextmanager
def _claimed_folder(name: Callable[[], Path], mode: int = 0o777) -> Iterator[Path]:
    while True:
        folder, descriptor = name(), -1
        folder.mkdir(mode)
        with suppress(OSError):  # swept before it was claimed; and Windows opens no folder
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            if _claim(descriptor):
                break
            os.close(descriptor)
            continue
        if folder.is_dir():
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def sweep(folder: Path, prefix: str, suffix: str = "") -> None:
    """Remove this user's files and folders in ``folder`` with names that begin and end so and that no process writes
    any more.

    Never raises: what cannot be examined or removed stays.
    """
    if not _LOCKS:
        return
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(prefix) and path.name.endswith(suffix):
                with suppress(OSError):
                    _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    if FORMER in path.name and not path.with_name(path.name.partition(TEMPORARY)[0]).exists():
        return  # the only copy of what was to be replaced
    found = path.lstat()
    is_file = stat.S_ISREG(found.st_mode)
    if not (is_file or stat.S_ISDIR(found.st_mode)) or found.st_uid != os.getuid():
        return
    if _this_system() not in path.name and time.time() - found.st_mtime < STALE_SECONDS:
        return
    descriptor = os.open(path, (os.O_RDWR if is_file else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Removed while it is claimed, so that whoever has just made it sees that.
        path.unlink() if is_file else shutil.rmtree(path)
    finally:
        os.close(descriptor)


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
