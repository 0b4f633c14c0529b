"""Reading text off a recogniser's answer (connectionist temporal classification), with EasyOCR's three decoders.

Class 0 is the blank; class *n* is character *n* - 1. Numbers stay numpy's float32 scalars throughout: what is kept of
two beams that are nearly as probable depends on how they are rounded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLANK = 0
_DICTIONARY_BEAMS = 20
"""How many of the most probable readings are looked up in the word list."""

_Labels = tuple[int, ...]


def probabilities(logits: NDArray[np.float32], ignored: Sequence[int]) -> NDArray[np.float32]:
    """(..., C) float32 that sum to 1 over the classes, those of ``ignored`` 0."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = shifted / shifted.sum(axis=-1, keepdims=True)
    shares[..., list(ignored)] = 0.0
    with np.errstate(invalid="ignore"):
        divided: NDArray[np.float32] = shares / shares.sum(axis=-1, keepdims=True)
    return divided


def confidence(shares: NDArray[np.float32]) -> float:
    """EasyOCR's confidence of a reading: the best shares of the steps that are no blank, multiplied and tempered.

    ``shares`` is (T, C) float32. 0 where every step is blank.
    """
    best = shares.max(axis=1)[shares.argmax(axis=1) != BLANK]
    if not len(best):
        return 0.0
    with np.errstate(under="ignore"):
        return float(best.prod() ** (2.0 / np.sqrt(len(best))))


def decode_greedy(shares: NDArray[np.float32], characters: str) -> str:
    """The most probable class of each step, repetitions and blanks left out. ``shares`` is (T, C)."""
    best = shares.argmax(axis=1)
    kept: NDArray[np.bool_] = np.ones(len(best), dtype=bool)
    kept[1:] = best[1:] != best[:-1]
    return "".join(characters[label - 1] for label in best[kept & (best != BLANK)].tolist())


def decode_beams(
    shares: NDArray[np.float32], characters: str, beam_width: int, words: Collection[str] = frozenset()
) -> str:
    """The most probable text over all ways to write it, following ``beam_width`` beginnings. ``shares`` is (T, C).

    With ``words``, the most probable of the first twenty readings that is one of them, if there is one.
    """
    ranked = _ranked(_beams(shares, beam_width))
    if not words:
        return _text(ranked[0], characters)
    readings = [_text(labels, characters) for labels in ranked[:_DICTIONARY_BEAMS]]
    return next((reading for reading in readings if reading in words), readings[0])


def decode_words(shares: NDArray[np.float32], characters: str, beam_width: int, words: Collection[str]) -> str:
    """Word by word: the steps between those that are most probably a space are decoded by themselves."""
    is_word = shares.argmax(axis=1) != characters.rindex(" ") + 1
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_word, [False])).astype(np.int8))).tolist()
    runs = zip(edges[0::2], edges[1::2], strict=True)
    return " ".join(decode_beams(shares[start:stop], characters, beam_width, words) for start, stop in runs)


class _Beam:
    """The probability of all ways to write one beginning: in all, and of those that end with a blank."""

    __slots__ = ("blank", "other", "total")

    def __init__(self, total: Any = 0, other: Any = 0, blank: Any = 0) -> None:
        self.total, self.other, self.blank = total, other, blank


def _beams(shares: NDArray[np.float32], beam_width: int) -> dict[_Labels, _Beam]:
    beams: dict[_Labels, _Beam] = {(): _Beam(total=1, blank=1)}
    for step in shares:
        kept = _ranked(beams)[:beam_width]
        likely = np.flatnonzero(step >= 0.5 / len(step)).tolist()
        beams = _extended({labels: beams[labels] for labels in kept}, step, likely)
    return beams


def _extended(beams: dict[_Labels, _Beam], step: NDArray[np.float32], likely: list[int]) -> dict[_Labels, _Beam]:
    """``beams`` after one more ``step``: as they were, and with each of the ``likely`` classes added."""
    after: dict[_Labels, _Beam] = {}
    for labels, beam in beams.items():
        repeated = beam.other * step[labels[-1]] if labels else 0
        silent = beam.total * step[BLANK]
        same = after.setdefault(labels, _Beam())
        same.other += repeated
        same.blank += silent
        same.total += silent + repeated
        for label in likely:
            before = beam.blank if labels and labels[-1] == label else beam.total
            share = step[label] * before
            longer = after.setdefault(_appended(labels, label), _Beam())
            longer.other += share
            longer.total += share
    return after


def _appended(labels: _Labels, label: int) -> _Labels:
    """``labels`` and one more, a blank being kept only where it ends them or stands between two of the same class."""
    if label == BLANK:
        return labels if not labels or labels[-1] == BLANK else (*labels, BLANK)
    if labels and labels[-1] == BLANK and labels[-2] != label:
        return (*labels[:-1], label)
    return (*labels, label)


def _ranked(beams: dict[_Labels, _Beam]) -> list[_Labels]:
    return sorted(beams, key=lambda labels: beams[labels].total, reverse=True)


def _text(labels: _Labels, characters: str) -> str:
    pairs = zip((None, *labels), labels, strict=False)
    return "".join(characters[label - 1] for before, label in pairs if label not in (BLANK, before))
