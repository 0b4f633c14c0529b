"""The evidence for and against a tariff code: the number's label, its form, the table, and the text around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from imgtool.analyzers.codes.hs.labels import Kind, Label, find_labels
from imgtool.analyzers.codes.hs.layout import Layout, Span
from imgtool.analyzers.codes.hs.neighbours import MOST_LABELS, MOST_NUMBERS, THIN, Columns, How, LabelFinder
from imgtool.analyzers.codes.hs.numbers import Number, find_numbers
from imgtool.analyzers.codes.hs.table import Listing, Table

_CURRENCY = r"(?:US\$|R\$|Rs\.?|USD|EUR|GBP|KRW|INR|JPY|CNY|RMB|BRL|CHF|[$€£¥₩₹])"
_MONEY_BEFORE = re.compile(rf"(?<![A-Za-z]){_CURRENCY}\s*$", re.IGNORECASE)
_MONEY_AFTER = re.compile(rf"\s*(?:{_CURRENCY}|원|元|円|/-)", re.IGNORECASE)
_UNIT_AFTER = re.compile(
    r"\s?(?:kgs?|g|lbs?|oz|tons?|mt|pcs?|ea|nos?|sets?|units?|ctns?|cartons?|pallets?|rolls?|boxe?s?|pairs?|mm|cm|m|km|ml|l"
    r"|cbm|m3|m2|kw|w|v|hz|개|장|박스|상자|세트|대|벌|켤레|건|권|병|포|매|통)(?![A-Za-z])",
    re.IGNORECASE,
)


_RANKS = {Listing.LISTED: 2, Listing.HEADING: 1, Listing.UNLISTED: 0, Listing.UNCHECKED: 0}


@dataclass(frozen=True)
class Evidence:
    """A number with all that is known about it.

    ``label`` is a label of a code, ``other`` a label of something else. A number has at most one of them, and ``how``
    is its position. ``alone``: the number is the whole text of its box. ``companions`` is the count of other listed
    codes with the same form in the same column, ``strangers`` the count of unlisted numbers with that form there, and
    ``amounts`` the count of amounts with two decimals there. ``recogniser`` is the confidence, in [0, 1], of the line
    with the number.
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
    """Those of ``money``, ``unit``, ``date`` and ``brackets`` that its digits and the characters beside it suggest."""


def collect(layout: Layout, table: Table | None) -> list[Evidence]:
    """Every number of the image that may be a tariff code, with its evidence, in the order of the lines.

    A number whose form needs a label is left out if it has none. ``8471 30 00`` can be read as three codes: the longest
    reading is taken, unless a shorter one is better, because the table lists it or because no unit follows it.
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
        return _without_unit(longer) >= _without_unit(shorter)
    return _rank(longer) >= _rank(shorter)


def _without_unit(evidence: Evidence) -> bool:
    """Whether neither a unit nor a currency follows it."""
    return not {"unit", "money"} & set(evidence.around)


def _rank(evidence: Evidence) -> tuple[bool, int]:
    return _without_unit(evidence), _RANKS[evidence.listing]


def _collect(layout: Layout, table: Table | None) -> Iterator[Evidence]:
    numbers = [n for line, text in enumerate(layout.texts) for n in find_numbers(line, text)][:MOST_NUMBERS]
    labels = [each for line, text in enumerate(layout.texts) for each in find_labels(line, text)][:MOST_LABELS]
    spans = [layout.span(n.line, n.start, n.end) for n in numbers]
    finder = LabelFinder(layout, labels, numbers, spans)
    listings = [Listing.UNCHECKED if table is None else table.look_up(number.digits) for number in numbers]
    columns = Columns(layout, numbers, spans, listings)
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
            alone=not THIN.sub("", text[: number.start] + text[number.end :]),
            companions=companions,
            strangers=strangers,
            amounts=amounts,
            around=tuple(_around(text, number)),
        )
        if _may_do_with_label(evidence) if of_code else _may_do_without_label(evidence):
            yield evidence


def _may_do_with_label(evidence: Evidence) -> bool:
    """Whether a number with the label of a code may be one. Four digits among other words under a column's head may be
    anything."""
    return evidence.number.form != "4" or evidence.how is How.BESIDE or evidence.alone


def _may_do_without_label(evidence: Evidence) -> bool:
    """Whether a number without the label of a code may be one.

    Bare digits are taken only in a column of listed codes, and not if the column has another label. Four digits, a dot
    and two digits are mostly money or a weight: they are taken only in a column of listed codes or in brackets.
    """
    if {"money", "unit"} & set(evidence.around):
        return False
    number, other = evidence.number, evidence.other
    in_company = evidence.companions > 0 and evidence.listing is Listing.LISTED
    if not number.separators:
        of_another_field = other is not None and (evidence.alone or evidence.how is How.BESIDE)
        return in_company and "date" not in evidence.around and not of_another_field
    if number.form == "4.2":
        of_an_amount = other is not None and other.kind is Kind.AMOUNT
        return (in_company or "brackets" in evidence.around) and not of_an_amount
    return True


def _share(confidence: float) -> float:
    return min(1.0, max(0.0, confidence)) if confidence == confidence else 0.0  # noqa: PLR0124 - not a number


def _around(text: str, number: Number) -> Iterator[str]:
    """What its digits and the characters beside it suggest."""
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
