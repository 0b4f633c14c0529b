"""Numbers in recognised text that have the form of a tariff code. A telephone number of ten digits has it, too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from imgtool.analyzers.codes.hs.chapters import CHAPTERS

# One number, or several with single spaces between them: a space may separate the groups of one code, or two numbers.
_CHAIN = re.compile(r"[0-9]+(?:(?:[.,\-]|\. | \.| )[0-9]+)*")
_GROUP = re.compile(r"([0-9]+)([^0-9]*)")
_LONGEST_CHAIN = 64
"""The most groups of a chain that are considered: a page of digits is no list of tariff codes."""

# Lengths of the groups of a code. These need no label if the first separator is a dot ...
_DOTTED = {(4, 2), (4, 2, 2), (4, 2, 4), (4, 2, 3), (4, 2, 2, 2), (4, 2, 2, 3), (4, 2, 2, 2, 2)}
# ... these if all separators are spaces ...
_SPACED = {(4, 2, 2), (4, 2, 2, 2), (4, 2, 4)}
_BARE = {(6,), (8,), (10,)}
# ... and these need a label: first those with spaces, then those with other separators.
_LABELLED_SPACED = {*_SPACED, (4, 2)}
_LABELLED = {
    *_DOTTED,
    *((4,), (7,), (9,), (11,), (12,)),
    *((4, 4), (4, 6), (6, 2), (6, 3), (6, 4), (6, 2, 2)),
    *((2, 2), (2, 2, 2), (2, 2, 2, 2), (2, 2, 2, 4), (2, 2, 2, 2, 2)),
}

CONFUSED = {"O": "0", "o": "0", "Q": "0", "D": "0", "l": "1", "I": "1", "|": "1", "S": "5", "s": "5", "B": "8"}
"""Letters that recognisers confuse with digits. ``Z`` in place of ``2`` was not seen."""
_MAYBE_NUMBER = re.compile(r"[0-9OoQDlI|SsB]+(?:[.,\-][0-9OoQDlI|SsB]+)*")

_ATTACHING = "-/_:+#@&=.,'"
_CURRENCIES = "$€£¥₩￦₹฿"


@dataclass(frozen=True)
class Number:
    """A number with the form of a code: ``groups`` of digits and the ``separators`` between them.

    ``confused`` are the letters that were taken for digits, with their places in the line. ``free``: its form needs no
    label. ``attached``: a letter or the like is directly before it, so that the number is a part of something longer,
    unless that is a label.
    """

    line: int
    start: int
    end: int
    groups: tuple[str, ...]
    separators: tuple[str, ...]
    confused: tuple[tuple[int, str], ...] = ()
    free: bool = False
    attached: bool = False

    @property
    def digits(self) -> str:
        """The digits alone."""
        return "".join(self.groups)

    @property
    def form(self) -> str:
        """Its groups and separators, for example ``4.2.4``, ``4 2 2`` or ``10``."""
        parted = zip(self.groups, (*self.separators, ""), strict=True)
        return "".join(f"{len(group)}{separator}" for group, separator in parted)


def find_numbers(line: int, text: str) -> Iterator[Number]:
    """All readings of the numbers in one folded line, overlapping ones too. Runs of digits are never cut."""
    clear, confused = _with_digits(text)
    for chain in _CHAIN.finditer(clear):
        pieces = [(m.start() + chain.start(), m[1], m[2]) for m in _GROUP.finditer(chain[0])][:_LONGEST_CHAIN]
        for first in range(len(pieces)):
            before = pieces[first - 1][2] if first else " "
            if not _separates(before):
                continue
            for last in range(first, min(first + 5, len(pieces))):
                if _separates(pieces[last][2]):
                    number = _reading(line, clear, pieces[first : last + 1], confused)
                    if number is not None:
                        # Commas without spaces separate the parts of an amount, or of a list after a label.
                        in_list = "," in (before, pieces[last][2])
                        attached = number.attached and before != ","
                        yield replace(number, free=number.free and not in_list, attached=attached)


def _separates(separator: str) -> bool:
    """Whether a number may end at this separator: a comma, a space, or a dot with a space beside it."""
    return separator in ("", ",") or " " in separator


def _reading(line: int, text: str, pieces: list[tuple[int, str, str]], confused: dict[int, str]) -> Number | None:
    groups = tuple(digits for _, digits, _ in pieces)
    separators = tuple(separator for _, _, separator in pieces[:-1])
    start, end = pieces[0][0], pieces[-1][0] + len(groups[-1])
    lengths = tuple(map(len, groups))
    letters = tuple((place, confused[place]) for place in range(start, end) if place in confused)
    free = not letters and _is_free(lengths, separators)
    if not (free or _is_labelled(lengths, separators)) or not _has_chapter(groups, separators) or _goes_on(text, end):
        return None
    return Number(line, start, end, groups, separators, letters, free, _is_attached(text, start))


def _is_free(lengths: tuple[int, ...], separators: tuple[str, ...]) -> bool:
    if lengths in _BARE:
        return True
    if set(separators) == {" "}:
        return lengths in _SPACED
    return lengths in _DOTTED and separators[0] == "." and "," not in separators and " " not in separators


def _is_labelled(lengths: tuple[int, ...], separators: tuple[str, ...]) -> bool:
    if set(separators) == {" "}:
        return lengths in _LABELLED_SPACED
    # No code has both dots and spaces: the space separates it from the next number.
    return lengths in _LABELLED and " " not in separators


def _has_chapter(groups: tuple[str, ...], separators: tuple[str, ...]) -> bool:
    digits = "".join(groups)
    if digits[:2] not in CHAPTERS:
        return False
    # National codes of chapters 98 and 99 are written with dots; without dots, 99 begins Indian service codes.
    return digits < "98" or "." in separators


def _is_attached(text: str, start: int) -> bool:
    """Whether the character before ``start`` belongs to the number, so that it is a part of something longer."""
    before = text[start - 1] if start else " "
    if before in _CURRENCIES or (before.isascii() and before.isalnum()):
        return True
    return before in _ATTACHING and (before in "+#" or (start > 1 and text[start - 2].isalnum()))


def _goes_on(text: str, end: int) -> bool:
    """Whether the text after ``end`` makes the number something else: a unit, a part of a date or of a time."""
    after = text[end] if end < len(text) else " "
    if (after.isascii() and after.isalnum()) or after in "%°‰_@" or after in _CURRENCIES:
        return True
    return after in ":/-=" and end + 1 < len(text) and text[end + 1].isalnum() and not _is_list(text, end)


def _is_list(text: str, end: int) -> bool:
    return re.match(r"/[0-9]{4}(?![0-9]*/)", text[end : end + 16]) is not None


def _with_digits(text: str) -> tuple[str, dict[int, str]]:
    """``text`` with confused letters replaced by digits in words that are mostly digits, and these letters by place."""
    confused: dict[int, str] = {}
    for word in _MAYBE_NUMBER.finditer(text):
        letters = [place for place in range(*word.span()) if text[place] in CONFUSED]
        digits = sum(character.isdigit() for character in word[0])
        if letters and digits >= 3 and len(letters) <= digits // 2 and not _in_word(text, *word.span()):
            confused.update((place, text[place]) for place in letters)
    if not confused:
        return text, confused
    return "".join(CONFUSED[c] if place in confused else c for place, c in enumerate(text)), confused


def _in_word(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return (before.isascii() and before.isalnum()) or (after.isascii() and after.isalnum())
