"""What speaks for and against a number being a tariff code: its label, its form, the table, what stands around it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import groupby, islice

from imgtool.analyzers.codes.hs.labels import Kind, Label, find_labels
from imgtool.analyzers.codes.hs.layout import Layout, Span
from imgtool.analyzers.codes.hs.numbers import Number, find_numbers
from imgtool.analyzers.codes.hs.table import Table

_MOST_NUMBERS, _MOST_LABELS = 2000, 500
"""Numbers and labels of one image that are looked at."""

# Distances in letter heights.
_ROW = 0.6
_LEFT_REACH = 14.0
_COLUMN_REACH = 7.0
_ALIGNED = 1.2

# Characters between a label and its number: other codes of a list, or words after a label of something else.
_LONGEST_LIST = 200
_LONGEST_GAP = 24

_AMOUNT = re.compile(r"(?<![0-9.,])(?![0-9]{4}[.,][0-9]{2}(?![0-9]))[0-9][0-9.,]*[.,][0-9]{2}(?![0-9.,])")
"""An amount with two decimals, but for those of four digits before the point: they look like a tariff code."""

_THIN = re.compile(r"[\s:.#=*>|()\[\]\-]*")
_LIST = re.compile(r"(?:[0-9][0-9.\- ]*\s*(?:[,;/&+]|및|and|or|와|과)\s*)+", re.IGNORECASE)
_CURRENCY = r"(?:US\$|R\$|Rs\.?|USD|EUR|GBP|KRW|INR|JPY|CNY|RMB|BRL|CHF|[$€£¥₩₹])"
_MONEY_BEFORE = re.compile(rf"{_CURRENCY}\s*$", re.IGNORECASE)
_MONEY_AFTER = re.compile(rf"\s*(?:{_CURRENCY}|원|元|円|/-)", re.IGNORECASE)
_UNIT_AFTER = re.compile(
    r"\s?(?:kgs?|g|lbs?|oz|tons?|mt|pcs?|ea|nos?|sets?|units?|ctns?|cartons?|pallets?|rolls?|boxe?s?|pairs?|mm|cm|m|km|ml|l"
    r"|cbm|m3|m2|kw|w|v|hz|개|장|박스|상자|세트|대|벌|켤레|건|권|병|포|매|통)(?![A-Za-z])",
    re.IGNORECASE,
)


class How(StrEnum):
    """Where a label stands to its number."""

    NONE = "none"
    BESIDE = "beside"
    COLUMN = "column"


class Listing(StrEnum):
    """What the table of codes says of a number: listed, a known heading with an unknown end, unknown, or no table."""

    LISTED = "listed"
    HEADING = "heading"
    UNLISTED = "unlisted"
    UNCHECKED = "unchecked"


_STANDINGS = {Listing.LISTED: 2, Listing.HEADING: 1, Listing.UNLISTED: 0, Listing.UNCHECKED: 0}


@dataclass(frozen=True)
class Evidence:
    """A number with all that is known about it. ``label`` announces a code, ``other`` something else; there is one of
    them at most, and ``how`` says where it stands. ``alone`` is a number that has a box to itself.

    ``companions`` are other listed codes of the same form in the same column, ``strangers`` numbers of the same form
    there that are not in the table, ``amounts`` other numbers there with two decimals. ``recogniser`` is the
    confidence, in [0, 1], of the line it was read in.
    """

    number: Number
    span: Span
    recogniser: float
    listing: Listing
    label: Label | None = None
    how: How = How.NONE
    other: Label | None = None
    alone: bool = False
    companions: int = 0
    strangers: int = 0
    amounts: int = 0
    around: tuple[str, ...] = field(default=())
    """Of ``money``, ``unit``, ``date`` and ``brackets`` those that what stands beside it makes it look like."""


def collect(layout: Layout, table: Table | None) -> list[Evidence]:
    """Every number of the image that may be a tariff code, with its evidence, in the order of the lines.

    Numbers whose form needs a label come only where they have one. Of the readings of ``8471 30 00`` the longest is
    given, unless a shorter one is in better standing: listed where the longer is not, or without ``pcs`` behind it.
    """
    readings = list(_collect(layout, table))
    in_line: dict[int, list[Evidence]] = {}
    for each in readings:
        in_line.setdefault(each.number.line, []).append(each)
    return [each for each in readings if not any(_supersedes(o, each) for o in in_line[each.number.line])]


def _supersedes(longer: Evidence, shorter: Evidence) -> bool:
    a, b = longer.number, shorter.number
    if not (a.start <= b.start and b.end <= a.end and b.end - b.start < a.end - a.start):
        return False
    if longer.label != shorter.label and longer.label is None:
        return False
    if len(a.groups) > 2 and b.start == a.start and longer.label is not None:
        return _stands_free(longer) >= _stands_free(shorter)
    return _standing(longer) >= _standing(shorter)


def _stands_free(evidence: Evidence) -> bool:
    """Whether neither a unit nor a currency takes its last digits."""
    return not {"unit", "money"} & set(evidence.around)


def _standing(evidence: Evidence) -> tuple[bool, int]:
    return _stands_free(evidence), _STANDINGS[evidence.listing]


def _collect(layout: Layout, table: Table | None) -> Iterator[Evidence]:
    numbers = [n for line, text in enumerate(layout.texts) for n in find_numbers(line, text)][:_MOST_NUMBERS]
    labels = [each for line, text in enumerate(layout.texts) for each in find_labels(line, text)][:_MOST_LABELS]
    spans = [layout.span(n.line, n.start, n.end) for n in numbers]
    finder = _LabelFinder(layout, labels, numbers, spans)
    listings = [_listing(number.digits, table) for number in numbers]
    columns = _Columns(layout, numbers, spans, listings)
    for place, (number, span) in enumerate(zip(numbers, spans, strict=True)):
        label, how = finder.find(place)
        of_code = label is not None and label.of_code
        if not of_code and not (number.free and not number.attached):
            continue
        if number.attached and (label is None or label.line != number.line or label.end != number.start):
            continue
        companions, strangers, amounts = columns.company(place)
        text = layout.texts[number.line]
        evidence = Evidence(
            number=number,
            span=span,
            recogniser=_share(layout.lines[number.line].confidence),
            listing=listings[place],
            label=label if of_code else None,
            how=how,
            other=None if of_code else label,
            alone=not _THIN.sub("", text[: number.start] + text[number.end :]),
            companions=companions,
            strangers=strangers,
            amounts=amounts,
            around=tuple(_around(text, number)),
        )
        if _may_do_with_label(evidence) if of_code else _may_do_without_label(evidence):
            yield evidence


def _may_do_with_label(evidence: Evidence) -> bool:
    """Whether the number may be what its label announces. Four digits among other words under the head of a column may
    be the beginning of anything."""
    return evidence.number.form != "4" or evidence.how is How.BESIDE or evidence.alone


def _may_do_without_label(evidence: Evidence) -> bool:
    """Whether a number that no label calls a code may be one all the same.

    Bare digits are anything: only a column of codes makes them codes, unless it is another field's. Four digits, a dot
    and two more are money or a weight where something says so.
    """
    if {"money", "unit"} & set(evidence.around):
        return False
    number, other = evidence.number, evidence.other
    if not number.separators:
        of_another_field = other is not None and (evidence.alone or evidence.how is How.BESIDE)
        in_company = evidence.companions > 0 and evidence.listing is Listing.LISTED
        return in_company and "date" not in evidence.around and not of_another_field
    return not (number.form == "4.2" and other is not None and other.kind is Kind.AMOUNT)


def _share(confidence: float) -> float:
    return min(1.0, max(0.0, confidence)) if confidence == confidence else 0.0  # noqa: PLR0124 - not a number


def _listing(digits: str, table: Table | None) -> Listing:
    if table is None:
        return Listing.UNCHECKED
    if table.lists(digits):
        return Listing.LISTED
    return Listing.HEADING if digits[:4] in table.headings else Listing.UNLISTED


class _LabelFinder:
    """Which label says what a number is: the nearest before it in its line, in the box to its left, or above it."""

    def __init__(self, layout: Layout, labels: Sequence[Label], numbers: Sequence[Number], spans: Sequence[Span]):
        self._layout, self._numbers, self._spans = layout, numbers, spans
        self._in_line: dict[int, list[Label]] = {line: list(each) for line, each in groupby(labels, lambda x: x.line)}
        self._heads = self._column_heads(labels)

    def find(self, place: int) -> tuple[Label | None, How]:
        """The label that governs the number at ``place``, and where it stands."""
        number, span = self._numbers[place], self._spans[place]
        before = [label for label in self._in_line.get(number.line, ()) if label.end <= number.start]
        if before:
            gap = self._layout.texts[number.line][before[-1].end : number.start]
            listed = len(gap) <= _LONGEST_LIST and _LIST.fullmatch(gap)
            if _THIN.fullmatch(gap) or listed or (not before[-1].of_code and len(gap) <= _LONGEST_GAP):
                return before[-1], How.BESIDE
        if (left := self._left(number, span)) is not None:
            return left, How.BESIDE
        above = self._heads.get(place)
        return (above, How.COLUMN) if above is not None else (None, How.NONE)

    def _left(self, number: Number, span: Span) -> Label | None:
        """The label at the end of the box that stands to the left, with nothing in between."""
        if not _THIN.fullmatch(self._layout.texts[number.line][: number.start]):
            return None
        nearest = None
        for whole in self._layout.whole:
            is_left = whole.line != number.line and whole.right <= span.left + 0.5 * span.height
            if is_left and _same_row(whole, span) and (nearest is None or whole.right > nearest.right):
                nearest = whole
        if nearest is None or span.left - nearest.right > _LEFT_REACH * span.height:
            return None
        last = next(reversed(self._in_line.get(nearest.line, ())), None)
        ends = last is not None and _THIN.fullmatch(self._layout.texts[nearest.line], last.end)
        return last if ends else None

    def _column_heads(self, labels: Sequence[Label]) -> dict[int, Label]:
        """For numbers (by their place) the lowest label above them whose column reaches down to them."""
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
        """Whether the label may stand above a column: alone in its box, or among other labels; not in a sentence, and
        not before a number of its own."""
        text = self._layout.texts[label.line]
        before, after = text[: label.start].split(), text[label.end :].split()
        right = self._to_the_right(self._layout.whole[label.line])
        if text[label.end : label.end + 1].isdigit() or (not after and right[:1].isdigit()):
            return False
        return (not after and len(before) <= 2) or len(self._in_line[label.line]) > 2

    def _to_the_right(self, span: Span) -> str:
        """The text of the nearest box to the right in the same row; empty where there is none within reach."""
        end = span.right - 0.5 * span.height
        mates = [w for w in self._layout.whole if w.line != span.line and w.left >= end and _same_row(w, span)]
        nearest = min(mates, key=lambda whole: whole.left, default=None)
        if nearest is None or nearest.left - span.right > _LEFT_REACH * span.height:
            return ""
        return self._layout.texts[nearest.line]

    def _row_mates(self, label: Label, span: Span) -> Iterator[Span]:
        """The other words of the label's line, and the other boxes of its row: heads of the columns beside its own."""
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
    """Whether ``below`` stands in the column of ``head`` and of none of the ``mates`` beside it."""
    shared = _overlap(head, below)
    if shared <= 0:
        return False
    narrow = min(head.right - head.left, below.right - below.left)
    reach = _ALIGNED * max(head.height, below.height)
    offsets = (head.left - below.left, head.right - below.right, head.centre - below.centre)
    if shared < 0.5 * narrow and min(map(abs, offsets)) > reach:
        return False
    return all(_overlap(mate, below) < shared for mate in mates)


class _Columns:
    """Numbers of one form under one another: codes seldom come alone."""

    def __init__(
        self, layout: Layout, numbers: Sequence[Number], spans: Sequence[Span], listings: Sequence[Listing]
    ) -> None:
        self._numbers, self._spans, self._listings = numbers, spans, listings
        amounts = ((line, found) for line, text in enumerate(layout.texts) for found in _AMOUNT.finditer(text))
        self._amounts = [layout.span(line, *found.span()) for line, found in islice(amounts, _MOST_NUMBERS)]
        self._by_form: dict[str, list[int]] = {}
        for place, number in enumerate(numbers):
            if number.free and not number.attached:
                self._by_form.setdefault(number.form, []).append(place)

    def company(self, place: int) -> tuple[int, int, int]:
        """How many other listed codes and how many unlisted numbers of its form stand in its column, and how many
        amounts of money might."""
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


def _around(text: str, number: Number) -> Iterator[str]:
    """What the characters beside the number, and its own digits, make it look like."""
    before, after = text[max(0, number.start - 8) : number.start], text[number.end : number.end + 8]
    if _MONEY_BEFORE.search(before) or _MONEY_AFTER.match(after):
        yield "money"
    if _UNIT_AFTER.match(after):
        yield "unit"
    if before[-1:] in ("(", "[") and after[:1] in (")", "]"):
        yield "brackets"
    if _is_date(number.digits):
        yield "date"


def _is_date(digits: str) -> bool:
    """Whether six or eight digits are a day of 1950 to 2049 in one of the usual orders."""
    if len(digits) == 6:
        d = [int(digits[i : i + 2]) for i in (0, 2, 4)]
        return any(
            _is_day(2000 + y, m, day) for y, m, day in ((d[0], d[1], d[2]), (d[2], d[1], d[0]), (d[2], d[0], d[1]))
        )
    if len(digits) != 8:
        return False
    year_first = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    year_last = int(digits[4:]), int(digits[2:4]), int(digits[:2])
    american = year_last[0], year_last[2], year_last[1]
    return any(1950 <= y < 2050 and _is_day(y, m, d) for y, m, d in (year_first, year_last, american))


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
