"""What the result store and the stat index share: connections to SQLite, private folders, and what to do about errors.

Both hold only what can be computed again. So whatever is wrong with them costs time and never a run: each kind of
trouble is reported once, and the run goes on.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import ClassVar

import diskcache
import msgspec

from imgtool.ground.home import mended_by

TIMEOUT_SECONDS = 5.0
"""How long a database that another process has locked is waited for."""

_REST_SECONDS = 30.0

TROUBLES: tuple[type[Exception], ...] = (
    sqlite3.Error,
    sqlite3.Warning,
    diskcache.Timeout,
    OSError,
    msgspec.MsgspecError,
    # What diskcache and SQLite's adapters raise where a damaged database holds values of unexpected types.
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
)
"""Everything that a database in bad shape can raise."""


class Trouble(Enum):
    """Kinds of trouble: what is the matter, and what may help."""

    LOCKED = "it is locked by another process", "wait for the other process, or stop it"
    CORRUPT = "the database is damaged", "`imgtool cache clear` begins a new one"
    READ_ONLY = "it is read-only", "make it writable, or choose another --cache-dir"
    FULL = "the disk is full", "free some space, or choose another --cache-dir"
    DENIED = "permission is denied", "change its permissions, or choose another --cache-dir"
    NO_FOLDER = "it is no folder", "choose another --cache-dir"
    REFUSED = "it holds rows that imgtool never writes; they are not read", "`imgtool cache verify` lists them"
    GARBAGE = "it holds records that cannot be read", "`imgtool cache verify` lists them"
    REMOVED = "it was removed or replaced during the run", "leave it in place while a run uses it"
    DISK = "reading or writing the disk failed", "look at the disk, or choose another --cache-dir"
    OTHER = "it cannot be used", "choose another --cache-dir"

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self._remedy = remedy

    def mended_in(self, root: Path) -> str:
        """What to do about it, in the cache folder ``root``."""
        if self in (Trouble.DENIED, Trouble.READ_ONLY):
            return mended_by(root, read_only=self is Trouble.READ_ONLY)
        return self._remedy


_NEED_DETAIL = {Trouble.OTHER, Trouble.CORRUPT, Trouble.DISK}

_BY_ERRNO = {
    errno.EIO: Trouble.DISK,
    errno.ENOSPC: Trouble.FULL,
    errno.EDQUOT: Trouble.FULL,
    errno.EFBIG: Trouble.FULL,
    errno.EROFS: Trouble.READ_ONLY,
    errno.EACCES: Trouble.DENIED,
    errno.EPERM: Trouble.DENIED,
    errno.ENOTDIR: Trouble.NO_FOLDER,
    errno.EEXIST: Trouble.NO_FOLDER,
}

_BY_SQLITE_CODE = {
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_IOERR: Trouble.DISK,
    sqlite3.SQLITE_CORRUPT: Trouble.CORRUPT,
    sqlite3.SQLITE_NOTADB: Trouble.CORRUPT,
}
"""By primary result code: the low byte of ``sqlite_errorcode``."""


def diagnose(error: BaseException) -> Trouble:
    """The kind of ``error``, or of the first of its causes that tells more than "cannot be used".

    diskcache turns every failure to begin a transaction into ``Timeout``, and a failing roll-back hides why it was
    needed; the exceptions behind them still know.
    """
    link: BaseException | None = error
    while link is not None:
        found = None
        if isinstance(link, OSError):
            found = _BY_ERRNO.get(link.errno or 0)
        elif isinstance(link, sqlite3.Error):
            found = _BY_SQLITE_CODE.get(getattr(link, "sqlite_errorcode", 0) & 0xFF)
        if found is not None:
            return found
        link = link.__cause__ or link.__context__
    return Trouble.LOCKED if isinstance(error, diskcache.Timeout) else Trouble.OTHER


class KeptDatabase(ABC):
    """A database of ours in a private folder of its own: opened for writing, else for reading, else not at all; put out
    of the way and begun anew where it is damaged. Each kind of trouble is reported once."""

    subject: ClassVar[str]
    not_used: ClassVar[str]
    only_read: ClassVar[str]
    """What follows for the run where it cannot be used, or only be read."""

    def __init__(self, database: Path, warn: Callable[[str], None]) -> None:
        self.database = database
        self._warn = warn
        self._said: set[Trouble] = set()
        self._number: int | None = None
        self._may_begin_anew = True
        try:
            self._begin()
        except TROUBLES as error:
            trouble = diagnose(error)
            if trouble is Trouble.CORRUPT:
                self._begin_anew(error)
                return
            self._on_refused(trouble)
            readable = False
            with suppress(*TROUBLES):
                readable = self._open_for_reading()
            self.report(trouble, self.only_read if readable else self.not_used, error)

    @abstractmethod
    def _open(self) -> None:
        """Open it for writing, created if need be. Raises any of :data:`TROUBLES`."""

    @abstractmethod
    def _open_for_reading(self) -> bool:
        """Open it for reading; whether that was possible. Raises any of :data:`TROUBLES`."""

    def _on_refused(self, trouble: Trouble) -> None:  # noqa: B027 - optional to override
        """It could not be opened for writing."""

    def _begin(self) -> None:
        make_private(self.database.parent)
        self._number = file_number(self.database)
        self._open()
        self._number = file_number(self.database)

    def _make_again(self) -> None:
        """Make it anew where somebody has removed its folder: what is written into a file without a name is lost.

        Raises any of :data:`TROUBLES`.
        """
        if self._number is not None and file_number(self.database) != self._number:
            self.report(Trouble.REMOVED, "a new one is begun")
            self._begin()

    def report(self, trouble: Trouble, consequence: str, detail: object = "") -> None:
        """Warn of ``trouble``, the first time it is met, with what follows from it for this run."""
        if trouble in self._said:
            return
        self._said.add(trouble)
        said = f" ({detail})" if detail and trouble in _NEED_DETAIL else ""
        where = f"{self.subject} {self.database.parent}"
        self._warn(f"{where}: {trouble.what}{said}; {consequence} ({trouble.mended_in(self.database.parent.parent)})")

    def _begin_anew(self, error: Exception) -> None:
        """Put the damaged database out of the way and begin a new one. A second damage in one run is the disk's fault,
        not the file's."""
        may, self._may_begin_anew = self._may_begin_anew, False
        try:
            if not may:
                raise error
            aside = set_aside(self.database, self._number)
            self._begin()
        except TROUBLES:
            self.report(Trouble.CORRUPT, self.not_used, error)
        else:
            where = "another process set it aside" if aside is None else f"it was set aside as {aside.name}"
            self.report(Trouble.CORRUPT, f"{where}, and a new one is begun", error)


class Rest:
    """A pause in which a lock is not waited for again: five seconds an image would be worse than no cache."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self) -> None:
        """From now on."""
        self._until = time.monotonic() + _REST_SECONDS

    @property
    def active(self) -> bool:
        """Whether it is not over yet."""
        return time.monotonic() < self._until


def make_private(folder: Path) -> None:
    """Create ``folder`` with mode 0700, or take other users' rights from it if it is ours.

    The owner's own rights stay as they are: somebody may have made it read-only on purpose.

    Raises:
        OSError: it cannot be created, or something else has its name.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        with suppress(OSError):
            folder.chmod(found.st_mode & 0o700)


def _connect(database: Path, query: str) -> sqlite3.Connection:
    uri = f"{database.absolute().as_uri()}?{query}"
    return sqlite3.connect(uri, uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)


def connect_for_writing(database: Path, *, create: bool = True) -> sqlite3.Connection:
    """A connection in autocommit mode to a database that has been seen to be writable.

    Raises:
        sqlite3.Error: it is locked, damaged, read-only, or (without ``create``) does not exist.
    """
    connection = _connect(database, "mode=rwc" if create else "mode=rw")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_for_reading(database: Path) -> sqlite3.Connection:
    """A connection that only reads, also where neither the file nor its folder may be written.

    Raises:
        OSError, sqlite3.Error: it cannot be read.
    """
    if not os.access(database, os.R_OK):
        # SQLite does not say why it cannot open a file.
        database.stat()
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(database))
    # The first way leaves nothing behind: a connection that may write tidies its log away as it closes.
    ways = ["mode=rw", "mode=ro"]
    # Without its shared memory file a database in WAL mode opens on a read-only disk only as one that nobody
    # changes. That is a safe assumption while there is no log: one with a log may have newer pages in there.
    if not database.with_name(database.name + "-wal").exists():
        ways.append("mode=ro&immutable=1")
    for way in ways[:-1]:
        with suppress(sqlite3.OperationalError):
            return _try_reading(database, way)
    return _try_reading(database, ways[-1])


def _try_reading(database: Path, query: str) -> sqlite3.Connection:
    connection = _connect(database, query)
    try:
        connection.execute("PRAGMA query_only = 1")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def file_number(path: Path) -> int | None:
    """The inode of ``path``, or ``None`` where it cannot be had."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def set_aside(database: Path, number: int | None) -> Path | None:
    """Rename the folder of a damaged ``database`` to ``<folder>.corrupt-<time>`` and return the new name.

    ``number`` is the inode of the file that was found damaged; where it is another by now, another process has been
    here before, and nothing is done: ``None``.

    Raises:
        OSError: the folder cannot be renamed.
    """
    import fcntl

    folder = database.parent
    handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Keeps other processes from setting aside what this one has just begun.
        fcntl.flock(handle, fcntl.LOCK_EX)
        if file_number(database) != number:
            return None
        name = f"{folder.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
        target, count = folder.with_name(name), 0
        while target.exists():
            count += 1
            target = folder.with_name(f"{name}-{count}")
        folder.rename(target)
    finally:
        os.close(handle)
    return target
