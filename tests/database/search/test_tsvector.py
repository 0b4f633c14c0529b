"""Words as documents of PostgreSQL, and as what is asked of their index."""

from __future__ import annotations

import pytest

from imgtool.database.search.query import parse
from imgtool.database.search.tsvector import _match, document


def test_documents_count_words_by_field() -> None:
    assert document({"labels": "sign", "text": "one way one"}, 8192) == "'#1' 'b:sign':1b 'one':1,2 'way':1"


def test_a_document_ends_before_the_limit_of_postgresql() -> None:
    words = " ".join(f"word{number:08}" for number in range(100_000))
    assert len(document({"text": words}).encode()) < 2**21
    assert document({"text": " ".join(["again"] * 1000)}).count(",") == 19


@pytest.mark.parametrize(
    ("query", "tsquery", "exact"),
    [
        ("text:one", "('one')", True),
        ("label:sign*", "('b:sign':*)", True),
        ('text:"one way"', "('one' & 'way')", False),
        ("one", "('a:one' | 'b:one' | 'c:one' | 'one')", True),
        ("text:one -text:way", "(('one') & !('way'))", True),
        ('text:one -text:"one way"', "(('one'))", False),
        ("text:one path:old", "(('one'))", False),
        ("text:one OR caption:way", "(('one') | ('c:way'))", True),
    ],
)
def test_what_the_index_is_asked(query: str, tsquery: str, exact: bool) -> None:
    assert _match(parse(query)) == (tsquery, exact)


@pytest.mark.parametrize("query", ["", "-one", "path:old", "code:8471", "one OR path:old", "-one -way", "pages:>1"])
def test_what_the_index_cannot_answer(query: str) -> None:
    assert _match(parse(query)) is None
