"""The result store on this machine's disk: records as rows of a diskcache database."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from diskcache import Cache
from diskcache.core import DBNAME, MODE_RAW

from imgtool.engine.cache.claims import Claims
from imgtool.engine.cache.disk import JsonDisk
from imgtool.engine.cache.records import UNREADABLE, Record, Update, decode, encode, merged, without_old
from imgtool.engine.cache.sqlite import (
    TIMEOUT_SECONDS,
    TROUBLES,
    KeptDatabase,
    Rest,
    Trouble,
    connect_for_reading,
    connect_for_writing,
    diagnose,
    file_number,
)

FOLDER = "results"
DATABASE: str = DBNAME
_KEYS_A_QUERY = 500
_PAGES_KIB = 1_000
"""Pages of the database that are kept in memory. Keys are hashes, so the next one is on another page, and the system
keeps the file in memory, too."""

# Said in full, as a database keeps the settings of whoever opened it last. The cull of diskcache runs inside the
# transaction of a write, where pages that it frees do not count yet: it would remove far too much.
_SETTINGS: dict[str, Any] = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "least-recently-stored",
    "cull_limit": 0,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": -_PAGES_KIB,
    "sqlite_journal_mode": "wal",
    "sqlite_synchronous": 1,
    # A mapped file that is cut short under a reader is a SIGBUS; one that is read is an error to deal with.
    "sqlite_mmap_size": 0,
}


class _Writable(Cache):  # type: ignore[misc]
    """A diskcache that closes its connection when it cannot be opened, and whose rows do not expire."""

    def __init__(self, folder: Path, size_limit: int) -> None:
        try:
            super().__init__(str(folder), TIMEOUT_SECONDS, JsonDisk, size_limit=size_limit, **_SETTINGS)
            # How old an answer may be is the matter of the run that reads it. Earlier versions wrote it into the rows.
            if self.select("SELECT 1 FROM Cache WHERE expire_time IS NOT NULL LIMIT 1"):
                self._sql("UPDATE Cache SET expire_time = NULL WHERE expire_time IS NOT NULL")
        except BaseException:
            self.close()
            raise

    def select(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        found: list[tuple[Any, ...]] = self._sql(query, parameters).fetchall()
        return found


class _ReadOnly:
    """What can be had of a diskcache that may not be written: diskcache itself writes as it opens."""

    def __init__(self, folder: Path) -> None:
        self._connection: sqlite3.Connection = connect_for_reading(folder / DATABASE)
        try:
            len(self)
        except BaseException:
            self.close()
            raise

    def select(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._connection.execute(query, parameters).fetchall()

    def __len__(self) -> int:
        return int(self.select("SELECT COUNT(*) FROM Cache")[0][0])

    def volume(self) -> int:
        """Size in bytes."""
        return int(self.select("PRAGMA page_count")[0][0]) * int(self.select("PRAGMA page_size")[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


_Result = TypeVar("_Result")
_NOT_KEPT = "some answers of this run are not kept"
_AGAIN = "the images concerned are looked at again"


class ResultStore(KeptDatabase):
    """A :class:`imgtool.engine.cache.records.Tier` on disk. Any number of processes may use one at the same time.

    The first trouble of each kind with the database is reported to ``warn``; it never costs more than time.
    """

    subject = "result cache"
    not_used = "the run goes on without it"
    only_read = "known answers are used, those of this run are not kept"

    def __init__(self, root: Path, *, size_limit: int, ttl: float | None, warn: Callable[[str], None]) -> None:
        """The store in ``root``, created if need be.

        ``size_limit`` is bytes; past it the records that were not written for longest go. Answers older than ``ttl``
        seconds count as absent.
        """
        self._size_limit = size_limit
        self._ttl = ttl
        self._rows: _Writable | _ReadOnly | None = None
        self._locked_out = False
        self._no_reads = Rest()
        self._no_writes = Rest()
        self._claims = Claims(root.absolute())
        super().__init__(root.absolute() / FOLDER / DATABASE, warn)

    @property
    def enabled(self) -> bool:
        """Whether answers can at least be looked up."""
        return self._rows is not None

    def get(self, key: str) -> Record | None:
        """The record of ``key`` without answers that are too old."""
        return self.get_many((key,)).get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Record]:
        """The records of ``keys`` that there are, without answers that are too old."""
        found: dict[str, Record] = {}
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            nothing: dict[str, Record] = {}
            found.update(self._guarded(self._no_reads, partial(self._records, keys=some), nothing))
        now = time.time()
        return {key: without_old(record, self._ttl, now) for key, record in found.items()}

    def merge(self, updates: Iterable[Update]) -> None:
        """Add what is new to the records in one transaction, whatever other processes add to them meanwhile."""
        batch = list(updates)
        # A file that somebody has removed or replaced takes what is written to it, and nobody finds it there.
        number = file_number(self.database)
        is_gone = isinstance(self._rows, _Writable) and (number is None or number != self._number)
        if batch and not self._no_writes.active and (is_gone or self._locked_out):
            # See whether the lock is gone that was there when the store was opened, or begin anew.
            before = self._rows
            try:
                self._begin()
            except TROUBLES as error:
                self._no_writes.begin()
                if is_gone:
                    self.report(diagnose(error), _NOT_KEPT, error)
            else:
                self._locked_out = False
                if is_gone:
                    self.report(Trouble.REMOVED, "a new one is begun")
                    self._claims.close()
                if before is not None:
                    before.close()
        if batch and isinstance(self._rows, _Writable):
            self._guarded(self._no_writes, lambda rows: self._write(rows, batch), None)

    def claim(self, keys: Sequence[str]) -> set[str]:
        """Say that these images are being computed; those of which another process has said so.

        Who cannot write answers has nothing to share.
        """
        return self._claims.take(keys) if isinstance(self._rows, _Writable) else set()

    def release(self, keys: Iterable[str]) -> None:
        """Take that back."""
        self._claims.release(keys)

    def entries(self) -> int:
        """Number of records."""
        return self._guarded(self._no_reads, len, 0)

    def bytes(self) -> int:
        """Size of the database in bytes."""
        return self._guarded(self._no_reads, lambda rows: int(rows.volume()), 0)

    def close(self) -> None:
        """Close the database; what is looked up afterwards is a miss."""
        rows, self._rows = self._rows, None
        self._locked_out = False
        self._claims.close()
        if rows is not None:
            with suppress(*TROUBLES):
                rows.close()

    def _records(self, rows: Any, keys: Sequence[str]) -> dict[str, Record]:
        """The records of some keys. A row that was never written by imgtool is removed, one that cannot be read stays
        for `imgtool cache verify` to list."""
        found: dict[str, Record] = {}
        # sqlite3 keeps the last 128 statements, and those of hundreds of marks are large: of few lengths there are few.
        asked = (*keys, *[keys[0]] * ((1 << (len(keys) - 1).bit_length()) - len(keys)))
        marks = ",".join("?" * len(asked))
        query = f"SELECT key, mode, filename, value FROM Cache WHERE raw = 1 AND key IN ({marks})"
        for key, mode, filename, value in rows.select(query, asked):
            if mode != MODE_RAW or filename is not None:
                self.report(Trouble.REFUSED, _AGAIN)
                if isinstance(rows, _Writable):
                    rows.delete(key)
                continue
            try:
                record = decode(value)
            except UNREADABLE:
                self.report(Trouble.GARBAGE, _AGAIN)
                continue
            if record is not None:
                found[key] = record
        return found

    def _write(self, rows: Any, batch: list[Update]) -> None:
        with rows.transact():
            for start in range(0, len(batch), _KEYS_A_QUERY):
                some = batch[start : start + _KEYS_A_QUERY]
                # What cannot be read is replaced.
                former = self._records(rows, [update.key for update in some])
                for update in some:
                    former[update.key] = merged(former.get(update.key), update)
                    rows.set(update.key, encode(former[update.key]))
        if rows.volume() > self._size_limit:
            rows.cull()

    def _open(self) -> None:
        folder = self.database.parent
        if os.path.expandvars(folder) != str(folder):
            raise ValueError("its name holds a $VARIABLE, which would be replaced")
        # diskcache waits a whole minute for a locked database as it opens; this waits five seconds.
        connect_for_writing(self.database).close()
        self._rows = _Writable(folder, self._size_limit)

    def _open_for_reading(self) -> bool:
        self._rows = _ReadOnly(self.database.parent)
        return True

    def _on_refused(self, trouble: Trouble) -> None:
        self._locked_out = trouble is Trouble.LOCKED
        self._no_writes.begin()

    def _guarded(self, rest: Rest, action: Callable[[Any], _Result], otherwise: _Result) -> _Result:
        if self._rows is None or rest.active:
            return otherwise
        try:
            return action(self._rows)
        except TROUBLES as error:
            self._on_trouble(error, rest)
            return otherwise

    def _on_trouble(self, error: Exception, rest: Rest) -> None:
        trouble = diagnose(error)
        if trouble is Trouble.CORRUPT:
            self.close()
            self._begin_anew(error)
            return
        if trouble is Trouble.LOCKED:
            rest.begin()
        if isinstance(self._rows, _Writable):
            # A statement that failed may leave a transaction open; the next use connects anew.
            with suppress(*TROUBLES):
                self._rows.close()
        self.report(trouble, _NOT_KEPT, error)
