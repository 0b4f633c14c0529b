"""A WordPiece vocabulary of made-up words, for synthetic language models."""

from __future__ import annotations

from itertools import product

PAD, UNKNOWN, CLS, SEP, MASK = 0, 100, 101, 102, 103
"""Where BERT's vocabulary has its special tokens, which the configurations of its descendants count on."""

_SPECIAL = {PAD: "[PAD]", UNKNOWN: "[UNK]", CLS: "[CLS]", SEP: "[SEP]", MASK: "[MASK]"}

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-"
_SYLLABLES = tuple(a + b for a, b in product("bdfgklmnprstvz", "aeiou"))


def make_vocabulary(size: int) -> dict[str, int]:
    """``size`` (at least 300) tokens with their numbers: special ones, letters, then words of two to four syllables."""
    words = (*_LETTERS, *(f"##{letter}" for letter in _LETTERS), *_made_up(size))
    vocabulary: dict[str, int] = {}
    waiting = iter(words)
    for number in range(size):
        special = _SPECIAL.get(number, f"[unused{number}]" if number < MASK else None)
        vocabulary[special or next(waiting)] = number
    return vocabulary


def _made_up(count: int) -> list[str]:
    """At least ``count`` words, all different."""
    words: list[str] = []
    for syllables in (2, 3, 4):
        words += ("".join(parts) for parts, _ in zip(product(_SYLLABLES, repeat=syllables), range(count), strict=False))
    return words
