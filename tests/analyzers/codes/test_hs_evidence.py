"""The evidence for a tariff code: labels, the number's place on the page, what stands beside it, and chapters."""

from __future__ import annotations

import pytest

from imgtool.analyzers.codes.hs import table
from imgtool.analyzers.codes.hs.chapters import CHAPTERS
from imgtool.analyzers.codes.hs.evidence import Evidence, collect
from imgtool.analyzers.codes.hs.labels import Kind, find_labels
from imgtool.analyzers.codes.hs.layout import Layout
from imgtool.analyzers.codes.hs.neighbours import MOST_LABELS, How
from imgtool.analyzers.codes.hs.table import Listing
from imgtool.types import Box, TextLine
from tests.results import from_text


def box(left: float, top: float, width: float) -> Box:
    return (left, top), (left + width, top), (left + width, top + 20), (left, top + 20)


def evidence(*texts: tuple[str, float, float]) -> list[Evidence]:
    """The evidence in pieces of text with left and top in pixels, ten pixels a character."""
    return collect(Layout([TextLine(t, 0.9, box(x, y, 10 * len(t))) for t, x, y in texts]), table.load())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("HS CODE: 847130", Kind.CODE),
        ("H5 C0DE 847130", Kind.CODE),
        ("세번부호", Kind.CODE),
        ("HS", Kind.MAYBE),
        ("품목번호", Kind.MAYBE),
        ("Unit price", Kind.AMOUNT),
        ("Tel. 847130", Kind.OTHER),
        ("우편번호 06236", Kind.OTHER),
    ],
)
def test_kinds_of_labels(text: str, kind: Kind) -> None:
    assert [label.kind for label in find_labels(0, text)][:1] == [kind]


@pytest.mark.parametrize("text", ["FAXING", "the HS of it", "12.50 EUR", "Shirts"])
def test_words_that_are_no_labels(text: str) -> None:
    assert list(find_labels(0, text)) == []


def test_a_label_ends_where_its_number_begins() -> None:
    text = "HS CODE (8 digits) No.: 84713000"
    (label,) = find_labels(3, text)
    assert (label.line, label.text, text[label.end :]) == (3, "HS CODE", "84713000")


def test_where_the_label_is() -> None:
    (beside,) = evidence(("HS CODE 847130", 0, 0))
    (left,) = evidence(("HS CODE", 0, 0), ("847130", 150, 0))
    (under,) = evidence(("HS CODE", 0, 0), ("847130", 0, 40))
    assert [each.how for each in (beside, left, under)] == [How.BESIDE, How.BESIDE, How.COLUMN]
    assert [each.alone for each in (beside, left, under)] == [False, True, True]
    assert evidence(("Art. No 8471.30.0100", 0, 0))[0].label is None


def test_the_other_numbers_of_its_column() -> None:
    rows = [("HS CODE", 0, 0), ("847130", 0, 40), ("851713", 0, 80), ("123456", 0, 120), ("9004.10", 300, 80)]
    laptop, handset, unknown = evidence(*rows)
    assert [each.companions for each in (laptop, handset, unknown)] == [1, 1, 2]
    assert [each.strangers for each in (laptop, handset, unknown)] == [1, 1, 0]
    assert [each.listing for each in (laptop, unknown)] == [Listing.LISTED, Listing.UNLISTED]


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("HS CODE 8471.30 EUR", ("money",)),
        ("HS CODE 847130 pcs", ("unit",)),
        ("Laptop (8471.30)", ("brackets",)),
        ("HS CODE 20240501", ("date",)),
        ("HS CODE 847130", ()),
    ],
)
def test_what_is_beside_it(text: str, around: tuple[str, ...]) -> None:
    assert [each.around for each in evidence((text, 0, 0))] == [around]


def test_a_page_full_of_labels_is_read_up_to_a_limit() -> None:
    lines = from_text("HS CODE 8471.30\n" * (MOST_LABELS + 5))
    labelled = [each.label is not None for each in collect(Layout(lines), table.load())]
    assert labelled.count(True) == MOST_LABELS


def test_every_chapter_of_the_table_has_a_name_in_both_languages() -> None:
    listed = table.load()
    assert listed is not None
    assert {heading[:2] for heading in listed.headings} == set(CHAPTERS) - {"98", "99"}
    assert "77" not in CHAPTERS
    assert all(english.isascii() and english and not korean.isascii() for english, korean in CHAPTERS.values())
