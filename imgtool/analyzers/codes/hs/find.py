"""HS codes (customs tariff numbers) in recognised text, each with a confidence and its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgtool.analyzers.codes.hs import MIN_CONFIDENCE, confidence, table
from imgtool.analyzers.codes.hs.evidence import Evidence, collect
from imgtool.analyzers.codes.hs.layout import Layout
from imgtool.analyzers.codes.hs.neighbours import How
from imgtool.analyzers.codes.hs.numbers import CONFUSED
from imgtool.analyzers.codes.hs.table import Listing
from imgtool.types import Box, TextLine


@dataclass(frozen=True)
class HsCode:
    """A tariff code that was found.

    ``value`` is what the recogniser read, ``hs`` the six digits that all countries share (four if no more were
    written), ``national`` the digits after them. ``edition`` is the edition of the table that lists ``hs``, or ``None``
    if the code is not listed. ``box`` is in pixels of the image.
    """

    value: str
    hs: str
    national: str
    edition: str | None
    confidence: float
    evidence: tuple[str, ...]
    box: Box

    @property
    def checked(self) -> bool:
        """Whether the table lists it."""
        return self.edition is not None

    @property
    def digits(self) -> str:
        """All digits."""
        return self.hs + self.national


def find_hs_codes(lines: Sequence[TextLine], *, min_confidence: float = MIN_CONFIDENCE) -> tuple[HsCode, ...]:
    """The HS codes in the recognised ``lines`` of one image, in their order. No text makes it raise.

    If the table of codes is missing or damaged, they are found by their labels and forms alone.
    """
    layout, listed = Layout(lines), table.load()
    model = confidence.load()
    rated = ((model.confidence(each), each) for each in collect(layout, listed))
    best = _without_overlaps((rating, each) for rating, each in rated if rating >= min_confidence)
    return tuple(_code(rating, each, layout, listed) for rating, each in best)


def _without_overlaps(rated: Iterable[tuple[float, Evidence]]) -> list[tuple[float, Evidence]]:
    """The readings without those that overlap a better one: the higher confidence first, then the longer number."""
    taken: list[tuple[float, Evidence]] = []
    spans: dict[int, list[tuple[int, int]]] = {}
    for rating, each in sorted(rated, key=lambda x: (-round(x[0], 3), -len(x[1].number.digits), x[1].number.start)):
        number = each.number
        others = spans.setdefault(number.line, [])
        if all(number.end <= start or end <= number.start for start, end in others):
            others.append((number.start, number.end))
            taken.append((rating, each))
    return sorted(taken, key=lambda x: (x[1].number.line, x[1].number.start))


def _code(rating: float, found: Evidence, layout: Layout, listed: table.Table | None) -> HsCode:
    number = found.number
    checked = listed is not None and found.listing is Listing.LISTED
    return HsCode(
        value=layout.lines[number.line].text[number.start : number.end],
        hs=number.digits[:6],
        national=number.digits[6:],
        edition=listed.edition if checked and listed is not None else None,
        confidence=round(rating, 4),
        evidence=tuple(_told(found, listed)),
        box=layout.box(number.line, number.start, number.end),
    )


def _told(found: Evidence, listed: table.Table | None) -> Iterable[str]:
    """The evidence in words, as ``what: which``."""
    number = found.number
    if found.label is not None:
        where = "column" if found.how is How.COLUMN else "label"
        yield f"{where}: {found.label.text}"
    yield f"form: {number.form}"
    yield {
        Listing.LISTED: f"table: {listed.edition if listed else ''}",
        Listing.HEADING: "table: only the heading",
        Listing.UNLISTED: "table: not listed",
        Listing.UNCHECKED: "table: missing",
    }[found.listing]
    yield f"recogniser: {found.recogniser:.2f}"
    for _, letter in number.confused:
        yield f"read as {CONFUSED[letter]}: {letter}"
    if any("," in separator for separator in number.separators):
        yield "read as dot: comma"
    if found.companions:
        yield f"codes in the same column: {found.companions}"
    if found.other is not None:
        yield f"{'under' if found.how is How.COLUMN else 'beside'}: {found.other.text}"
    for each in found.around:
        yield f"looks like: {each}"
