"""What only PostgreSQL needs: addresses without passwords, and searches that begin with what is newest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imgtool.database import postgresql
from imgtool.database.interface import Found
from imgtool.database.locate import database_at
from imgtool.database.postgresql import PostgresqlDatabase
from imgtool.database.search import tsvector
from imgtool.database.search.query import parse
from tests.database.kept import said
from tests.database.servers import Server


@pytest.mark.parametrize(
    "url, place",
    [
        ("postgresql://me@server/images", "postgresql://me@server/images"),
        ("postgresql://me:secret@server:5433/images", "postgresql://me@server:5433/images"),
        ("postgresql://server/images?password=secret", "postgresql://server/images"),
        ("postgresql://me:secret@[::1]/images?sslmode=require", "postgresql://me@[::1]/images"),
    ],
)
def test_a_place_is_shown_without_its_password(url: str, place: str) -> None:
    assert PostgresqlDatabase(url).place == place


def test_the_newest_are_ranked_however_they_are_found(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits are looked for among the newest contents first."""
    monkeypatch.setattr(tsvector, "_SLICE", 2)
    monkeypatch.setattr(postgresql, "WINDOW", 8)
    database = database_at(server.url())
    database.connect(create=True)
    texts = [f"very common{' often' * (n % 3)}{' rare' * (n % 9 == 0)}" for n in range(60)]
    database.write([said(f"/p{n:02}.png", text, sha=n) for n, text in enumerate(texts)])
    for query in ("common", "often", "rare", "com*", "-rare", "common -often", "rare OR path:p05", '"very common"'):
        # Each content has one file, so the numbers of both are in one order.
        every = sorted(database.find(parse(query)).places, reverse=True)
        assert len(every) >= 7, query
        assert database.find(parse(query), limit=5) == Found.best(every[:9], 8, 5), query
    database.close()


def test_without_psycopg_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from imgtool.errors import MissingExtra\n"
        "from imgtool.database.locate import database_at\n"
        "try: database_at('postgresql://server/images')\n"
        "except MissingExtra as error: print(error.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout
    assert "[postgresql]" in done.stdout
