"""Values that anybody may have written: an answer to the very question, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imgtool.engine.cache.shared.answers import LIMIT_BYTES, Question, SharedAnswer, encode_answer, read_answer
from tests.caches import FACTS, KEY, answer

ASKED = Question(KEY, "caption", "blip-1")
GIVEN = answer("a cat")
VALUE = encode_answer(ASKED, FACTS, GIVEN) or b""


def changed(**fields: Any) -> bytes:
    """A value with other fields than it should have."""
    return msgspec.json.encode({**msgspec.json.decode(VALUE), **fields})


def test_an_answer_comes_back_as_it_was() -> None:
    assert read_answer(ASKED, VALUE) == SharedAnswer(f"{KEY}:caption:blip-1", FACTS, GIVEN)


def test_pages_tasks_and_engines_have_names_of_their_own() -> None:
    asked = [
        ASKED,
        Question(f"{KEY}#1", "caption", "blip-1"),
        Question(f"{KEY}#11", "caption", "blip-1"),
        Question(KEY, "text", "blip-1"),
        Question(KEY, "caption", "blip-2"),
        Question(f"{KEY}/thumbnail", "thumbnail", "thumbnail-1"),
        Question(f"{KEY}#1/thumbnail", "thumbnail", "thumbnail-1"),
    ]
    assert len({question.name for question in asked}) == len(asked)
    assert asked[-1].name == f"{KEY}#1:thumbnail:thumbnail-1"


def test_the_answer_to_another_question_is_none() -> None:
    for other in (ASKED._replace(record="cd" * 32), ASKED._replace(fingerprint="blip-2")):
        assert read_answer(other, VALUE) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\x80\x05\x95",
        b"\xff\xfe",
        VALUE[:-1],
        VALUE + b"x",
        b"[" * 100_000,
        changed(image=None),
        changed(answer={}),
        changed(answer={**msgspec.json.decode(VALUE)["answer"], "value": 7}),
        changed(answer={**msgspec.json.decode(VALUE)["answer"], "value": None}),
        changed(answer={**msgspec.json.decode(VALUE)["answer"], "backend": "abacus"}),
        *(
            changed(image=msgspec.to_builtins(replace(FACTS, **facts)))
            for facts in ({"width": 0}, {"height": -1}, {"pages": 0}, {"pages": 10**9}, {"shown": 1}, {"shown": -1})
        ),
    ],
)
def test_what_is_no_answer_is_none(data: bytes) -> None:
    assert read_answer(ASKED, data) is None


@given(st.binary(max_size=300))
def test_foreign_bytes_are_no_answer(data: bytes) -> None:
    assert read_answer(ASKED, data) is None


@given(st.integers(0, len(VALUE) - 1), st.integers(0, 255))
def test_a_spoilt_byte_never_raises(place: int, byte: int) -> None:
    read_answer(ASKED, VALUE[:place] + bytes([byte]) + VALUE[place + 1 :])


def test_too_large_an_answer_is_neither_written_nor_read() -> None:
    assert encode_answer(ASKED, FACTS, answer("x" * LIMIT_BYTES)) is None
    assert read_answer(ASKED, VALUE[:-1] + b" " * LIMIT_BYTES + b"}") is None
