"""Parses Tesseract's TSV, with a row for each page, block, paragraph, line and word, into lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, takewhile

from imgtool.types import TextLine

HEADER = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
_ROW = re.compile(r"\d+\t\d+(\t|$)")
_LINE, _WORD = 4, 5


class DamagedOutput(ValueError):
    """The text is not the TSV that Tesseract writes."""


@dataclass(frozen=True)
class _TsvRow:
    """``place`` numbers page, block, paragraph and line; the box is ``left, top, right, bottom``."""

    level: int
    place: tuple[int, ...]
    box: tuple[int, int, int, int]
    confidence: float
    text: str

    @property
    def is_word(self) -> bool:
        """Whether it is text: pictures and rules are words of spaces, or without a confidence."""
        return self.level == _WORD and bool(self.text) and 0 <= self.confidence <= 1


def parse_lines(output: str, width: int, height: int) -> list[TextLine]:
    """The lines in ``output``, in its order, for a picture of ``width`` x ``height`` pixels.

    ``output`` is the TSV, followed by the plain text if the program was asked for both. A line's confidence is the mean
    of its words'; its box is an upright rectangle.

    Raises:
        DamagedOutput: a row is cut off, or not a number where one is expected.
    """
    # Words can contain characters at which str.splitlines would split.
    header, *below = output.replace("\r\n", "\n").split("\n")
    if header != HEADER:
        raise DamagedOutput(f"the first line is no header: {header[:80]!r}")
    if below and below.pop().strip("\f"):
        raise DamagedOutput("the last row is cut off")
    table = list(takewhile(_ROW.match, below))
    rows = [_row(row, number) for number, row in enumerate(table, 2)]
    # From a line's own row: the boxes of words can reach into the next line, as those of Korean syllables do.
    boxes = {row.place: row.box for row in rows if row.level == _LINE}
    spelling = _Spelling(below[len(table) :])
    lines = []
    for place, group in groupby((row for row in rows if row.is_word), key=lambda row: row.place):
        words = list(group)
        box = boxes.get(place)
        if box is None:
            lefts, tops, rights, bottoms = zip(*(word.box for word in words), strict=True)
            box = min(lefts), min(tops), max(rights), max(bottoms)
        left, right = (float(min(max(x, 0), width)) for x in box[::2])
        top, bottom = (float(min(max(y, 0), height)) for y in box[1::2])
        corners = (left, top), (right, top), (right, bottom), (left, bottom)
        confidence = sum(word.confidence for word in words) / len(words)
        lines.append(TextLine(spelling.of([word.text for word in words]), confidence, corners))
    return lines


class _Spelling:
    """Finds the spaces of a line in the plain text.

    Korean is recognised syllable by syllable: the TSV has a row for each, and only the text shows which form a word
    (``preserve_interword_spaces`` in Tesseract's Korean data).
    """

    def __init__(self, text: Iterable[str]) -> None:
        self._lines = [" ".join(line.split()) for line in text if line.strip()]
        self._next = 0

    def of(self, words: list[str]) -> str:
        """The line of the text with these ``words``, else the words joined by rule. Lines are asked for in order."""
        wanted = "".join("".join(words).split())
        for number in range(self._next, len(self._lines)):
            if self._lines[number].replace(" ", "") == wanted:
                self._next = number + 1
                return self._lines[number]
        return join_words(words)


def _row(row: str, number: int) -> _TsvRow:
    cells = row.split("\t")
    try:
        level, *place, left, top, width, height = (int(cell) for cell in cells[:10])
        confidence = float(cells[10]) / 100
    except (ValueError, IndexError) as error:
        raise DamagedOutput(f"row {number} cannot be read: {row[:80]!r}") from error
    if len(cells) != 12:
        raise DamagedOutput(f"row {number} has {len(cells)} cells instead of 12")
    return _TsvRow(level, tuple(place[:4]), (left, top, left + width, top + height), confidence, cells[11].strip())


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
