"""Results in one SQLite file, searched through FTS5. The embedded database is this, in the cache folder."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imgtool.database.entry import Words as IndexWords
from imgtool.database.interface import DatabaseBusy, DatabaseDamaged, DatabaseUnavailable, Found, Migration, Status
from imgtool.database.migrations import TABLE, init_command, pending, refuse_pending, steps
from imgtool.database.tables import SqlDatabase
from imgtool.ground.home import mended_by
from imgtool.ground.transaction import transaction

if TYPE_CHECKING:
    from imgtool.database.search.query import Node

TIMEOUT_SECONDS = 5.0
"""How long another process that writes is waited for."""

CACHE_KIB = 4_000
"""Pages that a connection keeps in memory."""

_CREATE_MIGRATIONS = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
    " applied_at REAL NOT NULL)"
)


class SqliteDatabase(SqlDatabase):
    """The database in the file ``path``."""

    kind = "sqlite"

    def __init__(self, path: Path, *, url: str | None = None) -> None:
        self.path = path.absolute()
        self.place = str(self.path)
        self._url = url
        self._connection: sqlite3.Connection | None = None

    def connect(self, *, write: bool = True, create: bool = False, check: bool = True) -> None:
        self.close()
        with self._guarded():
            if create:
                _make_private(self.path)
            elif not self.path.exists():
                raise DatabaseUnavailable(f"{self.place} does not exist", init_command("init", self._url))
            try:
                self._open(write=write or create)
                if check:
                    left = pending(steps(self.kind), self._applied(), self.place)
                    if create and left:
                        self._migrate()
                    else:
                        refuse_pending(left, self.place, self._url)
            except BaseException:
                self.close()
                raise

    def _open(self, *, write: bool) -> None:
        ways = ["mode=rw"]
        if not write:
            # A disk that may not be written: without a log, nobody changes what is read there.
            log = self.path.with_name(self.path.name + "-wal")
            ways += ["mode=ro", *([] if log.exists() else ["mode=ro&immutable=1"])]
        for way in ways:
            self._connection = connection = sqlite3.connect(
                f"{self.path.as_uri()}?{way}",
                uri=True,
                timeout=TIMEOUT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.execute("PRAGMA foreign_keys = 1")
                # A mapped file that is cut short under a reader is a SIGBUS.
                connection.execute("PRAGMA mmap_size = 0")
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                if write:
                    connection.execute("PRAGMA journal_mode = wal")
                    connection.execute("PRAGMA synchronous = normal")
                    # Fewer, larger checkpoints: each waits for the disk, which the run needs, too.
                    connection.execute("PRAGMA wal_autocheckpoint = 4000")
                connection.execute("SELECT count(*) FROM sqlite_master")
                return
            except sqlite3.OperationalError:
                connection.close()
                if way == ways[-1]:
                    raise

    def _mended_by(self, words: str) -> str:
        if "locked" in words:
            return "nothing, if the process that holds it ends; else end it"
        if "full" in words or "space" in words:
            return "free some space, or name another file with --database"
        if self._url is None:  # that of the cache folder
            return mended_by(self.path.parent.parent, read_only="read-only" in words.lower())
        return "check that its folder exists and may be written, or name another file with --database"

    def migrate(self) -> tuple[Migration, ...]:
        with self._guarded():
            if self._connection is None:
                _make_private(self.path)
                self._open(write=True)
            return self._migrate()

    def _migrate(self) -> tuple[Migration, ...]:
        taken = []
        with self._writing():
            self._rows(_CREATE_MIGRATIONS)
            for step in pending(steps(self.kind), self._applied(), self.place):
                for statement in _statements(step.sql):
                    self._rows(statement)
                self._note_step(step)
                taken.append(step.migration)
        return tuple(taken)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # -- searching

    def find(self, query: Node, paths: Sequence[str] = (), limit: int | None = None) -> Found:
        # A run writes and never searches: it does without this part.
        from imgtool.database.search.fts5 import WINDOW, statement

        window = None if limit is None else max(WINDOW, limit)
        sql, values = statement(query, paths, window)
        with self._guarded():
            found = self._rows(sql, values)
        return Found.best(found, window, limit)

    # -- what the tables need

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            words = str(error)
            if "malformed" in words or "not a database" in words or "corrupt" in words:
                raise DatabaseDamaged(
                    f"{self.place} is damaged ({error})",
                    "restore a back-up (docs/database.md); the embedded database is built anew by the next search",
                ) from error
            kind = DatabaseBusy if "locked" in words or "busy" in words else DatabaseUnavailable
            raise kind(f"{self.place}: {error}", self._mended_by(words)) from error
        except (sqlite3.Warning, OSError) as error:
            raise DatabaseUnavailable(f"{self.place}: {error}", self._mended_by(str(error))) from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise DatabaseUnavailable(f"{self.place} is not open", "connect() first")
        return self._connection

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._open_connection().execute(sql, values).fetchall()

    def _pairs(self, sql: str, values: Sequence[Any] = ()) -> dict[str, str]:
        # As one value: for each row that it steps to, sqlite3 lets another thread run, and may have to wait for it.
        ((found,),) = self._rows(f"SELECT json_group_object(name, value) FROM ({sql})", values)
        pairs: dict[str, str] = msgspec.json.decode(found)
        return pairs

    def _stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        with closing(self._open_connection().execute(sql, values)) as cursor:
            yield from cursor

    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self._open_connection().executemany(sql, rows)

    def _insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        places = ", ".join("?" * len(columns.split(",")))
        self._many(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)

    def _writing(self) -> AbstractContextManager[None]:
        return transaction(self._open_connection())

    def _among(self, values: Sequence[Any]) -> tuple[str, Any]:
        return "IN (SELECT value FROM json_each(?))", json.dumps(list(values))

    def _write_words(self, numbered: Sequence[tuple[int, IndexWords]], replaced: Sequence[int]) -> None:
        self._remove_index("words", replaced)
        self._insert(
            "words",
            "rowid, text, caption, labels, codes",
            [(number, words.text, words.caption, words.labels, words.codes) for number, words in numbered],
        )

    def _write_paths(self, numbered: Sequence[tuple[int, str]]) -> None:
        from imgtool.database.search.words import stream

        self._insert("paths", "rowid, path", [(number, stream(path)) for number, path in numbered])

    def _remove_index(self, table: str, ids: Sequence[int]) -> None:
        self._many(f"DELETE FROM {table} WHERE rowid = ?", [(each,) for each in ids])

    def _has_table(self, name: str) -> bool:
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))

    # -- status

    def status(self, *, thorough: bool = False) -> Status:
        with self._guarded():
            applied = self._applied()
            left = pending(steps(self.kind), applied, self.place)
            return Status(
                kind=self.kind,
                place=self.place,
                version=sqlite3.sqlite_version,
                bytes=sum(_size(self.path, suffix) for suffix in ("", "-wal")),
                counts=self._counts() if not left else {},
                applied=applied,
                pending=tuple(step.migration for step in left),
                trouble=tuple(self._troubles()) if thorough and not left else (),
            )

    def _troubles(self) -> Iterator[str]:
        for (line,) in self._rows("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield str(line)
        for table in ("words", "paths"):
            try:
                self._rows(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")
            except sqlite3.DatabaseError as error:
                yield f"index of {table}: {error}"
        for what, sql in _SHOULD_BE_NONE.items():
            ((count,),) = self._rows(sql)
            if count:
                yield f"{count} {what}"


_SHOULD_BE_NONE = {
    "results without an answer": "SELECT count(*) FROM results WHERE id NOT IN (SELECT result_id FROM answers)",
    "results that are not indexed": "SELECT count(*) FROM results WHERE id NOT IN (SELECT rowid FROM words)",
    "indexed results that are not there": "SELECT count(*) FROM words WHERE rowid NOT IN (SELECT id FROM results)",
    "files that are not indexed": "SELECT count(*) FROM files WHERE id NOT IN (SELECT rowid FROM paths)",
    "indexed files that are not there": "SELECT count(*) FROM paths WHERE rowid NOT IN (SELECT id FROM files)",
    "results with another number of lines": (
        "SELECT count(*) FROM results r WHERE line_count <> (SELECT count(*) FROM lines l WHERE l.result_id = r.id)"
    ),
}


# --------------------------------------------------------------------------------------------------------------------


def _statements(script: str) -> Iterable[str]:
    """The statements of a script. ``executescript`` would end the transaction that they must share."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _make_private(path: Path) -> None:
    """Create the folder of ``path`` for this user alone, and the file likewise: recognised text may be anybody's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _size(path: Path, suffix: str) -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return 0
