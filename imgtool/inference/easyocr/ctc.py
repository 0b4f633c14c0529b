"""Decodes a recogniser's output (connectionist temporal classification), with EasyOCR's three decoders.

Class 0 is the blank; class *n* is character *n* - 1. Numbers stay float32 scalars of numpy: rounding decides between
beams of nearly the same probability.
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
    """EasyOCR's confidence: the best shares of the steps that are not blank, multiplied, to a power by their number.

    ``shares`` is (T, C) float32. 0 if every step is blank.
    """
    best = shares.max(axis=1)[shares.argmax(axis=1) != BLANK]
    if not len(best):
        return 0.0
    with np.errstate(under="ignore"):
        return float(best.prod() ** (2.0 / np.sqrt(len(best))))


def decode_greedy(shares: NDArray[np.float32], characters: str) -> str:
    """The most probable class of each step, without repetitions and blanks. ``shares`` is (T, C)."""
    best = shares.argmax(axis=1)
    kept: NDArray[np.bool_] = np.ones(len(best), dtype=bool)
    kept[1:] = best[1:] != best[:-1]
    return "".join(characters[label - 1] for label in best[kept & (best != BLANK)].tolist())


def decode_beams(
    shares: NDArray[np.float32], characters: str, beam_width: int, words: Collection[str] = frozenset()
) -> str:
    """The text with the highest probability over all alignments, found with ``beam_width`` beams. ``shares`` is (T, C).

    With ``words``, the first of the twenty most probable readings that is one of them, if any is.
    """
    ranked = _ranked(_beams(shares, beam_width))
    if not words:
        return _text(ranked[0], characters)
    readings = [_text(labels, characters) for labels in ranked[:_DICTIONARY_BEAMS]]
    return next((reading for reading in readings if reading in words), readings[0])


def decode_words(shares: NDArray[np.float32], characters: str, beam_width: int, words: Collection[str]) -> str:
    """Decoded word by word: words are separated by steps whose most probable class is a space."""
    is_word = shares.argmax(axis=1) != characters.rindex(" ") + 1
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_word, [False])).astype(np.int8))).tolist()
    runs = zip(edges[0::2], edges[1::2], strict=True)
    return " ".join(decode_beams(shares[start:stop], characters, beam_width, words) for start, stop in runs)


class _Beam:
    """The probability of all alignments of one beginning: the total, and that of those that end with a blank."""

    __slots__ = ("blank", "other", "total")

    def __init__(self, total: Any = 0, other: Any = 0, blank: Any = 0) -> None:
        self.total, self.other, self.blank = total, other, blank


def _beams(shares: NDArray[np.float32], beam_width: int) -> dict[_Labels, _Beam]:
    beams: dict[_Labels, _Beam] = {(): _Beam(total=1, blank=1)}
    for step in shares:
        likely = np.flatnonzero(step >= 0.5 / len(step)).tolist()
        after: dict[_Labels, _Beam] = {}
        for labels in _ranked(beams)[:beam_width]:
            beam = beams[labels]
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
        beams = after
    return beams


def _appended(labels: _Labels, label: int) -> _Labels:
    """``labels`` and one more. A blank is kept only at the end, or between two labels of the same class."""
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
