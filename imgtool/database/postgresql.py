"""Results in a PostgreSQL server, in a schema of their own (``imgtool``).

The words of the index are made by :mod:`imgtool.database.search.words` and stored as they are, and texts that are
compared have the collation ``C``. So what is found depends neither on the server's locale nor on its text search
configurations; only the encoding of the database must be UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from imgtool.database.entry import Words as IndexWords
from imgtool.database.interface import (
    DatabaseBusy,
    DatabaseOutdated,
    DatabaseUnavailable,
    DatabaseUrlProblem,
    Found,
    Migration,
    Status,
)
from imgtool.database.migrations import TABLE, pending, refuse_pending, steps
from imgtool.database.search.query import Node
from imgtool.database.search.tsvector import SCORE, STREAMS, WINDOW, document, newest, slices, wanted
from imgtool.database.search.words import stream
from imgtool.database.tables import SqlDatabase
from imgtool.distribution import install_command
from imgtool.errors import MissingExtra

try:
    import psycopg
    from psycopg.conninfo import make_conninfo
    from psycopg.types.string import TextLoader
except ImportError as error:
    raise MissingExtra(f"PostgreSQL needs psycopg ({error})", install_command("postgresql")) from error

SCHEMA = "imgtool"

_CONNECT_SECONDS = 5
_LOCK = 0x696D67746F6F6C  # "imgtool": the advisory lock of whoever writes
_SETTINGS = {
    "search_path": f"{SCHEMA},public",
    "statement_timeout": "60s",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "120s",
    # A commit that was acknowledged survives a crash of the server; nothing is lost that cannot be had from the cache.
    "client_encoding": "UTF8",
    # Searches: pages mostly are in memory, documents, which are stored apart, are slow to read one after the other, and
    # compilation and parallel workers take longer to start than a search.
    "random_page_cost": "1.1",
    "enable_seqscan": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}


class PostgresqlDatabase(SqlDatabase):
    """The database that ``url`` names."""

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url
        self.place, self._said_url = _without_password(url)
        self._connection: psycopg.Connection[Any] | None = None

    def connect(self, *, write: bool = True, create: bool = False, check: bool = True) -> None:
        self._reconnect()
        if not check:
            return
        try:
            with self._guarded():
                left = pending(steps(self.kind), self._applied(), self.place)
                if create and left:
                    self.migrate()
                else:
                    refuse_pending(left, self.place, self._said_url)
        except BaseException:
            self.close()
            raise

    def _reconnect(self) -> None:
        self.close()
        try:
            options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
            self._connection = psycopg.connect(
                make_conninfo(self._url, options=options, connect_timeout=_CONNECT_SECONDS, **_KEEPALIVE),
                autocommit=True,
            )
            # JSON is decoded by imgtool itself.
            self._connection.adapters.register_loader("jsonb", TextLoader)
            encoding = self._connection.info.parameter_status("server_encoding")
        except psycopg.ProgrammingError as error:
            raise DatabaseUrlProblem(f"{self.place}: {_one_line(error)}", "postgresql://user@host/name") from error
        except psycopg.Error as error:
            raise DatabaseBusy(
                f"{self.place} cannot be reached: {_one_line(error)}",
                "check that the server runs and the URL is right; passwords may be in ~/.pgpass or PGPASSWORD",
            ) from error
        if encoding != "UTF8":
            self.close()
            raise DatabaseOutdated(
                f"{self.place} has the encoding {encoding}, which cannot hold every text",
                "create one that can: createdb --encoding UTF8 --template template0 NAME",
            )

    def migrate(self) -> tuple[Migration, ...]:
        if self._connection is None:
            self._reconnect()
        taken = []
        with self._guarded():
            # A step may rewrite tables, and who comes second waits for it.
            self._rows("SET statement_timeout = 0")
            self._rows("SET lock_timeout = '30min'")
            with self._writing():
                self._rows(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                self._rows(
                    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{TABLE} (number integer PRIMARY KEY, name text NOT NULL,"
                    " checksum text NOT NULL, applied_at double precision NOT NULL)"
                )
                for step in pending(steps(self.kind), self._applied(), self.place):
                    self._open_connection().execute(step.sql.encode())
                    self._note_step(step)
                    taken.append(step.migration)
            self._rows("RESET statement_timeout")
            self._rows("RESET lock_timeout")
        return tuple(taken)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()

    # -- searching

    def find(self, query: Node, paths: Sequence[str] = (), limit: int | None = None) -> Found:
        window = None if limit is None else max(WINDOW, limit)
        ranked = " | ".join(sorted(set(wanted(query))))
        found: list[tuple[int, float]] = []
        with self._guarded():
            for within in [""] if window is None else slices(self._last_id("results")):
                if (inner := newest(query, paths, window, within)) is None:
                    continue
                score = SCORE if ranked else "0::float8"
                sql = f"SELECT h.id, {score} FROM ({inner.sql}) h"
                sql += " JOIN words w ON w.result_id = h.result_id" if ranked else ""
                values = (ranked, *inner.values) if ranked else inner.values
                # How it is done best depends on how frequent a word is: no plan is kept.
                found = self._open_connection().execute(_placed(sql), values, prepare=False).fetchall()
                if window is not None and len(found) > window:
                    break
        return Found.best(found, window, limit)

    # -- what the tables need

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            broken = self._connection is None or self._connection.broken
            if broken:
                self.close()
            # Of this class are lost connections, shutdowns, timeouts and locks.
            kind = DatabaseBusy if broken or isinstance(error, psycopg.OperationalError) else DatabaseUnavailable
            raise kind(
                f"{self.place}: {_one_line(error)}",
                "check that the server runs" if broken else "see its log, and `imgtool database status`",
            ) from error

    def _open_connection(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise DatabaseBusy(f"{self.place} is not connected", "check that the server runs")
        return self._connection

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        cursor = self._open_connection().execute(_placed(sql), values)
        return cursor.fetchall() if cursor.description is not None else []

    def _pairs(self, sql: str, values: Sequence[Any] = ()) -> dict[str, str]:
        return dict(self._rows(sql, values))

    def _stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        connection = self._open_connection()
        with connection.transaction(), connection.cursor(name="imgtool") as cursor:
            cursor.itersize = 200
            cursor.execute(_placed(sql), values)
            yield from cursor

    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            with self._open_connection().cursor() as cursor:
                cursor.executemany(_placed(sql), rows)

    def _insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        with self._open_connection().cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        connection = self._open_connection()
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            yield

    def _among(self, values: Sequence[Any]) -> tuple[str, Any]:
        kind = "bigint" if values and isinstance(values[0], int) else "text"
        return f"= ANY (?::{kind}[])", list(values)

    def _write_words(self, numbered: Sequence[tuple[int, IndexWords]], replaced: Sequence[int]) -> None:
        self._remove_index("words", replaced)
        by_name = [(number, {name: getattr(words, name) for name in STREAMS}) for number, words in numbered]
        self._insert(
            "words",
            f"result_id, document, {', '.join(STREAMS)}",
            [
                (number, document(streams, number), *(f" {each} " for each in streams.values()))
                for number, streams in by_name
            ],
        )

    def _write_paths(self, numbered: Sequence[tuple[int, str]]) -> None:
        rows = [(number, stream(path)) for number, path in numbered]
        self._insert(
            "paths",
            "file_id, document, path",
            [(number, document({"path": words}), f" {words} ") for number, words in rows],
        )

    def _remove_index(self, table: str, ids: Sequence[int]) -> None:
        # The index of what is deleted goes with it.
        if table == "words":
            self._many("DELETE FROM words WHERE result_id = ?", [(each,) for each in ids])

    def _has_table(self, name: str) -> bool:
        return self._rows("SELECT to_regclass(?) IS NOT NULL", (f"{SCHEMA}.{name}",)) == [(True,)]

    # -- status

    def status(self, *, thorough: bool = False) -> Status:
        with self._guarded():
            applied = self._applied()
            left = pending(steps(self.kind), applied, self.place)
            ((version,),) = self._rows("SHOW server_version")
            size = self._rows(
                "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relkind = 'r'",
                (SCHEMA,),
            )
            return Status(
                kind=self.kind,
                place=self.place,
                version=version,
                bytes=int(size[0][0]),
                counts=self._counts() if not left else {},
                applied=applied,
                pending=tuple(step.migration for step in left),
                trouble=tuple(self._troubles()) if thorough and not left else (),
            )

    def _troubles(self) -> Iterator[str]:
        for what, sql in _SHOULD_BE_NONE.items():
            ((count,),) = self._rows(sql)
            if count:
                yield f"{count} {what}"


_SHOULD_BE_NONE = {
    f"results without a row in {table}": (
        f"SELECT count(*) FROM results r WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE t.result_id = r.id)"
    )
    for table in ("answers", "words")
} | {
    "files that are not indexed": (
        "SELECT count(*) FROM files f WHERE NOT EXISTS (SELECT 1 FROM paths p WHERE p.file_id = f.id)"
    ),
    "results with another number of lines": (
        "SELECT count(*) FROM results r WHERE line_count <> (SELECT count(*) FROM lines l WHERE l.result_id = r.id)"
    ),
}


# --------------------------------------------------------------------------------------------------------------------


def _placed(sql: str) -> Any:
    return sql.replace("%", "%%").replace("?", "%s").encode()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _without_password(url: str) -> tuple[str, str | None]:
    """``url`` to be shown, and to be pasted where it has no secret."""
    parts = urlsplit(url)
    secret = "password" in parts.query.lower() or parts.password is not None
    if not secret:
        return url, url
    host = parts.netloc.rpartition("@")[2]
    name = f"{parts.username}@" if parts.username else ""
    return urlunsplit((parts.scheme, f"{name}{host}", parts.path, "", "")), None
