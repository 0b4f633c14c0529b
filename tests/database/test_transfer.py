"""Export and import, back-up and restore: what comes back is what went."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from imgtool.database.interface import Database
from imgtool.database.locate import database_at
from imgtool.database.tables import chunks
from imgtool.database.transfer import ImportProblem, export, import_into
from imgtool.formats.jsonout import JsonLinesWriter
from tests.database.kept import everything, paths, said
from tests.database.records import Records
from tests.database.servers import Server


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with a little of everything."""
    for part in chunks(Records(9, words=300).many(60)):
        database.write(part)
    database.write([said("/gone.png", "nul \0 here", sha=1), said("/copy.png", "nul \0 here", sha=1)])
    database.mark_gone([number for number, path, _ in database.files() if path == "/gone.png"])
    return database


@pytest.fixture
def other(tmp_path: Path, server: Server) -> Iterator[dict[str, Database]]:
    """An empty database of each kind."""
    made = {
        "sqlite": database_at(f"sqlite:///{tmp_path / 'other.db'}"),
        "postgresql": database_at(server.create(f"other_{tmp_path.name.lower()[:40]}_{id(tmp_path)}")),
    }
    for each in made.values():
        each.connect(create=True)
    yield made
    for each in made.values():
        each.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_export_makes_an_equal_database_of_either_kind(
    filled: Database, other: dict[str, Database], kind: str
) -> None:
    written = io.BytesIO()
    assert export(filled, written) == 62
    for _ in range(2):  # importing twice changes nothing
        written.seek(0)
        assert import_into(other[kind], written) == 62
    assert everything(other[kind]) == everything(filled)
    assert other[kind].status(thorough=True).trouble == ()
    assert other[kind].status().counts == filled.status().counts
    assert paths(other[kind], "status:gone") == ["/gone.png"]


def test_results_of_analyze_can_be_imported(database: Database) -> None:
    written = io.StringIO()
    writer = JsonLinesWriter(written)
    writer.write(said("/a.png", "harbour").result)
    writer.write(said("/b.png", "pier", sha=1).result)
    assert import_into(database, io.BytesIO(written.getvalue().encode())) == 2
    assert paths(database, "harbour") == ["/a.png"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"these are no results\n", "line 1"),
        (b'{"tool":"imgtool database","schema_version":1}\n{"file":{},"result":{}}\n', "line 2"),
        (b'{"tool":"imgtool database","schema_version":99}\n', "version 99"),
        (b"\xff\xfe\n", "line 1"),
    ],
)
def test_what_is_no_export_is_refused(database: Database, data: bytes, what: str) -> None:
    with pytest.raises(ImportProblem, match=what):
        import_into(database, io.BytesIO(data))


@pytest.mark.parametrize("field", ["pages", "file_size"])
def test_a_number_that_no_column_holds_is_refused(database: Database, field: str) -> None:
    result = json.loads(msgspec.json.encode(said("/a.png", "harbour", sha=1).result))
    line = json.dumps({**result, field: 1 << 63}).encode()
    with pytest.raises(ImportProblem, match=f"line 1 cannot be imported: {field} "):
        import_into(database, io.BytesIO(line))


def test_a_back_up_of_sqlite_in_use_restores(filled: Database, tmp_path: Path) -> None:
    """As docs/database.md describes it: SQLite's own copy of a database that is being written to."""
    if filled.kind != "sqlite":
        pytest.skip("PostgreSQL has its own test")
    copy = tmp_path / "back-up.db"
    with sqlite3.connect(filled.place) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    before = everything(filled)
    filled.write([said("/later.png", "after the back-up", sha=77)])
    filled.close()
    place = Path(filled.place)
    for name in (place, place.with_name(place.name + "-wal"), place.with_name(place.name + "-shm")):
        name.unlink(missing_ok=True)
    shutil.copy(copy, place)
    filled.connect()
    assert everything(filled) == before
    assert filled.status(thorough=True).trouble == ()
    assert paths(filled, "later") == []


def test_a_back_up_of_postgresql_restores(filled: Database, server: Server, tmp_path: Path) -> None:
    """As docs/database.md describes it: pg_dump, and pg_restore into a new database."""
    if filled.kind != "postgresql":
        pytest.skip("SQLite has its own test")
    dump = tmp_path / "imgtool.dump"
    server.client("pg_dump", "--format=custom", "--schema=imgtool", "--no-owner", f"--file={dump}", "postgres")
    url = server.create(f"restored_{id(tmp_path)}")
    server.client("pg_restore", "--no-owner", f"--dbname=restored_{id(tmp_path)}", dump)
    restored = database_at(url)
    restored.connect()
    assert everything(restored) == everything(filled)
    assert restored.status(thorough=True).trouble == ()
    assert paths(restored, "bright") == paths(filled, "bright")
    restored.close()
