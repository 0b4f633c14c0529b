"""The result store: one record an image, under the SHA-256 of its bytes, holding every answer ever given about it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from diskcache import Cache
from diskcache.core import DBNAME
from msgspec import Struct

from imgtool.engine.cache.disk import JsonDisk, RefusedRow
from imgtool.engine.cache.sqlite import (
    TIMEOUT_SECONDS,
    TROUBLES,
    KeptDatabase,
    Rest,
    Trouble,
    connect_for_reading,
    connect_for_writing,
    diagnose,
)
from imgtool.types import Backend, Problem

RECORD_VERSION = 1
"""Version of :class:`Record` as JSON. A record of another version counts as absent."""

FOLDER = "results"
DATABASE: str = DBNAME
DECODE_FAILURE = "decode"
"""Key under which a record keeps why a file could not be decoded."""

# Said in full, as a database keeps the settings of whoever opened it last. The cull of diskcache runs inside the
# transaction of a write, where pages that it frees do not count yet: it would remove far too much.
_SETTINGS: dict[str, Any] = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "least-recently-stored",
    "cull_limit": 0,
    "sqlite_auto_vacuum": 1,
    "sqlite_journal_mode": "wal",
    "sqlite_synchronous": 1,
    # A mapped file that is cut short under a reader is a SIGBUS; one that is read is an error to deal with.
    "sqlite_mmap_size": 0,
}


class ImageFacts(Struct, frozen=True):
    """The facts about an image that decoding found. Sizes are pixels of the upright image, and bytes of the file."""

    format: str
    width: int
    height: int
    pages: int
    file_size: int


class StoredAnswer(Struct, frozen=True):
    """An answer as JSON, and who gave it. ``seconds`` is what it took, ``stored_at`` seconds since 1970."""

    value: msgspec.Raw
    engine: str
    model: str
    model_version: str
    backend: Backend
    seconds: float
    stored_at: float
    notice: str | None = None


class Record(Struct, frozen=True):
    """Everything known about an image. Answers and failures go by fingerprint, a failure also by "decode"."""

    version: int
    image: ImageFacts | None
    answers: dict[str, StoredAnswer]
    failures: dict[str, Problem] = {}


class Update(Struct):
    """What a run learnt about the image ``key``. ``image`` may be ``None`` where nothing is new."""

    key: str
    image: ImageFacts | None
    answers: dict[str, StoredAnswer]
    failures: dict[str, Problem]


class _Versioned(Struct):
    version: int


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError)
"""What :func:`decode` raises for values that are no records."""

encode: Callable[[Record], bytes] = msgspec.json.Encoder().encode
"""The bytes of a row."""
_decode_record = msgspec.json.Decoder(Record).decode
_decode_version = msgspec.json.Decoder(_Versioned).decode


def decode(data: Any) -> Record | None:
    """The record in the value of a row; ``None`` where it is of another version.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, TypeError: it is no record. See :data:`UNREADABLE`.
    """
    try:
        record = _decode_record(data)
    except msgspec.DecodeError:
        if _decode_version(data).version != RECORD_VERSION:
            return None
        raise
    return record if record.version == RECORD_VERSION else None


def merged(former: Record | None, update: Update) -> Record:
    """``former`` with what is new. An answer clears the failures that it disproves, and a later failure is no news
    where there is an answer."""
    if former is None:
        former = Record(RECORD_VERSION, None, {})
    answers = {**former.answers, **update.answers}
    disproved = answers.keys() | ({DECODE_FAILURE} if update.answers else set())
    failures = {key: problem for key, problem in former.failures.items() if key not in disproved}
    failures.update({key: problem for key, problem in update.failures.items() if key not in answers})
    return Record(RECORD_VERSION, update.image or former.image, answers, failures)


class _Writable(Cache):  # type: ignore[misc]
    """A diskcache that closes its connection when it cannot be opened."""

    def __init__(self, folder: Path, size_limit: int) -> None:
        try:
            super().__init__(str(folder), TIMEOUT_SECONDS, JsonDisk, size_limit=size_limit, **_SETTINGS)
        except BaseException:
            self.close()
            raise


class _ReadOnly:
    """What can be had of a diskcache that may not be written: diskcache itself writes as it opens."""

    def __init__(self, folder: Path) -> None:
        self._disk = JsonDisk(str(folder))
        self._connection = connect_for_reading(folder / DATABASE)
        try:
            len(self)
        except BaseException:
            self.close()
            raise

    def get(self, key: str) -> Any:
        """The value of a row that has not expired, or ``None``."""
        row = self._connection.execute(
            "SELECT mode, filename, value FROM Cache"
            " WHERE key = ? AND raw = 1 AND (expire_time IS NULL OR expire_time > ?)",
            (key, time.time()),
        ).fetchone()
        if row is None:
            return None
        mode, filename, value = row
        return self._disk.fetch(mode, filename, value, False)

    def __len__(self) -> int:
        return self._number("SELECT COUNT(*) FROM Cache")

    def volume(self) -> int:
        """Size in bytes."""
        return self._number("PRAGMA page_count") * self._number("PRAGMA page_size")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _number(self, query: str) -> int:
        ((number,),) = self._connection.execute(query).fetchall()
        return int(number)


_Result = TypeVar("_Result")
_NOT_KEPT = "some answers of this run are not kept"
_AGAIN = "the images concerned are looked at again"


class ResultStore(KeptDatabase):
    """Records by key: an image's SHA-256, with ``#<page>`` for later pages and ``/thumbnail`` for its picture.

    No method raises for what is wrong with the database: it is a miss or a write that is dropped, and the first
    trouble of each kind is reported to ``warn``. Any number of processes may use one store at the same time.
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
        super().__init__(root.absolute() / FOLDER / DATABASE, warn)

    @property
    def enabled(self) -> bool:
        """Whether answers can at least be looked up."""
        return self._rows is not None

    def get(self, key: str) -> Record | None:
        """The record of ``key`` without answers that are too old."""
        data = self._guarded(self._no_reads, lambda rows: self._fetch(rows, key), None)
        if data is None:
            return None
        try:
            record = decode(data)
        except UNREADABLE:
            self.report(Trouble.GARBAGE, _AGAIN)
            return None
        if record is None or self._ttl is None:
            return record
        oldest = time.time() - self._ttl
        answers = {key: answer for key, answer in record.answers.items() if answer.stored_at >= oldest}
        return Record(record.version, record.image, answers, record.failures)

    def merge(self, updates: Iterable[Update]) -> None:
        """Add what is new to the records in one transaction, whatever other processes add to them meanwhile."""
        batch = list(updates)
        if self._locked_out and batch and not self._no_writes.active:
            # See whether the lock is gone that was there when the store was opened.
            before = self._rows
            try:
                self._begin()
            except TROUBLES:
                self._no_writes.begin()
            else:
                self._locked_out = False
                if before is not None:
                    before.close()
        if batch and isinstance(self._rows, _Writable):
            self._guarded(self._no_writes, lambda rows: self._write(rows, batch), None)

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
        if rows is not None:
            with suppress(*TROUBLES):
                rows.close()

    def _fetch(self, rows: Any, key: str) -> Any:
        try:
            return rows.get(key)
        except RefusedRow:
            self.report(Trouble.REFUSED, _AGAIN)
            if isinstance(rows, _Writable):
                rows.delete(key)
            return None

    def _write(self, rows: Any, batch: list[Update]) -> None:
        with rows.transact():
            for update in batch:
                former = None
                with suppress(RefusedRow, *UNREADABLE):  # what cannot be read is replaced
                    data = rows.get(update.key)
                    former = None if data is None else decode(data)
                rows.set(update.key, encode(merged(former, update)), expire=self._ttl)
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
