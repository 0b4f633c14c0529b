"""Numbers in recognised text that are written as a tariff code may be written.

Nothing is decided here: a telephone number of ten digits is one of them, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from imgtool.analyzers.codes.hs.chapters import CHAPTERS

# One number, or several with single spaces between them: a space may part the groups of one code, or two numbers.
_CHAIN = re.compile(r"[0-9]+(?:(?:[.,\-]|\. | \.| )[0-9]+)*")
_GROUP = re.compile(r"([0-9]+)([^0-9]*)")
_LONGEST_CHAIN = 64
"""Groups of a chain that are looked at: a page of digits is no list of tariff codes."""

# Lengths of the groups of a code. These are recognised anywhere if the first separator is a dot ...
_DOTTED = {(4, 2), (4, 2, 2), (4, 2, 4), (4, 2, 3), (4, 2, 2, 2), (4, 2, 2, 3), (4, 2, 2, 2, 2)}
# ... these if all separators are spaces ...
_SPACED = {(4, 2, 2), (4, 2, 2, 2), (4, 2, 4)}
_BARE = {(6,), (8,), (10,)}
# ... and these only where a label says what the number is: with a space, with whatever separators but spaces.
_LABELLED_SPACED = {*_SPACED, (4, 2)}
_LABELLED = {
    *_DOTTED,
    *((4,), (7,), (9,), (11,), (12,)),
    *((4, 4), (4, 6), (6, 2), (6, 3), (6, 4), (6, 2, 2)),
    *((2, 2), (2, 2, 2), (2, 2, 2, 2), (2, 2, 2, 4), (2, 2, 2, 2, 2)),
}

CONFUSED = {"O": "0", "o": "0", "Q": "0", "D": "0", "l": "1", "I": "1", "|": "1", "S": "5", "s": "5", "B": "8"}
"""Letters that recognisers give for digits. ``Z`` is not among them: it was never seen in place of ``2``."""
_MAYBE_NUMBER = re.compile(r"[0-9OoQDlI|SsB]+(?:[.,\-][0-9OoQDlI|SsB]+)*")

_ATTACHING = "-/_:+#@&=.,'"
_CURRENCIES = "$€£¥₩￦₹฿"


@dataclass(frozen=True)
class Number:
    """Digits written as a code may be: ``groups`` of digits and the ``separators`` between them (``""`` for none).

    ``confused`` are the letters that were read as digits, with their places in the line. ``free`` says that its form
    is one that tariff codes are recognised by even without a label. ``attached`` says that letters or the like stand
    directly before it: the number is a part of something longer, unless that is a label.
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
        """How it is written, as ``4.2.4``, ``4 2 2`` or ``10``."""
        parted = zip(self.groups, (*self.separators, ""), strict=True)
        return "".join(f"{len(group)}{separator}" for group, separator in parted)


def find_numbers(line: int, text: str) -> Iterator[Number]:
    """All readings of the numbers in one folded line, overlapping ones too. A run of digits is taken whole, never in
    part."""
    clear, confused = _with_digits(text)
    for chain in _CHAIN.finditer(clear):
        pieces = [(m.start() + chain.start(), m[1], m[2]) for m in _GROUP.finditer(chain[0])][:_LONGEST_CHAIN]
        for first in range(len(pieces)):
            before = pieces[first - 1][2] if first else " "
            if not _parts(before):
                continue
            for last in range(first, min(first + 5, len(pieces))):
                if _parts(pieces[last][2]):
                    number = _reading(line, clear, pieces[first : last + 1], confused)
                    if number is not None:
                        # Between commas without spaces: a part of an amount, or of a list that a label announces.
                        in_list = "," in (before, pieces[last][2])
                        attached = number.attached and before != ","
                        yield replace(number, free=number.free and not in_list, attached=attached)


def _parts(separator: str) -> bool:
    """Whether a number may end at this separator: at a comma, at a space, or where a dot has a space beside it."""
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
    # Dots and spaces in one code: the spaces part it from the next number.
    return lengths in _LABELLED and " " not in separators


def _has_chapter(groups: tuple[str, ...], separators: tuple[str, ...]) -> bool:
    digits = "".join(groups)
    if digits[:2] not in CHAPTERS:
        return False
    # What countries put into 98 and 99 is written with dots; without, 99 begins Indian codes of services.
    return digits < "98" or "." in separators


def _is_attached(text: str, start: int) -> bool:
    """Whether what stands before ``start`` belongs to the number: it is then a part of something longer."""
    before = text[start - 1] if start else " "
    if before in _CURRENCIES or (before.isascii() and before.isalnum()):
        return True
    return before in _ATTACHING and (before in "+#" or (start > 1 and text[start - 2].isalnum()))


def _goes_on(text: str, end: int) -> bool:
    """Whether the number goes on after ``end`` as something that no code is: a unit, a part of a date or a time."""
    after = text[end] if end < len(text) else " "
    if (after.isascii() and after.isalnum()) or after in "%°‰_@" or after in _CURRENCIES:
        return True
    return after in ":/-=" and end + 1 < len(text) and text[end + 1].isalnum() and not _is_list(text, end)


def _is_list(text: str, end: int) -> bool:
    return re.match(r"/[0-9]{4}(?![0-9]*/)", text[end : end + 16]) is not None


def _with_digits(text: str) -> tuple[str, dict[int, str]]:
    """``text`` with letters that may be misread digits as digits, in words of digits for the most; their places."""
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
