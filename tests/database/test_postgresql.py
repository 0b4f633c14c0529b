"""What only PostgreSQL needs: addresses without passwords, words as tsvector and tsquery."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imgtool.database.postgresql import PostgresqlDatabase, _document, _tsquery
from imgtool.database.search.words import Phrase


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


def test_documents_have_positions_and_weights() -> None:
    assert _document({"text": "one way one", "labels": "sign"}) == "'one':1,3 'way':2 'sign':4B"


def test_a_document_ends_before_the_limit_of_postgresql() -> None:
    words = " ".join(f"word{number:08}" for number in range(100_000))
    assert len(_document({"text": words}).encode()) < 2**21
    assert _document({"text": " ".join(["again"] * 1000)}).count(",") == 249


def test_all_words_of_a_phrase_are_wanted() -> None:
    phrase = Phrase.of("one way")
    assert phrase is not None
    assert _tsquery(phrase) == "'one' & 'way'"


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
