"""Removing from the cache: a plan that can be shown, and its execution.

Rows are deleted and not files, so that runs that have the database open keep working; only a database that cannot
be read any more goes as a folder.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from imgtool.engine.cache.listing import explained, index_database, occupied, results_database
from imgtool.engine.cache.records import UNREADABLE, Record, decode, encode
from imgtool.engine.cache.sqlite import TROUBLES, connect_for_reading, connect_for_writing
from imgtool.ground.transaction import transaction

# Other processes wait five seconds for a lock; a transaction over a million rows would take longer.
_ROWS_A_TRANSACTION = 500


class Cut(NamedTuple):
    """A row to delete, or (``answers`` not ``None``) the fingerprints and failures to take out of it.

    A row that was written since it was looked at has another ``store_time`` and is left alone.
    """

    rowid: int
    store_time: Any
    answers: frozenset[str] | None = None
    failures: bool = False


@dataclass(frozen=True)
class RemovalPlan:
    """What :func:`execute` would remove. ``bytes`` is about what that frees, ``examples`` are a few of the things.

    ``records`` go whole, and ``keys`` are theirs where one image is meant. ``answers`` and ``failures`` are taken out
    of records that stay. ``paths`` are files and folders that go.
    """

    root: Path
    records: int = 0
    answers: int = 0
    failures: int = 0
    index_entries: int = 0
    bytes: int = 0
    examples: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    keys: tuple[str, ...] = field(default=(), repr=False)
    cuts: tuple[Cut, ...] = field(default=(), repr=False)
    seen_before: float | None = field(default=None, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.cuts or self.index_entries or self.paths)


def execute(plan: RemovalPlan) -> int:
    """Do what ``plan`` says; how many bytes of disk that freed.

    Raises:
        imgtool.errors.OutputNotWritable: the cache cannot be written. What was removed before that stays removed.
    """
    before = occupied(plan.root)
    with explained(plan.root):
        if plan.cuts:
            with closing(connect_for_writing(results_database(plan.root), create=False)) as connection:
                for start in range(0, len(plan.cuts), _ROWS_A_TRANSACTION):
                    with transaction(connection):
                        for cut in plan.cuts[start : start + _ROWS_A_TRANSACTION]:
                            _cut(connection, cut)
                        _count_removal(connection)
                _give_space_back(connection)
        if plan.seen_before is not None:
            with closing(connect_for_writing(index_database(plan.root), create=False)) as connection:
                with transaction(connection):
                    connection.execute("DELETE FROM files WHERE seen_at < ?", (plan.seen_before,))
                # The index has no automatic vacuum: it is rewritten, unless a run is using it now.
                with suppress(sqlite3.OperationalError):
                    connection.execute("VACUUM")
                _give_space_back(connection)
        for path in plan.paths:
            with suppress(FileNotFoundError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    return max(0, before - occupied(plan.root))


def removals(root: Path) -> tuple[int, int] | None:
    """Something that is another one after each removal from the result store in ``root``; ``None`` where there is none,
    or it cannot be read."""
    database = results_database(root)
    try:
        with closing(connect_for_reading(database)) as connection:
            ((count,),) = connection.execute("PRAGMA user_version").fetchall()
            return database.stat().st_ino, int(count)
    except TROUBLES:
        return None


def without(record: Record, cut: Cut) -> Record:
    """What a cut leaves of a record."""
    answers = {key: answer for key, answer in record.answers.items() if key not in (cut.answers or ())}
    return msgspec.structs.replace(record, answers=answers, failures={} if cut.failures else record.failures)


def _count_removal(connection: sqlite3.Connection) -> None:
    """Have processes see it that keep answers in memory."""
    ((count,),) = connection.execute("PRAGMA user_version").fetchall()
    connection.execute(f"PRAGMA user_version = {(int(count) + 1) % (1 << 31)}")


def _cut(connection: sqlite3.Connection, cut: Cut) -> None:
    if cut.answers is None:
        connection.execute("DELETE FROM Cache WHERE rowid = ? AND store_time IS ?", cut[:2])
        return
    row = connection.execute("SELECT value FROM Cache WHERE rowid = ? AND store_time IS ?", cut[:2]).fetchone()
    with suppress(*UNREADABLE):
        if row is not None and (record := decode(row[0])) is not None:
            kept = encode(without(record, cut))
            connection.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (kept, cut.rowid))


def _give_space_back(connection: sqlite3.Connection) -> None:
    """Bring the file down to what it holds, which readers may put off."""
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
