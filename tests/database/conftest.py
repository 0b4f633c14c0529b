"""Databases for the tests: an SQLite file each, and one PostgreSQL server for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgtool.database.interface import Database
from imgtool.database.locate import database_at
from tests.database.servers import Server, why_not


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    if reason := why_not():
        pytest.skip(reason)
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def server(_server: Server) -> Server:
    """A running server whose database ``postgres`` has no tables of imgtool."""
    import psycopg

    with psycopg.connect(_server.url(), autocommit=True, options="-c client_min_messages=warning") as connection:
        connection.execute("DROP SCHEMA IF EXISTS imgtool CASCADE")
    return _server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'results.db'}"
    server: Server = request.getfixturevalue("server")
    return server.url()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database of either kind, laid out and connected."""
    opened = database_at(url)
    opened.connect(create=True)
    yield opened
    opened.close()
