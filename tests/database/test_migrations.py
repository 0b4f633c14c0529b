"""Layouts: numbered, checked, applied once however many come at the same time."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from imgtool.database import migrations
from imgtool.database.interface import (
    Database,
    DatabaseDamaged,
    DatabaseOutdated,
    DatabaseUnavailable,
    DatabaseUrlProblem,
)
from imgtool.database.locate import database_at
from imgtool.database.tables import SqlDatabase
from tests.database.kept import paths, said
from tests.database.processes import finish, start
from tests.database.servers import Server


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the migrations to which a test can add some."""
    folder = tmp_path / "package"
    shutil.copytree(Path(migrations.__file__).parent / "migrations", folder / "migrations")
    monkeypatch.setattr(migrations, "FOLDER", folder / "migrations")
    return folder / "migrations"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_steps_are_numbered_from_one(kind: str) -> None:
    numbers = [step.migration.number for step in migrations.steps(kind)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_database_is_brought_up_to_date_and_keeps_what_it_has(url: str, newer: Path) -> None:
    database = database_at(url)
    database.connect(create=True)
    database.write([said("/a.png", "harbour")])
    for kind in ("sqlite", "postgresql"):
        (newer / kind / "0099_more.sql").write_text("CREATE TABLE more (id integer);\nINSERT INTO more VALUES (1);\n")
    with pytest.raises(DatabaseOutdated) as caught:
        database.connect()
    assert caught.value.remedy.startswith("imgtool database migrate --database ")
    database.connect(check=False)
    assert [one.number for one in database.status().pending] == [99]
    assert [one.number for one in database.migrate()] == [99]
    assert database.migrate() == ()
    database.connect()
    assert paths(database, "harbour") == ["/a.png"]
    database.close()


def test_a_step_that_fails_leaves_nothing_of_it(url: str, newer: Path) -> None:
    database = database_at(url)
    database.connect(create=True)
    for kind in ("sqlite", "postgresql"):
        (newer / kind / "0098_first.sql").write_text("CREATE TABLE first (id integer);\n")
        (newer / kind / "0099_second.sql").write_text("CREATE TABLE second (id integer);\nNO SQL;\n")
    with pytest.raises(DatabaseUnavailable):
        database.migrate()
    database.connect(check=False)
    assert [one.number for one in database.status().pending] == [98, 99]
    for kind in ("sqlite", "postgresql"):
        (newer / kind / "0099_second.sql").write_text("CREATE TABLE second (id integer);\n")
    assert [one.number for one in database.migrate()] == [98, 99]
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(url: str, newer: Path) -> None:
    for kind in ("sqlite", "postgresql"):
        (newer / kind / "0099_more.sql").write_text("CREATE TABLE more (id integer);\n")
    database = database_at(url)
    database.connect(create=True)
    for kind in ("sqlite", "postgresql"):
        (newer / kind / "0099_more.sql").unlink()
    with pytest.raises(DatabaseOutdated, match="migration 99"):
        database.connect(create=True)
    database.close()


def test_a_step_that_was_applied_in_another_form_is_refused(url: str, newer: Path) -> None:
    database = database_at(url)
    database.connect(create=True)
    for kind in ("sqlite", "postgresql"):
        step = newer / kind / "0001_initial.sql"
        step.write_text(step.read_text() + "-- changed after it was published\n")
    with pytest.raises(DatabaseOutdated, match="another form"):
        database.connect()
    database.close()


_BEFORE_ONE_DOCUMENT = """
DROP INDEX words_document;
ALTER TABLE words RENAME COLUMN document TO text_document;
ALTER TABLE words ADD COLUMN other_document tsvector NOT NULL DEFAULT '';
UPDATE words SET text_document = $$'harbour':1,4 'welcome':2 'in':3$$, other_document = $$'sign':1B,3C 'the':2C,4C$$;
CREATE INDEX words_text ON words USING gin (text_document);
CREATE INDEX words_other ON words USING gin (other_document);
DELETE FROM migrations WHERE number = 2;
"""


def test_documents_of_text_and_of_all_else_become_one(server: Server) -> None:
    import psycopg

    database = database_at(server.url())
    database.connect(create=True)
    database.write([said("/a.png", "Harbour welcome in", "harbour", caption="The sign, the")])
    assert isinstance(database, SqlDatabase)
    lexemes = "SELECT word.lexeme, cardinality(positions), weights FROM words, unnest(document) AS word ORDER BY 1"
    before = database._rows(lexemes)
    with psycopg.connect(server.url(), options="-c search_path=imgtool") as connection:
        connection.execute(_BEFORE_ONE_DOCUMENT)
    with pytest.raises(DatabaseOutdated, match="needs 1 migration"):
        database.connect()
    assert [one.number for one in database.migrate()] == [2]
    assert database._rows(lexemes) == before
    for query in ("harbour", "label:sign", "caption:sign", '"the sign the"'):
        assert paths(database, query) == ["/a.png"]
    assert paths(database, "label:the") == []
    database.close()


def test_migrators_at_once_apply_each_step_once(url: str) -> None:
    migrate = "sys.stdin.readline(); print(len(database.migrate()))"
    processes = [start(migrate, url) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    database = database_at(url)
    known = len(migrations.steps(database.kind))
    assert sorted(int(finish(process)) for process in processes) == [0, 0, 0, known]
    database.connect()
    assert len(database.status().applied) == known
    database.close()


def test_tables_in_a_server_are_made_by_its_owner(server: Server) -> None:
    database = database_at(server.url())
    with pytest.raises(DatabaseOutdated) as caught:
        database.connect()
    assert "no tables" in str(caught.value)
    assert caught.value.remedy == f"imgtool database init --database '{server.url()}'"


def test_a_database_that_cannot_hold_every_text_is_refused(server: Server) -> None:
    url = server.create("latin", "--locale=C", "--encoding=LATIN1")
    with pytest.raises(DatabaseOutdated, match="LATIN1") as caught:
        database_at(url).connect(create=True)
    assert "createdb --encoding UTF8" in caught.value.remedy


def test_a_server_that_is_not_there(tmp_path: Path, server: Server) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
        database_at(f"postgresql://tests@/postgres?host={tmp_path}").connect()


def test_passwords_are_never_shown(server: Server) -> None:
    for secret in (
        f"postgresql://tests:swordfish@/absent?host={server.folder}",
        f"postgresql://tests@/absent?host={server.folder}&password=swordfish",
    ):
        with pytest.raises(DatabaseUnavailable) as caught:
            database_at(secret).connect()
        assert "swordfish" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "sqlite:///", "results.txt", "postgresql:/x"])
def test_urls_that_name_no_database(url: str) -> None:
    with pytest.raises(DatabaseUrlProblem) as caught:
        database_at(url)
    assert "sqlite:///results.db" in caught.value.remedy


def test_paths_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert database_at("sqlite:///here.db").place == str(tmp_path / "here.db")
    assert database_at(f"sqlite:///{tmp_path}/there.db").place == str(tmp_path / "there.db")
    assert database_at("here.sqlite").place == str(tmp_path / "here.sqlite")


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("these are my notes, and they are long enough to be taken for a page of something\n" * 100)
    before = file.read_bytes()
    with pytest.raises(DatabaseDamaged):
        database_at(str(file)).connect(create=True)
    assert file.read_bytes() == before


def test_the_tables_of_another_program_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE files (id INTEGER)")
    connection.close()
    with pytest.raises(DatabaseUnavailable):
        database_at(str(file)).connect(create=True)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)
    connection.close()


def test_status_of_a_whole_database(database: Database) -> None:
    database.write([said("/a.png", "harbour", "pier")])
    status = database.status(thorough=True)
    assert status.counts == {"files": 1, "results": 1, "lines": 2, "labels": 2, "codes": 0, "gone": 0}
    assert status.applied[0].name == "initial"
    assert (status.pending, status.trouble) == ((), ())
    assert status.bytes > 0


def test_status_finds_what_is_missing(database: Database) -> None:
    database.write([said("/a.png", "harbour", "pier")])
    database._many("DELETE FROM lines WHERE number = ?", [(1,)])  # type: ignore[attr-defined]
    assert database.status(thorough=True).trouble == ("1 results with another number of lines",)
