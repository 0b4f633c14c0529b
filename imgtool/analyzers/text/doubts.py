"""Which lines are no words, as far as can be told: what an engine makes of a script that it cannot read.

RapidOCR's and Tesseract's models name no script. Their readings of others score low; the thresholds are from drawn
lines of Hangul, Cyrillic, Greek, Arabic and Hebrew, and from readings of the example pictures.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from imgtool.types import TextLine

_REASON = "unlikely to be these words; perhaps a script that {engine} does not read"
_IDEOGRAPHS = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_WITH_IDEOGRAPHS = ("zh", "ch", "ja", "jp", "yue")


def asks_for_ideographs(languages: Iterable[str]) -> bool:
    """Whether one of ``languages`` is Chinese or Japanese, by any engine's code."""
    return any(language.lower().startswith(_WITH_IDEOGRAPHS) for language in languages)


def with_doubts(
    lines: Iterable[TextLine], engine: str, least: float, least_of_ideographs: float = 0.0
) -> tuple[TextLine, ...]:
    """The same lines, with a doubt where the confidence is below ``least``, or, of one with Chinese characters or
    kana, below ``least_of_ideographs``."""
    return tuple(
        msgspec.structs.replace(line, doubt=_REASON.format(engine=engine))
        if line.confidence < least or (line.confidence < least_of_ideographs and has_ideographs(line.text))
        else line
        for line in lines
    )


def has_ideographs(text: str) -> bool:
    """Whether a Chinese character or kana is in it."""
    return any(low <= ord(character) <= high for character in text for low, high in _IDEOGRAPHS)
