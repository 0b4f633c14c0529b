"""Who an image is: the SHA-256 of its bytes, and an index that knows it from the file's stat alone.

The index is a plain SQLite table and no diskcache: its rows are a few numbers, and a look-up by (device, inode) takes
two thirds of the time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from imgtool.engine.cache.sqlite import (
    TROUBLES,
    KeptDatabase,
    Rest,
    Trouble,
    connect_for_reading,
    connect_for_writing,
    diagnose,
)
from imgtool.ground.transaction import transaction

if TYPE_CHECKING:
    from imgtool.engine.files.discover import ImageRef

FOLDER = "stat"
DATABASE = "index.db"

_LAYOUT_VERSION = 1
_BLOCK_BYTES = 1 << 20
_READINGS = 3
# File systems round times, some to two seconds. A file that was changed so shortly before it was read may have been
# changed once more since, without any of its times showing it.
_MARGIN_NS = 2_000_000_000
_SEEN_STEP_SECONDS = 7 * 86400
_FLUSH_AT = 256
_FLUSH_SECONDS = 5.0
_FARTHEST = 255
_MOST_ROWS = 4096
"""Rows that are kept, 500 bytes each: then all are dropped, and the next are read."""
_PAGES_KIB = 500
_LOCK_SECONDS = 2.0

_CREATE = (
    "CREATE TABLE IF NOT EXISTS files ("
    " device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,"
    " sha256 BLOB, hashed_at_ns INTEGER, seen_at INTEGER, PRIMARY KEY (device, inode)) WITHOUT ROWID"
)
# All rows as one value: for each row that it steps to, sqlite3 lets another thread run, and may have to wait for it.
_SELECT_NEAR = (
    "SELECT json_group_array(json_array(inode, CAST(size AS INTEGER), CAST(mtime_ns AS INTEGER),"
    " CAST(ctime_ns AS INTEGER), lower(hex(sha256)), CAST(hashed_at_ns AS INTEGER), CAST(seen_at AS INTEGER)))"
    " FROM files WHERE device = ? AND inode BETWEEN ? AND ?"
)
_REPLACE = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SEEN = "UPDATE files SET seen_at = ? WHERE device = ? AND inode = ?"


class FileChanged(Exception):
    """A file that was written to each time while it was read."""


class _Entry(NamedTuple):
    """What the index knows about a file. ``sha256`` is in hexadecimal, ``seen_at`` in seconds since 1970."""

    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    hashed_at_ns: int
    seen_at: int

    def vouches_for(self, size: int, mtime_ns: int, ctime_ns: int) -> bool:
        """Whether a file of this size and these times must hold the bytes that were hashed."""
        same = self.size == size and self.mtime_ns == _signed(mtime_ns) and self.ctime_ns == _signed(ctime_ns)
        return same and len(self.sha256) == 64 and _is_settled(mtime_ns, ctime_ns, self.hashed_at_ns)


_Key = tuple[int, int]


class Identity(KeptDatabase):
    """The SHA-256 of files, read only where the index cannot vouch for them. All methods may be called from any thread,
    and none waits long for another that does not come back.

    As with the result store, trouble with the index is reported once to ``warn``, and only costs time.
    """

    subject = "file index"
    not_used = "no file is spared a second reading"
    only_read = "known files are spared a second reading"

    def __init__(self, root: Path, *, rehash: bool, warn: Callable[[str], None]) -> None:
        """The index in ``root``, created if need be. With ``rehash`` nothing in it is trusted, but it is kept."""
        self._rehash = rehash
        self._given_up = False
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._writable = False
        self._rest = Rest()
        self._answered: tuple[tuple[int, ...], str] | None = None
        self._new: dict[_Key, _Entry] = {}
        self._rows: dict[_Key, _Entry] = {}
        self._reach, self._read, self._used = 0, 1, 0
        """How far around an inode rows are read, how many were read last, and how many were asked for since."""
        self._seen: set[_Key] = set()
        self._flushed_at = time.monotonic()
        super().__init__(root.absolute() / FOLDER / DATABASE, warn)

    def lookup(self, ref: ImageRef) -> str | None:
        """The SHA-256 of ``ref`` in hexadecimal, if that is certain without reading the file."""
        return self._trusted(ref.device, ref.inode, ref.size, ref.mtime_ns, ref.ctime_ns)

    def is_known_image(self, found: os.stat_result) -> bool:
        """Whether the file with this stat was hashed before and cannot have changed: only images are hashed."""
        known = self._trusted(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return known is not None

    def identify(self, ref: ImageRef) -> tuple[str, ImageRef]:
        """Read the file and remember it: its SHA-256 in hexadecimal, and ``ref`` as the file was when it was read.

        Raises:
            FileChanged, OSError: as :func:`read_digest`.
        """
        sha256, fresh, began_ns = read_digest(ref)
        self.remember(fresh, sha256, began_ns)
        return sha256, fresh

    def remember(self, ref: ImageRef, sha256: str, hashed_at_ns: int) -> None:
        """Note what a file's bytes hash to; ``hashed_at_ns`` is when their reading began, in ns since 1970."""
        if not _is_settled(ref.mtime_ns, ref.ctime_ns, hashed_at_ns):
            return
        times = _signed(ref.mtime_ns), _signed(ref.ctime_ns)
        entry = _Entry(ref.size, *times, sha256, hashed_at_ns, int(time.time()))
        with self._locked() as locked:
            if locked:
                self._new[_key(ref.device, ref.inode)] = entry
                self._rows.pop(_key(ref.device, ref.inode), None)
                if len(self._new) >= _FLUSH_AT or time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
                    self.flush()

    def flush(self) -> None:
        """Write what was remembered, in one transaction."""
        with self._locked() as locked:
            if not locked:
                return
            new, seen = self._new, self._seen
            self._flushed_at = time.monotonic()
            if not (new or seen):
                return
            self._new, self._seen = {}, set()
            if self._connection is None or not self._writable or self._rest.active:
                return
            try:
                before = self._connection
                self._make_again()
                if self._connection is not before:
                    before.close()
                with transaction(self._connection):
                    rows = [(*key, *entry[:3], bytes.fromhex(entry.sha256), *entry[4:]) for key, entry in new.items()]
                    self._connection.executemany(_REPLACE, rows)
                    self._connection.executemany(_SEEN, [(int(time.time()), *key) for key in seen])
            except TROUBLES as error:
                self._on_trouble(error)

    def close(self) -> None:
        """Flush and close; what is looked up afterwards is unknown."""
        with self._locked() as locked:
            if locked:
                self.flush()
                self._disconnect()

    def give_up(self) -> None:
        """Use the index no more: a thread has not come back from it."""
        self._given_up = True

    def _acquire(self) -> bool:
        """Take the lock, if it is to be had: who holds it may be waiting for a disk that does not answer."""
        return not self._given_up and self._lock.acquire(timeout=_LOCK_SECONDS)

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        locked = self._acquire()
        try:
            yield locked
        finally:
            if locked:
                self._lock.release()

    def _trusted(self, device: int, inode: int, size: int, mtime_ns: int, ctime_ns: int) -> str | None:
        if self._rehash:
            return None
        # Discovery and look-up ask about each file in turn.
        asked, answered = (device, inode, size, mtime_ns, ctime_ns), self._answered
        if answered is not None and answered[0] == asked:
            return answered[1]
        if not self._acquire():  # a context manager would take longer than the rest
            return None
        try:
            entry = self._find(_key(device, inode))
            if entry is None or not entry.vouches_for(size, mtime_ns, ctime_ns):
                return None
            if time.time() - entry.seen_at > _SEEN_STEP_SECONDS:
                self._seen.add(_key(device, inode))
            self._answered = (asked, entry.sha256)
            return entry.sha256
        except TROUBLES as error:
            self._on_trouble(error)
            return None
        finally:
            self._lock.release()

    def _find(self, key: _Key) -> _Entry | None:
        found = self._new.get(key) or self._rows.get(key)
        if found is None and self._connection is not None and not self._rest.active:
            self._read_near(*key)
            found = self._rows.get(key)
        self._used += found is not None
        return found

    def _read_near(self, device: int, inode: int) -> None:
        """Read a file's row and those of the inodes near it, which the other files of its folder mostly have: of more
        inodes as long as half of the rows that were read were asked for since, else of fewer."""
        self._reach = min(2 * self._reach + 1, _FARTHEST) if 2 * self._used >= self._read else self._reach // 2
        if len(self._rows) > _MOST_ROWS:
            self._rows.clear()
        near = device, max(inode - self._reach, -(1 << 63)), min(inode + self._reach, (1 << 63) - 1)
        assert self._connection is not None
        ((rows,),) = self._connection.execute(_SELECT_NEAR, near).fetchall()
        found = {(device, number): _Entry._make(row) for number, *row in msgspec.json.decode(rows)}
        self._rows |= found
        self._used, self._read = 0, len(found)

    def _open(self) -> None:
        connection = connect_for_writing(self.database)
        try:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("PRAGMA synchronous = normal")
            connection.execute(f"PRAGMA cache_size = -{_PAGES_KIB}")
            if _layout_version(connection) != _LAYOUT_VERSION:
                with transaction(connection):
                    # Another process may have been faster; what another version left cannot be read.
                    if _layout_version(connection) != _LAYOUT_VERSION:
                        connection.execute("DROP TABLE IF EXISTS files")
                        connection.execute(_CREATE)
                        connection.execute(f"PRAGMA user_version = {_LAYOUT_VERSION}")
        except BaseException:
            connection.close()
            raise
        self._connection, self._writable = connection, True

    def _open_for_reading(self) -> bool:
        connection = connect_for_reading(self.database)
        if _layout_version(connection) == _LAYOUT_VERSION:
            self._connection = connection
            return True
        connection.close()
        return False

    def _disconnect(self) -> None:
        connection, self._connection, self._answered = self._connection, None, None
        self._rows.clear()
        if connection is not None:
            with suppress(*TROUBLES):
                connection.close()

    def _on_trouble(self, error: Exception) -> None:
        trouble = diagnose(error)
        if trouble is Trouble.CORRUPT:
            self._disconnect()
            self._begin_anew(error)
            return
        if trouble is Trouble.LOCKED:
            self._rest.begin()
        self.report(trouble, "some files are read again", error)


def read_digest(ref: ImageRef, alive: Callable[[], None] = lambda: None) -> tuple[str, ImageRef, int]:
    """Read a file: its SHA-256 in hexadecimal, ``ref`` as the file was when it was read, and when that began, in ns
    since 1970. ``alive`` is called after every megabyte.

    Raises:
        FileChanged: it was written to during each of three readings.
        OSError: it cannot be read, or is no regular file any more.
    """
    # A pipe that took the file's place must not keep us waiting for a writer.
    handle = os.open(ref.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        for _ in range(_READINGS):
            began_ns = time.time_ns()
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file any more", ref.path)
            digest, size = _hash(handle, before.st_size, alive)
            after = os.fstat(handle)
            if (size, before.st_size, before.st_mtime_ns) == (after.st_size, after.st_size, after.st_mtime_ns):
                fresh = replace(
                    ref,
                    size=size,
                    mtime_ns=after.st_mtime_ns,
                    ctime_ns=after.st_ctime_ns,
                    device=after.st_dev,
                    inode=after.st_ino,
                    is_settled=_is_settled(after.st_mtime_ns, after.st_ctime_ns, began_ns),
                )
                return digest, fresh, began_ns
    finally:
        os.close(handle)
    raise FileChanged(ref.path)


def _layout_version(connection: sqlite3.Connection) -> Any:
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return version


def _signed(number: int) -> int:
    """``number`` modulo 2**64 as SQLite's signed integer: inodes may use all 64 bits, and times lie beyond 2262."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _key(device: int, inode: int) -> _Key:
    return _signed(device), _signed(inode)


def _is_settled(mtime_ns: int, ctime_ns: int, hashed_at_ns: int) -> bool:
    return max(mtime_ns, ctime_ns) + _MARGIN_NS <= hashed_at_ns


def _hash(handle: int, size: int, alive: Callable[[], None]) -> tuple[str, int]:
    """The SHA-256 of a file from its beginning, and how many bytes were read; ``size`` is what to expect."""
    digest, total = hashlib.sha256(), 0
    buffer = memoryview(bytearray(min(size + 1, _BLOCK_BYTES)))
    os.lseek(handle, 0, os.SEEK_SET)
    with open(handle, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            total += count
            alive()
    return digest.hexdigest(), total
