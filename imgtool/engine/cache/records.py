"""What is kept of an image: one record under the SHA-256 of its bytes, with every answer ever given about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from imgtool.types import Backend, Problem

RECORD_VERSION = 1
"""Version of :class:`Record` as JSON. A record of another version counts as absent."""

DOCUMENTS = frozenset({"TIFF", "PDF"})

DECODE_FAILURE = "decode"
"""Key under which a record keeps why a file could not be decoded."""


class ImageFacts(Struct, frozen=True):
    """The facts about an image that decoding found. Sizes are pixels of the upright image, and bytes of the file.

    ``shown`` is the page to look at instead of this one, ``notice`` what the user should know about the pixels.
    """

    format: str
    width: int
    height: int
    pages: int
    file_size: int
    shown: int = 0
    notice: str | None = None

    @property
    def is_document(self) -> bool:
        """Whether its pages are to be read one after the other, unlike the frames of an animation."""
        return self.format in DOCUMENTS


class StoredAnswer(Struct, frozen=True):
    """An answer as JSON, and who gave it. ``seconds`` is what it took, ``stored_at`` seconds since 1970."""

    value: msgspec.Raw
    engine: str
    model: str
    model_version: str
    backend: Backend
    seconds: float
    stored_at: float


class Record(Struct, frozen=True):
    """Everything known about an image. Answers and failures go by fingerprint, a failure also by "decode"."""

    version: int
    image: ImageFacts | None
    answers: dict[str, StoredAnswer]
    failures: dict[str, Problem] = {}


class Update(Struct):
    """What was learnt about the image ``key``. ``image`` may be ``None`` where nothing is new. ``tasks`` says, by
    fingerprint, which task each answer is to; without that it is not shared."""

    key: str
    image: ImageFacts | None
    answers: dict[str, StoredAnswer]
    failures: dict[str, Problem]
    tasks: dict[str, str] = {}


class Tier(Protocol):
    """One level of the result store: this machine's disk, its memory, or one that is shared.

    Records go by key: an image's SHA-256, with ``#<page>`` for later pages and ``/thumbnail`` for its picture. No
    method raises for what is wrong with a tier: that is a miss, or a write that is dropped.
    """

    @property
    def enabled(self) -> bool:
        """Whether answers can at least be looked up."""

    def get_many(self, keys: Sequence[str]) -> dict[str, Record]:
        """The records of a window of images, those that there are: one look, however many are asked for."""

    def merge(self, updates: Iterable[Update]) -> None:
        """Add what is new to the records, whatever others add to them meanwhile."""

    def claim(self, keys: Sequence[str]) -> set[str]:
        """Say that these images are being computed; those of which another process has said so."""

    def release(self, keys: Iterable[str]) -> None:
        """Take that back."""

    def entries(self) -> int:
        """Number of records."""

    def bytes(self) -> int:
        """Size in bytes."""

    def close(self) -> None:
        """Close it; what is looked up afterwards is a miss."""


class _Versioned(Struct):
    version: int


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError)
"""What :func:`decode` raises for values that are no records."""

encode: Callable[[Record], bytes] = msgspec.json.Encoder().encode
"""The bytes of a row."""

_decode_record = msgspec.json.Decoder(Record).decode
_decode_version = msgspec.json.Decoder(_Versioned).decode


def decode(data: Any) -> Record | None:
    """The record in the value of a row; ``None`` where it is of another version.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, TypeError: it is no record. See :data:`UNREADABLE`.
    """
    try:
        record = _decode_record(data)
    except msgspec.DecodeError:
        if _decode_version(data).version != RECORD_VERSION:
            return None
        raise
    return record if record.version == RECORD_VERSION else None


def merged(former: Record | None, update: Update) -> Record:
    """``former`` with what is new. An answer clears the failures that it disproves, and a later failure is no news
    where there is an answer."""
    if former is None:
        former = Record(RECORD_VERSION, None, {})
    answers = {**former.answers, **update.answers}
    disproved = answers.keys() | ({DECODE_FAILURE} if update.answers else set())
    failures = {key: problem for key, problem in former.failures.items() if key not in disproved}
    failures.update({key: problem for key, problem in update.failures.items() if key not in answers})
    return Record(RECORD_VERSION, update.image or former.image, answers, failures)


def without_old(record: Record, ttl: float | None, now: float) -> Record:
    """``record`` without answers that were given more than ``ttl`` seconds before ``now``."""
    if ttl is None:
        return record
    answers = {key: answer for key, answer in record.answers.items() if answer.stored_at >= now - ttl}
    return Record(record.version, record.image, answers, record.failures)
