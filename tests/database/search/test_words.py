"""Text as the index sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.database.search.words import Phrase, normalise, spans, stream
from tests.results import ANY_STRING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Welcome to the HARBOUR", "welcome to the harbour"),
        ("one-way, please!", "one way please"),
        ("Crème brûlée", "creme brulee"),
        ("Straße", "strasse"),
        ("8471.30", "8471 30"),
        ("snake_case", "snake case"),
        ("ＡＢＣ １２", "abc 12"),
        ("한국어 송장", "한국 국어 어 송장 장"),
        ("東京", "東京 京"),
        ("カタカナ・ﾃｽﾄ", "カタ タカ カナ ナ テス スト ト"),
        ("がぎ", "がぎ ぎ"),
        ("iPhone사진3장", "iphone 사진 진 3 장"),
        ("हिन्दी", "हिन्दी"),
        ("— … ☃", ""),
    ],
)
def test_stream(text: str, words: str) -> None:
    assert stream(text) == words


@given(ANY_STRING)
def test_a_stream_holds_nothing_that_a_query_language_could_obey(text: str) -> None:
    words = stream(text)
    assert not set(words) & set("\"'*:()&|!\\%_\0\n\t")
    assert words == " ".join(words.split(" "))


@given(ANY_STRING)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("query", "words", "open_end"),
    [
        ("harbour", ("harbour",), False),
        ("one way", ("one", "way"), False),
        ("한", ("한",), True),
        ("한국", ("한국",), False),
        ("한국어", ("한국", "국어"), False),
        ("한국 어", ("한국", "국", "어"), True),
        ("iPhone사진", ("iphone", "사진"), False),
    ],
)
def test_phrases(query: str, words: tuple[str, ...], open_end: bool) -> None:
    phrase = Phrase.of(query)
    assert phrase is not None
    assert (phrase.words, phrase.open_end) == (words, open_end)


def test_what_cannot_be_searched_for_is_no_phrase() -> None:
    assert Phrase.of("—!") is None


def marked(text: str, *queries: str, prefix: bool = False) -> str:
    phrases = tuple(phrase for query in queries if (phrase := Phrase.of(query, prefix=prefix)))
    for start, end in reversed(spans(text, phrases)):
        text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
    return text


@pytest.mark.parametrize(
    ("text", "query", "shown"),
    [
        ("The Harbour, by night", "harbour", "The [Harbour], by night"),
        ("no harbours here", "harbour", "no harbours here"),
        ("ONE\nWAY street", "one way", "[ONE\nWAY] street"),
        ("Crème brûlée", "brulee", "Crème [brûlée]"),
        ("세금송장 번호", "송장", "세금[송장] 번호"),
        ("세금송장 번호", "송장 번", "세금[송장 번]호"),
        ("Straße 5", "strasse", "[Straße] 5"),
        ("ａ１ ｂ", "a1", "[ａ１] ｂ"),
    ],
)
def test_matches_are_found_in_the_text_as_it_was(text: str, query: str, shown: str) -> None:
    assert marked(text, query) == shown


def test_a_prefix_marks_the_whole_word_and_matches_that_touch_are_one() -> None:
    assert marked("harbour harbours", "harb", prefix=True) == "[harbour] [harbours]"
    assert marked("한국어", "한국", "국어") == "[한국어]"


@given(
    st.text(st.sampled_from("ab 한국어漢字カﾅé\u0301\n-_9ⅻ"), max_size=40),
    st.text(st.sampled_from("ab한국漢9é"), min_size=1, max_size=4),
)
def test_marking_agrees_with_the_index(text: str, query: str) -> None:
    """What the pattern finds in the text is what the words find in the stream."""
    phrase = Phrase.of(query)
    if phrase is None:
        return
    wanted = " " + " ".join(phrase.words) + ("" if phrase.open_end else " ")
    assert bool(spans(text, (phrase,))) == (wanted in f" {stream(text)} ")
