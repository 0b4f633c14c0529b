"""What is wrong with a database, told by SQLite's and the system's own codes."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import diskcache
import pytest

from imgtool.engine.cache.sqlite import Trouble, connect_for_reading, connect_for_writing, diagnose
from imgtool.ground.transaction import transaction


def raised(statement: str, *connections: sqlite3.Connection) -> sqlite3.Error:
    with pytest.raises(sqlite3.Error) as caught:
        connections[-1].execute(statement)
    return caught.value


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with connect_for_writing(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    return path


def test_a_lock(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.engine.cache.sqlite.TIMEOUT_SECONDS", 0.0)
    first, second = connect_for_writing(database), sqlite3.connect(database, timeout=0, isolation_level=None)
    with transaction(first):
        error = raised("BEGIN IMMEDIATE", second)
        assert diagnose(error) is Trouble.LOCKED
    first.close()
    second.close()


def test_damage_and_what_is_no_database_at_all(database: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database, but long enough to be looked at" * 100)
    connection = sqlite3.connect(text)
    assert diagnose(raised("SELECT * FROM sqlite_master", connection)) is Trouble.CORRUPT
    connection.close()
    content = bytearray(database.read_bytes())
    content[100:200] = b"\xff" * 100
    database.write_bytes(content)
    connection = sqlite3.connect(database)
    assert diagnose(raised("SELECT * FROM t", connection)) is Trouble.CORRUPT
    connection.close()


def test_a_connection_for_reading_does_not_write(database: Path) -> None:
    connection = connect_for_reading(database)
    assert diagnose(raised("INSERT INTO t VALUES (1)", connection)) is Trouble.READ_ONLY
    connection.close()


def test_a_full_disk(database: Path) -> None:
    connection = connect_for_writing(database)
    connection.execute("PRAGMA max_page_count = 2")
    error = raised("INSERT INTO t SELECT zeroblob(100000)", connection)
    assert diagnose(error) is Trouble.FULL
    connection.close()


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (OSError(errno.ENOSPC, "no space"), Trouble.FULL),
        (OSError(errno.EROFS, "read-only"), Trouble.READ_ONLY),
        (PermissionError(errno.EACCES, "denied"), Trouble.DENIED),
        (OSError("without a number"), Trouble.OTHER),
        (ValueError("planted"), Trouble.OTHER),
        (sqlite3.ProgrammingError("raised by the module itself"), Trouble.OTHER),
        (diskcache.Timeout(), Trouble.LOCKED),
    ],
)
def test_kinds_of_trouble(error: Exception, trouble: Trouble) -> None:
    assert diagnose(error) is trouble


def test_the_cause_behind_an_error_tells_more_than_the_error() -> None:
    try:
        try:
            raise OSError(errno.EIO, "planted")
        except OSError as cause:
            raise diskcache.Timeout from cause
    except diskcache.Timeout as error:
        assert diagnose(error) is Trouble.DISK
