"""Results in a PostgreSQL server, in a schema of their own (``imgtool``).

The words of the index are made by :mod:`imgtool.database.search.words` and stored as they are, and texts that are
compared have the collation ``C``. So what is found depends neither on the server's locale nor on its text search
configurations; only the encoding of the database must be UTF-8.
"""

from __future__ import annotations

from collections import Counter
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
from imgtool.database.search.conditions import SET_RESULT, Condition, begins, below, condition, joined
from imgtool.database.search.query import AllOf, AnyOf, In, Node, Not, Words
from imgtool.database.search.words import Phrase, stream
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
WINDOW = 1000
"""Hits that are ranked where only the best are asked for: `ts_rank` has to read the words of each."""
SLICE = 13
"""Bits of the number of a content that its slice does not have: a slice is 8,192 contents."""

_CONNECT_SECONDS = 5
_LOCK = 0x696D67746F6F6C  # "imgtool": the advisory lock of whoever writes
_SETTINGS = {
    "search_path": f"{SCHEMA},public",
    "statement_timeout": "60s",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "120s",
    # A commit that was acknowledged survives a crash of the server; nothing is lost that cannot be had from the cache.
    "client_encoding": "UTF8",
}
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}

_MAX_DOCUMENT_BYTES = 900_000  # of the 1 MB that a tsvector may have
_MAX_COUNT = 20
# What stands before the words of each field in a document; letters are their weights, which ts_rank takes from D to A.
_MARKS = {"codes": "a:", "labels": "b:", "caption": "c:", "text": ""}
_SCORE = "ts_rank('{0.1, 0.4, 0.4, 0.8}', w.document, ?::tsquery)"


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
        with self._guarded(), self._writing():
            self._rows(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            self._rows(
                f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{TABLE} (number integer PRIMARY KEY, name text NOT NULL,"
                " checksum text NOT NULL, applied_at double precision NOT NULL)"
            )
            for step in pending(steps(self.kind), self._applied(), self.place):
                self._open_connection().execute(step.sql.encode())
                self._note_step(step)
                taken.append(step.migration)
        return tuple(taken)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()

    # -- searching

    def find(self, query: Node, paths: Sequence[str] = (), limit: int | None = None) -> Found:
        window = None if limit is None else max(WINDOW, limit)
        ranked = " | ".join(sorted({each for words in _wanted(query) for each in _lexemes(words)}))
        found: list[tuple[int, float]] = []
        with self._guarded():
            last = self._last_id("results") >> SLICE
            newest = f"('#{last}' | '#{last - 1}')"
            # Of a frequent word the newest contents have enough hits.
            for within in ((newest,) if window is not None and last > 1 else ()) + ("",):
                if (inner := _newest(query, paths, window, within)) is None:
                    continue
                if ranked:
                    found = self._rows(
                        f"SELECT h.id, {_SCORE} FROM ({inner.sql}) h JOIN words w ON w.result_id = h.result_id",
                        (ranked, *inner.values),
                    )
                else:
                    found = [(file_id, 0.0) for file_id, _ in self._rows(*inner)]
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
        self._insert(
            "words",
            "result_id, document, text, caption, labels, codes",
            [
                (
                    number,
                    f"'#{number >> SLICE}' {_document({mark: getattr(words, name) for name, mark in _MARKS.items()})}",
                    *(f" {each} " for each in (words.text, words.caption, words.labels, words.codes)),
                )
                for number, words in numbered
            ],
        )

    def _write_paths(self, numbered: Sequence[tuple[int, str]]) -> None:
        rows = [(number, stream(path)) for number, path in numbered]
        self._insert(
            "paths",
            "file_id, document, path",
            [(number, _document({"": words}), f" {words} ") for number, words in rows],
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
# Words as tsvector and tsquery. Neither is parsed by PostgreSQL's own rules: words have letters and digits alone, so
# quotes around them are all the syntax there is.


def _document(streams: dict[str, str]) -> str:
    """A tsvector of all words, by what is to stand before those of each stream. Its positions count how often a word
    occurs, for ranking; which words follow each other is decided on the streams."""
    found = []
    size = 0
    for mark, words in streams.items():
        weight = mark[:1]
        for word, times in Counter(words.split()).items():
            count = min(times, _MAX_COUNT)
            size += len(word.encode()) + 2 * count + 6
            if size > _MAX_DOCUMENT_BYTES:
                break
            found.append(f"'{mark}{word}':{','.join([f'{place}{weight}' for place in range(1, count + 1)])}")
    return " ".join(found)


def _tsquery(phrase: Phrase, mark: str = "") -> str:
    """All words of ``phrase``, wherever they stand in the field of ``mark``."""
    return " & ".join(_words(phrase, mark))


def _words(phrase: Phrase, mark: str) -> list[str]:
    found = [f"'{mark}{word}'" for word in phrase.words]
    return [*found[:-1], found[-1] + ":*" * phrase.open_end]


def _lexemes(node: Words) -> list[str]:
    """Everything in documents that ``node`` is about."""
    return [word for mark in _marks(node) for word in _words(node.phrase, mark)]


def _wanted(node: Node) -> Iterator[Words]:
    """Everything that a query looks for in what a picture says."""
    if isinstance(node, Words) and node.field is not In.PATH:
        yield node
    elif isinstance(node, AllOf | AnyOf):
        for part in node.parts:
            yield from _wanted(part)


_STREAMS = {In.TEXT: "text", In.CAPTION: "caption", In.LABEL: "labels", In.CODE: "codes"}


def _marks(node: Words) -> list[str]:
    return [mark for name, mark in _MARKS.items() if _STREAMS.get(node.field, name) == name]


def _match(node: Node) -> tuple[str, bool] | None:
    """A tsquery that matches every document of which ``node`` is true, and whether it matches no other; ``None`` where
    there is none, or the whole index would have to be read for it."""
    if isinstance(node, Words):
        # Where codes are looked for, the table of codes has a say too.
        if node.field in (In.PATH, In.CODE):
            return None
        each = " | ".join(f"({_tsquery(node.phrase, mark)})" for mark in _marks(node))
        return f"({each})", len(node.phrase.words) == 1
    if not isinstance(node, AllOf | AnyOf):
        return None
    there = [_match(part) for part in node.parts if not isinstance(part, Not)]
    absent = [_match(part.part) for part in node.parts if isinstance(part, Not)]
    known = [each for each in there if each is not None]
    if not known or (isinstance(node, AnyOf) and (absent or None in there)):
        return None
    without = [f"!{each[0]}" for each in absent if each is not None and each[1]]
    exact = len(known) + len(without) == len(node.parts) and all(each[1] for each in known)
    sign = " & " if isinstance(node, AllOf) else " | "
    return f"({sign.join([*(each[0] for each in known), *without])})", exact


def _newest(query: Node, paths: Sequence[str], window: int | None, within: str) -> Condition | None:
    """SQL for ``(id, result_id)`` of the files that meet ``query``, newest first and one more than ``window``.

    With ``within`` only of documents that match that, too; ``None`` where that would not be faster.
    """
    match = _match(query)
    limit = "" if window is None else f" LIMIT {window + 1}"
    if isinstance(query, AnyOf) and not (match and match[1]):
        # Each part finds its own way.
        found = [each for part in query.parts if (each := _newest(part, paths, window, within)) is not None]
        if len(found) < len(query.parts):
            return None
        united = " UNION ".join(f"({part.sql})" for part in found)
        return Condition(f"{united} ORDER BY result_id DESC{limit}", tuple(v for part in found for v in part.values))
    rest: Node = query
    tables = "files f"
    values: tuple[str, ...] = ()
    if match is None:
        if within:
            return None
    else:
        parts = query.parts if isinstance(query, AllOf) else (query,)
        known = [_match(part.part if isinstance(part, Not) else part) for part in parts]
        rest = AllOf(tuple(part for part, each in zip(parts, known, strict=True) if not (each and each[1])))
        # The sum keeps PostgreSQL from going through all documents in the order of their numbers.
        tables = (
            "(SELECT result_id + 0 AS id FROM words WHERE document @@ ?::tsquery ORDER BY 1 DESC OFFSET 0) c"
            " JOIN files f ON f.result_id = c.id"
        )
        values = (match[0] + (within and f" & {within}"),)
    where = joined("AND", [condition(rest, _of_words), below(paths)])
    where = where._replace(sql=where.sql.replace(SET_RESULT, "f.result_id"))
    tables += " JOIN results r ON r.id = f.result_id" * ("r." in where.sql)
    tables += " JOIN words w ON w.result_id = f.result_id" * ("w." in where.sql)
    tables += " JOIN paths p ON p.file_id = f.id" * ("p." in where.sql)
    order = "f.result_id" if match is None else "c.id"
    return Condition(
        f"SELECT f.id, f.result_id FROM {tables} WHERE {where.sql} ORDER BY {order} DESC{limit}",
        (*values, *where.values),
    )


def _of_words(node: Words) -> Condition:
    """Words are looked for in the streams here, of a file at a time: what an index has to say was said."""
    phrase = node.phrase
    like = f"% {' '.join(phrase.words)}{'' if phrase.open_end else ' '}%"
    if node.field is In.PATH:
        return Condition("(p.document @@ ?::tsquery AND p.path LIKE ?)", (_tsquery(phrase), like))
    streams = [_STREAMS[node.field]] if node.field in _STREAMS else list(_STREAMS.values())
    found = joined("OR", [Condition(f"w.{stream} LIKE ?", (like,)) for stream in streams])
    if node.field is not In.CODE:
        return found
    code = begins("lookup", node.code)
    looked_up = "SELECT result_id FROM words w WHERE document @@ ?::tsquery AND"
    return Condition(
        f"({SET_RESULT} IN (SELECT result_id FROM codes WHERE {code.sql} UNION {looked_up} {found.sql}))",
        (*code.values, _tsquery(phrase, "a:"), *found.values),
    )


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
