"""The surroundings of a number on the page: its label and the other numbers of its column."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby, islice

from imgtool.analyzers.codes.hs.labels import Label
from imgtool.analyzers.codes.hs.layout import Layout, Span
from imgtool.analyzers.codes.hs.numbers import Number
from imgtool.analyzers.codes.hs.table import Listing

MOST_NUMBERS, MOST_LABELS = 2000, 500
"""The most numbers and labels of one image that are considered."""

# Distances in letter heights.
_ROW = 0.6
_LEFT_REACH = 14.0
_COLUMN_REACH = 7.0
_ALIGNED = 1.2

# Most characters between a label and its number: other codes of a list, or words after a label of something else.
_LONGEST_LIST = 200
_LONGEST_GAP = 24

_AMOUNT = re.compile(r"(?<![0-9.,])(?![0-9]{4}[.,][0-9]{2}(?![0-9]))[0-9][0-9.,]*[.,][0-9]{2}(?![0-9.,])")
"""An amount with two decimals, except with four digits before the point: these look like a tariff code."""

THIN = re.compile(r"[\s:.#=*>|()\[\]\-]*")
_LIST = re.compile(r"(?:[0-9][0-9.\- ]*\s*(?:[,;/&+]|및|and|or|와|과)\s*)+", re.IGNORECASE)


class How(StrEnum):
    """Where the label of a number is: beside it, or above it at the head of its column."""

    NONE = "none"
    BESIDE = "beside"
    COLUMN = "column"


class LabelFinder:
    """Finds the label of a number: the nearest before it in its line, in the box to its left, or above it."""

    def __init__(self, layout: Layout, labels: Sequence[Label], numbers: Sequence[Number], spans: Sequence[Span]):
        self._layout, self._numbers, self._spans = layout, numbers, spans
        self._in_line: dict[int, list[Label]] = {line: list(each) for line, each in groupby(labels, lambda x: x.line)}
        self._heads = self._column_heads(labels)

    def find(self, place: int) -> tuple[Label | None, How]:
        """The label of the number at ``place``, and where it is."""
        number, span = self._numbers[place], self._spans[place]
        before = [label for label in self._in_line.get(number.line, ()) if label.end <= number.start]
        if before:
            gap = self._layout.texts[number.line][before[-1].end : number.start]
            listed = len(gap) <= _LONGEST_LIST and _LIST.fullmatch(gap)
            if THIN.fullmatch(gap) or listed or (not before[-1].of_code and len(gap) <= _LONGEST_GAP):
                return before[-1], How.BESIDE
        if (left := self._left(number, span)) is not None:
            return left, How.BESIDE
        above = self._heads.get(place)
        return (above, How.COLUMN) if above is not None else (None, How.NONE)

    def _left(self, number: Number, span: Span) -> Label | None:
        """The label at the end of the nearest box to the left."""
        if not THIN.fullmatch(self._layout.texts[number.line][: number.start]):
            return None
        nearest = None
        for whole in self._layout.whole:
            is_left = whole.line != number.line and whole.right <= span.left + 0.5 * span.height
            if is_left and _same_row(whole, span) and (nearest is None or whole.right > nearest.right):
                nearest = whole
        if nearest is None or span.left - nearest.right > _LEFT_REACH * span.height:
            return None
        last = next(reversed(self._in_line.get(nearest.line, ())), None)
        ends = last is not None and THIN.fullmatch(self._layout.texts[nearest.line], last.end)
        return last if ends else None

    def _column_heads(self, labels: Sequence[Label]) -> dict[int, Label]:
        """For each number (by its place), the lowest label above it whose column reaches down to it."""
        order = sorted(range(len(self._spans)), key=lambda place: self._spans[place].top)
        tops = [self._spans[place].top for place in order]
        heads: dict[int, tuple[float, Label]] = {}
        for label in labels:
            if not self._is_head(label):
                continue
            span = self._layout.span(label.line, label.start, label.start + len(label.text))
            mates = list(self._row_mates(label, span))
            reached = span.bottom
            for place in order[bisect_left(tops, span.bottom - 0.4 * span.height) :]:
                below = self._spans[place]
                if below.top - reached > _COLUMN_REACH * max(span.height, below.height):
                    break
                if below.line != label.line and _is_under(span, below, mates):
                    reached = max(reached, below.bottom)
                    if place not in heads or heads[place][0] < span.bottom:
                        heads[place] = (span.bottom, label)
        return {place: label for place, (_, label) in heads.items()}

    def _is_head(self, label: Label) -> bool:
        """Whether the label may be the head of a column: alone in its box or among other labels, and without a number
        after it."""
        text = self._layout.texts[label.line]
        before, after = text[: label.start].split(), text[label.end :].split()
        right = self._to_the_right(self._layout.whole[label.line])
        if text[label.end : label.end + 1].isdigit() or (not after and right[:1].isdigit()):
            return False
        return (not after and len(before) <= 2) or len(self._in_line[label.line]) > 2

    def _to_the_right(self, span: Span) -> str:
        """The text of the nearest box to the right in the same row; empty if none is near."""
        end = span.right - 0.5 * span.height
        mates = [w for w in self._layout.whole if w.line != span.line and w.left >= end and _same_row(w, span)]
        nearest = min(mates, key=lambda whole: whole.left, default=None)
        if nearest is None or nearest.left - span.right > _LEFT_REACH * span.height:
            return ""
        return self._layout.texts[nearest.line]

    def _row_mates(self, label: Label, span: Span) -> Iterator[Span]:
        """The other words of the label's line and the other boxes of its row: heads of the columns beside it."""
        text = self._layout.texts[label.line]
        for word in re.finditer(r"\S+", text):
            if word.end() <= label.start or word.start() >= label.start + len(label.text):
                yield self._layout.span(label.line, *word.span())
        for whole in self._layout.whole:
            if whole.line != label.line and _same_row(whole, span):
                yield whole


def _same_row(a: Span, b: Span) -> bool:
    return abs(a.middle - b.middle) <= _ROW * max(a.height, b.height)


def _overlap(a: Span, b: Span) -> float:
    return min(a.right, b.right) - max(a.left, b.left)


def _is_under(head: Span, below: Span, mates: Sequence[Span]) -> bool:
    """Whether ``below`` is in the column of ``head``, and no other head of the row overlaps it more."""
    shared = _overlap(head, below)
    if shared <= 0:
        return False
    narrow = min(head.right - head.left, below.right - below.left)
    reach = _ALIGNED * max(head.height, below.height)
    offsets = (head.left - below.left, head.right - below.right, head.centre - below.centre)
    if shared < 0.5 * narrow and min(map(abs, offsets)) > reach:
        return False
    return all(_overlap(mate, below) < shared for mate in mates)


class Columns:
    """Numbers with the same form in the same column: invoices often list several codes."""

    def __init__(
        self, layout: Layout, numbers: Sequence[Number], spans: Sequence[Span], listings: Sequence[Listing]
    ) -> None:
        self._numbers, self._spans, self._listings = numbers, spans, listings
        amounts = ((line, found) for line, text in enumerate(layout.texts) for found in _AMOUNT.finditer(text))
        self._amounts = [layout.span(line, *found.span()) for line, found in islice(amounts, MOST_NUMBERS)]
        self._by_form: dict[str, list[int]] = {}
        for place, number in enumerate(numbers):
            if number.free and not number.attached:
                self._by_form.setdefault(number.form, []).append(place)

    def company(self, place: int) -> tuple[int, int, int]:
        """Counts in its column: other listed codes with its form, unlisted numbers with its form, and amounts."""
        number, span = self._numbers[place], self._spans[place]
        listed: set[str] = set()
        unlisted: set[str] = set()
        for other in self._by_form.get(number.form, ()):
            there = self._spans[other]
            reach = 0.7 * span.height
            if abs(there.left - span.left) > reach and abs(there.right - span.right) > reach:
                continue
            if self._numbers[other].digits != number.digits:
                group = listed if self._listings[other] is Listing.LISTED else unlisted
                group.add(self._numbers[other].digits)
        amounts = [a for a in self._amounts if a.line != number.line and abs(a.right - span.right) <= 0.7 * span.height]
        return len(listed), len(unlisted), len(amounts)
