"""Tesseract's TSV: one row a page, block, paragraph, line or word. Words are joined to lines here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from imgtool.types import Box, TextLine

HEADER = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
_WORD = 5


class DamagedOutput(ValueError):
    """The text is not the TSV that Tesseract writes."""


@dataclass(frozen=True)
class _Word:
    line: tuple[int, ...]
    left: int
    top: int
    right: int
    bottom: int
    confidence: float
    text: str


def parse_lines(output: str, width: int, height: int) -> list[TextLine]:
    """The lines in ``output``, in its order, for a picture of ``width`` x ``height`` pixels.

    A line's confidence is the mean of its words'; its box is the upright rectangle around them.

    Raises:
        DamagedOutput: a row is cut off or holds something else than numbers where they belong.
    """
    # Words can hold characters that str.splitlines takes for the end of a line.
    header, *rows = output.split("\n")
    if header.rstrip("\r") != HEADER:
        raise DamagedOutput(f"the first line is no header: {header[:80]!r}")
    if rows and rows.pop() != "":
        raise DamagedOutput("the last row is cut off")
    words = [word for number, row in enumerate(rows, 2) if (word := _word(row.rstrip("\r"), number)) is not None]
    return [_line(list(group), width, height) for _, group in groupby(words, key=lambda word: word.line)]


def _word(row: str, number: int) -> _Word | None:
    """The word in a row; ``None`` for a row of another level and for a word of spaces (a picture or a rule)."""
    cells = row.split("\t")
    try:
        level, *place, left, top, width, height = (int(cell) for cell in cells[:10])
        confidence = float(cells[10])
    except (ValueError, IndexError) as error:
        raise DamagedOutput(f"row {number} cannot be read: {row[:80]!r}") from error
    if len(cells) != 12 or len(place) != 5:
        raise DamagedOutput(f"row {number} has {len(cells)} cells instead of 12")
    text = cells[11].strip()
    if level != _WORD or not text or not 0 <= confidence <= 100:
        return None
    return _Word(tuple(place[:4]), left, top, left + width, top + height, confidence / 100, text)


def _line(words: list[_Word], width: int, height: int) -> TextLine:
    left, right = (min(max(x, 0), width) for x in (min(w.left for w in words), max(w.right for w in words)))
    top, bottom = (min(max(y, 0), height) for y in (min(w.top for w in words), max(w.bottom for w in words)))
    confidence = sum(word.confidence for word in words) / len(words)
    return TextLine(join_words(word.text for word in words), confidence, _rectangle(left, top, right, bottom))


def _rectangle(left: int, top: int, right: int, bottom: int) -> Box:
    x0, y0, x1, y1 = float(left), float(top), float(right), float(bottom)
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def join_words(words: Iterable[str]) -> str:
    """The words with spaces between them, except between two Chinese or Japanese characters, which have none."""
    line = ""
    for word in words:
        apart = line and word and not (_is_spaceless(line[-1]) and _is_spaceless(word[0]))
        line += f" {word}" if apart else word
    return line


def _is_spaceless(character: str) -> bool:
    """Ideographs, kana, and the punctuation of both; Korean puts spaces between words."""
    code = ord(character)
    return any(low <= code <= high for low, high in _SPACELESS)


_SPACELESS = ((0x3001, 0x303F), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
              (0xF900, 0xFAFF), (0xFF00, 0xFF65), (0x20000, 0x323AF))  # fmt: skip
