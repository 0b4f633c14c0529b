"""Which database a command uses: the one that was named, or the embedded one of its cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from imgtool.database.interface import Database, DatabaseUnavailable, DatabaseUrlProblem, embedded_path
from imgtool.database.recorder import Recorded, Recorder
from imgtool.errors import UsageProblem
from imgtool.options import EngineOptions, cache_root

OFF = "off"
"""Instead of a URL: none."""

_EMBEDDED_PATIENCE_SECONDS = 10.0


def database_at(url: str) -> Database:
    """The database that ``url`` names, not connected yet: ``sqlite:///relative/or//absolute/path``, a path that ends
    in ``.db`` or ``.sqlite``, or ``postgresql://...``. Only the client library of its kind is imported.

    Raises:
        DatabaseUrlProblem: it names none.
        imgtool.errors.MissingExtra: it is PostgreSQL, and psycopg is not installed.
    """
    scheme, colon, rest = url.partition("://")
    if colon and scheme in ("postgresql", "postgres"):
        from imgtool.database.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(url)
    if colon and scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        path = rest[1:]
    elif not colon and Path(url).suffix in (".db", ".sqlite", ".sqlite3"):
        path = url
    else:
        shown = f"{scheme}://..." if colon else repr(url)
        raise DatabaseUrlProblem(
            f"{shown} names no database",
            "sqlite:///results.db is a file in this folder, sqlite:////data/results.db one anywhere, "
            "postgresql://user@host/name a server's",
        )
    from imgtool.database.sqlite import SqliteDatabase

    return SqliteDatabase(Path(path).expanduser(), url=url)


def choose(url: str | None, options: EngineOptions) -> tuple[Database, bool]:
    """The database, not connected yet, and whether it is the embedded one.

    Raises:
        UsageProblem: it was switched off, or the URL names none.
    """
    if url == OFF:
        raise UsageProblem("--database off leaves nothing to work on", "leave it out, or name a URL")
    if url is not None:
        return database_at(url), False
    return _embedded(cache_root(options)), True


def recorder_for(url: str | None, options: EngineOptions) -> Recorder | None:
    """A recorder for a run, or ``None`` where no database is wanted. To be made before the run opens its cache.

    Raises:
        UsageProblem: the URL names no database.
        DatabaseUnavailable: a database that was named does not answer, or has not the layout of this version.
    """
    if url == OFF or (url is None and not options.cache):
        return None
    if url is not None:
        first = database_at(url)
        # A file is made where it is named; tables in a server are its owner's to make.
        create = first.kind == "sqlite"
        first.connect(create=create)
        first.close()
        return Recorder(lambda: database_at(url), connect=lambda database: database.connect(create=create))

    root = cache_root(options)
    begins_empty = not os.path.exists(root / "results")  # noqa: PTH110 - what nobody may enter is not there

    def connect(database: Database) -> None:
        from imgtool.database import embedded

        database.connect(create=True)
        if begins_empty:
            embedded.begin_complete(database)

    def mend(database: Database, damage: DatabaseUnavailable) -> None:
        from imgtool.database import embedded

        embedded.set_aside(database, damage)

    return Recorder(lambda: _embedded(root), patience=_EMBEDDED_PATIENCE_SECONDS, connect=connect, mend=mend)


def missing(recorded: Recorded) -> DatabaseUnavailable | None:
    """What a run that named its database has to say where not everything got there."""
    if not recorded.missing:
        return None
    return DatabaseUnavailable(
        f"{recorded.missing:,} of {recorded.missing + recorded.written + recorded.known:,} results are not in the "
        f"database: {recorded.trouble}",
        "run the same command again: results come from the cache, and the database gets what is missing",
    )


def _embedded(root: Path) -> Database:
    from imgtool.database.sqlite import SqliteDatabase

    return SqliteDatabase(embedded_path(root))
