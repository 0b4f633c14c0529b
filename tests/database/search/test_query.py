"""The query language: what it reads, and what it says about what it cannot read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.database.search.query import (
    AllOf,
    AnyOf,
    Between,
    Equals,
    Exact,
    In,
    Node,
    Not,
    Number,
    QueryProblem,
    Words,
    parse,
    phrases,
)
from imgtool.database.search.words import Phrase


def word(text: str, field: In = In.ANYTHING, *, prefix: bool = False) -> Words:
    phrase = Phrase.of(text, prefix=prefix)
    assert phrase is not None
    return Words(field, phrase, "".join(phrase.runs) if field is In.CODE else "")


def test_the_example_of_the_documentation() -> None:
    assert parse('harbour "one way" label:sign -path:old code:8471.30 has:text status:failed pages:>1') == AllOf(
        (
            word("harbour"),
            word("one way"),
            word("sign", In.LABEL),
            Not(word("old", In.PATH)),
            word("8471.30", In.CODE),
            Equals(Exact.HAS, "text"),
            Equals(Exact.STATUS, "failed"),
            Between(Number.PAGES, 2, None),
        )
    )


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("", AllOf(())),
        ("  ", AllOf(())),
        ("harb*", word("harb", prefix=True)),
        ('"one wa*"', word("one wa", prefix=True)),
        ('"one wa"*', word("one wa", prefix=True)),
        ("“one way”", word("one way")),
        ("a b OR c", AnyOf((AllOf((word("a"), word("b"))), word("c")))),
        ("a (b OR c)", AllOf((word("a"), AnyOf((word("b"), word("c")))))),
        ("a|b", AnyOf((word("a"), word("b")))),
        ("a AND b", AllOf((word("a"), word("b")))),
        ("NOT (a b)", Not(AllOf((word("a"), word("b"))))),
        ("--a", Not(Not(word("a")))),
        ("one-way", word("one-way")),
        ("12:30", word("12:30")),
        ("http://a.b/c", word("http://a.b/c")),
        ("or not and", AllOf((word("or"), word("not"), word("and")))),
        ("text:OR", word("OR", In.TEXT)),
        ("LABELS:sign", word("sign", In.LABEL)),
        ('path:"my photos"', word("my photos", In.PATH)),
        ("path:2024/june", word("2024/june", In.PATH)),
        ("한국 송장", AllOf((word("한국"), word("송장")))),
        ("has:labels", Equals(Exact.HAS, "labels")),
        ("has:label", Equals(Exact.HAS, "labels")),
        ("model:BLIP*", Equals(Exact.MODEL, "blip", prefix=True)),
        ("sha256:9F86", Equals(Exact.SHA256, "9f86", prefix=True)),
        ("pages:3", Between(Number.PAGES, 3, 3)),
        ("pages:2..5", Between(Number.PAGES, 2, 5)),
        ("pages:>=2", Between(Number.PAGES, 2, None)),
        ("pages:<2", Between(Number.PAGES, None, 1)),
        ("size:<=1MB", Between(Number.SIZE, None, 1_000_000)),
    ],
)
def test_what_is_read(query: str, tree: Node) -> None:
    assert parse(query) == tree


def test_dates_are_whole_years_months_or_days() -> None:
    def second(*date: int) -> float:
        return datetime(*date, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]

    assert parse("modified:2024-02") == Between(Number.MODIFIED, second(2024, 2, 1), second(2024, 3, 1) - 1)
    assert parse("modified:>2024") == Between(Number.MODIFIED, second(2025, 1, 1), None)
    assert parse("modified:2024-12-31") == Between(Number.MODIFIED, second(2024, 12, 31), second(2025, 1, 1) - 1)


@pytest.mark.parametrize(
    ("query", "place", "what", "remedy"),
    [
        ("harbour lable:sign", 9, "no field 'lable'", "did you mean label:?"),
        ("zzz:x", 1, "no field 'zzz'", "fields are"),
        ('harbour "one way', 9, "no second one", "close it"),
        ("a (b", 3, "not closed", "close it"),
        ("a b)", 4, "never opened", "leave it out"),
        ("a OR", 3, "nothing follows OR", "write what"),
        ("OR a", 1, "a word is missing", "write one"),
        ("AND a", 1, "nothing stands before", "quotes"),
        ("()", 2, "a word is missing", "write one"),
        ("NOT", 1, "nothing follows NOT", "quotes"),
        ("a ☃", 3, "nothing in it", "letters or digits"),
        ("ha*our", 3, "end of a word", "ha*"),
        ("label:", 7, "label: has no value", "label:sign"),
        ("sha256:zz", 8, "sha256: 'zz' is no hash", "sha256:9f86d0"),
        ("label: sign", 7, "label: has no value", "label:sign"),
        ("label:-sign", 7, "no minus", "-label:"),
        ("status:maybe", 8, "does not know 'maybe'", "ok, partial, failed, gone"),
        ("pages:many", 7, "no whole number", "pages:>1"),
        ("pages:5..2", 7, "5 is more than 2", "pages:2..5"),
        ("text:(a OR b)", 6, "no brackets", "(text:... OR text:...)"),
        ("size:big", 6, "not a size", "size:>1MB"),
        ("modified:2024-13", 10, "no date", "modified:2024-06"),
        ("modified:9999", 10, "no date", "modified:2024-06"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(query: str, place: int, what: str, remedy: str) -> None:
    with pytest.raises(QueryProblem) as caught:
        parse(query)
    first, shown, mark = str(caught.value).split("\n")
    assert f"at character {place}:" in first
    assert what in first
    assert remedy in caught.value.remedy
    assert shown == "  " + query
    assert mark.index("^") == 2 + place - 1


@pytest.mark.parametrize(
    ("query", "place", "shown"),
    [
        ("x " * 201, 401, "…" + "x " * 35),
        ("lable:y " + "z" * 9000, 1, "lable:y " + "z" * 62 + "…"),
        ("z" * 9000 + " lable:y " + "z" * 9000, 9002, "…" + "z" * 34 + " lable:y " + "z" * 27 + "…"),
    ],
)
def test_of_a_long_query_what_is_around_the_mistake_is_shown(query: str, place: int, shown: str) -> None:
    with pytest.raises(QueryProblem, match=f"at character {place}:") as caught:
        parse(query)
    _, line, mark = str(caught.value).split("\n")
    assert line == f"  {shown}"
    assert line[mark.index("^")] in "lx"


def test_the_mark_stands_under_wide_characters_too() -> None:
    with pytest.raises(QueryProblem) as caught:
        parse("한국 x:1")
    assert str(caught.value).split("\n")[2] == "  " + " " * 5 + "^"


@given(st.text(st.sampled_from('ab 한"()-|*:.<>=ORNTADpagespathlabelstatus☃\n'), max_size=30))
def test_whatever_is_typed_is_read_or_refused(query: str) -> None:
    try:
        parse(query)
    except QueryProblem as problem:
        assert problem.remedy


def test_what_is_to_be_marked_leaves_out_what_must_be_absent() -> None:
    assert phrases(parse('harbour -old path:x (label:sign OR "one way")')) == tuple(
        each.phrase for each in (word("harbour"), word("sign"), word("one way"))
    )
