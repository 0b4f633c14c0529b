"""A WordPiece vocabulary of made-up words, for synthetic language models."""

from __future__ import annotations

from itertools import chain, product

PAD, UNKNOWN, CLS, SEP, MASK = 0, 100, 101, 102, 103
"""The numbers of BERT's special tokens, on which its descendants' configurations rely."""

_SPECIAL = {PAD: "[PAD]", UNKNOWN: "[UNK]", CLS: "[CLS]", SEP: "[SEP]", MASK: "[MASK]"}

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-"
_SYLLABLES = tuple(a + b for a, b in product("bdfgklmnprstvz", "aeiou"))


def make_vocabulary(size: int) -> dict[str, int]:
    """``size`` (at least 300) tokens with their numbers: special ones, letters, then words of two to four syllables."""
    made_up = (
        "".join(parts)
        for syllables in (2, 3, 4)
        for parts, _ in zip(product(_SYLLABLES, repeat=syllables), range(size), strict=False)
    )
    waiting = chain(_LETTERS, (f"##{letter}" for letter in _LETTERS), made_up)
    vocabulary: dict[str, int] = {}
    for number in range(size):
        special = _SPECIAL.get(number, f"[unused{number}]" if number < MASK else None)
        vocabulary[special or next(waiting)] = number
    return vocabulary
