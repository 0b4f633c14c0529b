"""Text as the index sees it: one stream of words for both databases, so that both find the same.

Text is normalised first (:func:`normalise`): compatibility forms, upper case and accents make no difference. Then it
falls into **runs**: a run of letters and digits is one word; a run of a script that is written without spaces, or whose
words carry particles (Han, kana, Hangul, Thai, ...), can be found by any part of it. Such a run becomes its pairs of
neighbouring characters and, last, its last character alone. ``한국어`` becomes ``한국 국어 어``: each of its characters
begins exactly one word, so a single character is found as the beginning of a word and a longer part as pairs that
follow each other.

Everything between runs (spaces, punctuation, line breaks) separates and is not searched for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MAX_WORD = 100
"""Characters of a word that count: what is longer is told apart by its beginning only."""

# Scripts of which a part can be found: CJK radicals to kana, bopomofo, Han with its extensions, Hangul, Yi, Thai, Lao,
# Myanmar, Khmer. The middle dot and the double hyphen of katakana are punctuation.
_PARTS = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u104a\u1100-\u11ff\u1780-\u17d3\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3031-\u3035\u303b\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua000-\ua48c\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
# Vowel signs of Indian scripts are marks, which Python does not count among the characters of words.
_INDIAN = "\u0900-\u0963\u0966-\u0dff"
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670]+")
_WORD = rf"(?:[^\W_{_PARTS}]|[{_INDIAN}])"
_NO_WORD_BEFORE = rf"(?<![^\W_{_PARTS}])(?<![{_INDIAN}])"
_RUN = re.compile(rf"([{_PARTS}]+)|{_WORD}+")
_ASCII_WORD = re.compile("[0-9a-z]+")
# A character with the marks that follow it: what is normalised together when positions must be kept.
_CLUSTER = re.compile("[\u1100-\u11ff]+|.[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u3099\u309a]*", re.DOTALL)


def as_kept(text: str) -> str:
    """``text`` with bytes that are no UTF-8, which Python shows as surrogates, as ``\\xNN``: so names are kept."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return text.encode("utf-8", "backslashreplace").decode()


def normalise(text: str) -> str:
    """``text`` in the form in which it is compared: case folded, compatibility forms and accents taken away.

    Accents are those of Latin, Greek and Cyrillic letters and the vowel points of Hebrew and Arabic.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", folded)))


def stream(text: str) -> str:
    """The words of ``text`` as the index holds them, separated by spaces."""
    plain = normalise(text)
    if plain.isascii():
        return " ".join([word[:MAX_WORD] for word in _ASCII_WORD.findall(plain)])
    return " ".join(_words(plain))


def _words(plain: str) -> Iterator[str]:
    for found in _RUN.finditer(plain):
        run = found[0]
        if found[1] is None:
            yield run[:MAX_WORD]
        else:
            yield from _pairs(run)
            yield run[-1]


def _pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(len(run) - 1)]


@dataclass(frozen=True)
class Phrase:
    """Words that follow each other, as they were asked for.

    ``prefix`` says that the last one may go on. ``runs`` are its runs, normalised; there is at least one.
    """

    runs: tuple[str, ...]
    prefix: bool = False

    @classmethod
    def of(cls, text: str, *, prefix: bool = False) -> Phrase | None:
        """The phrase that ``text`` stands for; ``None`` where nothing in it can be searched for."""
        runs = tuple(found[0][:MAX_WORD] for found in _RUN.finditer(normalise(text)))
        return cls(runs, prefix) if runs else None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the index that must follow each other. Where :attr:`open_end`, the last is a beginning."""
        found: list[str] = []
        for run in self.runs[:-1]:
            found += [*_pairs(run), run[-1]] if _has_parts(run) else [run]
        last = self.runs[-1]
        found += _pairs(last) or [last] if _has_parts(last) else [last]
        return tuple(found)

    @property
    def open_end(self) -> bool:
        """Whether the last of :attr:`words` is to be taken for the beginning of a word."""
        last = self.runs[-1]
        return len(last) == 1 if _has_parts(last) else self.prefix

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds the phrase in normalised text, without an index."""
        between = rf"(?:(?![{_PARTS}{_INDIAN}])[\W_])*"
        pieces = []
        for place, run in enumerate(self.runs):
            piece = re.escape(run)
            if not _has_parts(run):
                goes_on = (place == len(self.runs) - 1 and self.prefix) or len(run) == MAX_WORD
                piece = _NO_WORD_BEFORE + piece + (f"{_WORD}*" if goes_on else f"(?!{_WORD})")
            elif place and _has_parts(self.runs[place - 1]):
                # Two runs of such a script are apart, or they would be one.
                piece = rf"(?<![{_PARTS}]){piece}"
            pieces.append(piece)
        return re.compile(between.join(pieces))


def _has_parts(run: str) -> bool:
    return re.match(f"[{_PARTS}]", run) is not None


def spans(text: str, phrases: tuple[Phrase, ...]) -> list[tuple[int, int]]:
    """Where ``phrases`` stand in ``text``: ``(start, end)`` of its characters, in order, none overlapping."""
    if not phrases:
        return []
    plain, origin = _aligned(text)
    found = sorted(match.span() for phrase in phrases for match in phrase.pattern.finditer(plain))
    joined: list[tuple[int, int]] = []
    for start, end in ((origin[start], origin[end]) for start, end in found):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return joined


def _aligned(text: str) -> tuple[str, list[int]]:
    """``text`` normalised, and for each of its characters and its end the position in ``text`` that it comes from."""
    if text.isascii():
        return text.lower(), list(range(len(text) + 1))
    pieces: list[str] = []
    origin: list[int] = []
    for found in _CLUSTER.finditer(text):
        piece = normalise(found[0])
        pieces.append(piece)
        origin.extend([found.start()] * len(piece))
    origin.append(len(text))
    # The end of a match is the beginning of what follows it, so that accents belong to their letter.
    return "".join(pieces), origin
