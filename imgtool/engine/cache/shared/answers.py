"""Answers as they lie in the shared cache: one value an answer, under a name that says what was asked."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

from imgtool.engine.cache.answer_values import decode_answer
from imgtool.engine.cache.records import UNREADABLE, ImageFacts, StoredAnswer

PREFIX = "imgtool:1"
"""What all keys begin with; the number is that of this layout."""

LIMIT_BYTES = 1 << 20
"""Larger values are neither written nor read: a page full of text has some 100 kB."""

_MOST_PAGES = 100_000


class Question(NamedTuple):
    """One task of one page. ``record`` is the key of its record in the local store."""

    record: str
    task: str
    fingerprint: str

    @property
    def name(self) -> str:
        """The key without the part that all have in common: ``<sha256>[#<page>]:<task>:<fingerprint>``."""
        return f"{self.record.partition('/')[0]}:{self.task}:{self.fingerprint}"


class SharedAnswer(Struct, frozen=True):
    """A value. It repeats what it answers, so that no mistake of anybody's can pass it off as another's."""

    name: str
    image: ImageFacts
    answer: StoredAnswer


_decode = msgspec.json.Decoder(SharedAnswer).decode
_encode = msgspec.json.Encoder().encode


def encode_answer(question: Question, image: ImageFacts, answer: StoredAnswer) -> bytes | None:
    """The value; ``None`` where it is too large."""
    data = _encode(SharedAnswer(question.name, image, answer))
    return data if len(data) <= LIMIT_BYTES else None


def read_answer(question: Question, data: bytes) -> SharedAnswer | None:
    """The answer to ``question`` in a value that anybody may have written; ``None`` where it holds none."""
    if len(data) > LIMIT_BYTES:
        return None
    try:
        found = _decode(data)
        decode_answer(question.task, found.answer.value)
    except UNREADABLE:
        return None
    image = found.image
    possible = image.width > 0 and image.height > 0 and 0 <= image.shown < image.pages <= _MOST_PAGES
    return found if possible and found.name == question.name else None
