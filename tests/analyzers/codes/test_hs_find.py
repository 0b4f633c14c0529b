"""HS codes in text: what is found, what it is normalised to, what is left alone, and that nothing makes it raise."""

from __future__ import annotations

import math
import re
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgtool.analyzers.codes.hs import confidence, table
from imgtool.analyzers.codes.hs.find import HsCode, find_hs_codes
from imgtool.analyzers.codes.hs.layout import fold
from imgtool.analyzers.codes.hs.numbers import find_numbers
from imgtool.types import TextLine
from tests.results import NASTY_STRING, from_text


def found(text: str, **more: float) -> list[str]:
    """Digits of the codes in plain ``text``, a space before the national ones."""
    return [f"{code.hs} {code.national}".strip() for code in find_hs_codes(from_text(text), **more)]


def box(left: float, top: float, width: float = 100, height: float = 20) -> tuple[tuple[float, float], ...]:
    return (left, top), (left + width, top), (left + width, top + height), (left, top + height)


def placed(*texts: tuple[str, float, float], confidence: float = 0.98) -> list[TextLine]:
    """Pieces of text with left and top in pixels, ten pixels a character."""
    return [TextLine(t, confidence, box(x, y, 10 * len(t))) for t, x, y in texts]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("HS CODE: 8471.30", "847130"),
        ("HS CODE 847130", "847130"),
        ("HS Code: 8471 30 00", "847130 00"),
        ("HTS 8471.30.0100", "847130 0100"),
        ("HSK 8471.30-0000", "847130 0000"),
        ("세번부호 8471.30-0000", "847130 0000"),
        ("세번: 8471.30.00.00", "847130 0000"),
        ("품목번호: 8471.30-0000호", "847130 0000"),
        ("HSN: 84713010", "847130 10"),
        ("HSN/SAC 8471", "8471"),
        ("NCM 8471.30.12", "847130 12"),
        ("税号 8471300000", "847130 0000"),
        ("統計品目番号 8471.30-000", "847130 000"),
        ("H.S. 8471.30", "847130"),
        ("Commodity code: 84 71.30", ""),
        ("Tariff No. (8 digits): 8471 30 00", "847130 00"),
        ("Harmonized Code 847130", "847130"),
        ("Zolltarifnummer: 84713000", "847130 00"),
        ("TARIC 8471 30 00 00", "847130 0000"),
        ("HS CODE：８４７１．３０", "847130"),
        ("hs code 8471·30", "847130"),
        ("HSCODE8471300000", "847130 0000"),
        ("HS型⊆:8539.10", "853910"),  # HS코드 to a recogniser without Hangul
        ("HS Code, 680710", "680710"),
    ],
)
def test_notations_and_labels(text: str, digits: str) -> None:
    assert found(text) == ([digits] if digits else [])


@pytest.mark.parametrize(
    "text",
    [
        "Tel 8471-3000",
        "Phone +82 2 8471 3000",
        "Fax: (084) 713000",
        "Date 20240501",
        "2024.05.01",
        "Invoice No 847130",
        "INV-847130",
        "USD 8471.30",
        "8,471.30 EUR",
        "₩8471300",
        "8471.30 kg",
        "Net weight 8471.30",
        "IBAN DE84 7130 0000 1234 5678 90",
        "Art. No 8471300000",
        "SKU 847130",
        "SAC: 998314",
        "HSN/SAC 998314",
        "Postcode 847130",
        "우편번호 847130",
        "전화 847-1300",
        "사업자등록번호 847-13-00123",
        "EAN 8471300000123",
        "192.84.71.30",
        "v8.47.130",
        "8471/30",
        "12:34:56",
        "HS-200 printer, 300 dpi",
        "하루 세 번 8471 보",
        "Please quote the HS code on all documents",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_list_under_one_label() -> None:
    assert found("HS CODES: 8471.30, 8473.30 / 8517.62") == ["847130", "847330", "851762"]
    assert found("HS NO:400610,050210,620421") == ["400610", "050210", "620421"]
    assert found("HS NO: 4811.60,8104.90-0000,0306.95") == ["481160", "810490 0000", "030695"]
    assert found("400610,050210,620421") == []
    # What follows the code is no second one.
    assert found("HS CODE 8471.30 120000") == ["847130"]
    assert found("HS CODE 8471.30 Qty 120000") == ["847130"]


def test_codes_without_a_label() -> None:
    assert found("Laptop computers (8471.30)") == ["847130"]
    assert found("Laptop computers 8471.30.0100") == ["847130 0100"]
    assert found("Laptop computers 8471.30") == []  # as likely a price
    assert found("Laptop computers 8471300100") == []
    column = placed(("Laptop", 0, 0), ("8471300100", 300, 0), ("Handset", 0, 40), ("8517130000", 300, 40))
    assert [code.hs for code in find_hs_codes(column)] == ["847130", "851713"]


def test_a_column_under_its_head() -> None:
    lines = placed(
        *(("No", 0, 0), ("HS CODE", 60, 0), ("Art. No", 260, 0), ("Amount", 460, 0)),
        *(("1", 0, 40), ("847130", 60, 40), ("900410", 260, 40), ("8471.30", 450, 40)),
        *(("2", 0, 80), ("851762", 60, 80), ("847141", 260, 80), ("120.00", 460, 80)),
        *(("TOTAL", 300, 120), ("9004.10", 450, 120)),
    )
    codes = find_hs_codes(lines)
    assert [code.value for code in codes] == ["847130", "851762"]
    assert codes[0].evidence[0] == "column: HS CODE"
    assert codes[0].box[0] == (60, 40)


def test_a_value_in_the_box_to_the_right_and_below() -> None:
    assert [c.hs for c in find_hs_codes(placed(("HS CODE", 0, 0), ("847130", 150, 2)))] == ["847130"]
    assert [c.hs for c in find_hs_codes(placed(("HS CODE", 0, 0), ("847130", 5, 28)))] == ["847130"]
    # Far away it is another field's.
    assert find_hs_codes(placed(("HS CODE", 0, 0), ("847130", 900, 2))) == ()
    assert find_hs_codes(placed(("HS CODE", 0, 0), ("847130", 5, 600))) == ()


def test_a_slanting_page_is_straightened() -> None:
    def turned(line: TextLine) -> TextLine:
        a = math.radians(4)
        corners = tuple((x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)) for x, y in line.box)
        return TextLine(line.text, line.confidence, corners)  # type: ignore[arg-type]

    texts = [("Description of goods", 0.0, 0.0), ("HS CODE", 700.0, 0.0), ("Amount", 900.0, 0.0)]
    lines = placed(*texts, ("Steel bolts, galvanised", 0, 30), ("731815", 700, 30), ("120000", 900, 30))
    assert [c.hs for c in find_hs_codes([turned(line) for line in lines])] == ["731815"]


def test_letters_that_look_like_digits_count_under_a_label_only() -> None:
    (code,) = find_hs_codes(from_text("HS CODE: 8471.3O.0l00"))
    assert (code.hs, code.national, code.value) == ("847130", "0100", "8471.3O.0l00")
    assert [e for e in code.evidence if e.startswith("read as")] == ["read as 0: O", "read as 1: l"]
    assert found("8471.3O.0l00", min_confidence=0) == []
    assert found("H5 C0DE: 8471.30") == ["847130"]


def test_doubt_of_the_recogniser_lowers_the_confidence() -> None:
    sure, unsure = (
        find_hs_codes(placed(("HS CODE: 8471.30", 0, 0), confidence=c), min_confidence=0)[0].confidence
        for c in (0.99, 0.6)
    )
    assert unsure <= sure


def test_what_the_evidence_says() -> None:
    (code,) = find_hs_codes(from_text("HTS code: 8471.30.0100"))
    assert code.evidence == ("label: HTS code", "form: 4.2.4", "table: HS 2022", "recogniser: 1.00")
    assert code.checked
    assert code.edition == "HS 2022"
    assert code.confidence > 0.95
    (old,) = find_hs_codes(from_text("HTS code: 8517.12"))  # of the edition before
    assert not old.checked
    assert old.edition is None
    assert "table: only the heading" in old.evidence
    assert old.confidence < code.confidence


def test_a_comma_for_a_dot_is_said() -> None:
    (code,) = find_hs_codes(from_text("HS CODE: 8471,30"), min_confidence=0)
    assert (code.hs, code.value) == ("847130", "8471,30")
    assert "read as dot: comma" in code.evidence
    assert found("8471,30", min_confidence=0) == []


def test_national_chapters_count_in_dotted_notation_under_a_label() -> None:
    assert found("HTSUS 9903.88.15", min_confidence=0.0) == ["990388 15"]
    assert found("HSN 990388", min_confidence=0.0) == []
    assert found("HS CODE 7701.00", min_confidence=0.0) == []  # chapter 77 is reserved


@pytest.mark.parametrize("damage", [None, b"", b"not compressed"])
def test_without_the_table_codes_are_found_unchecked(
    damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hs2022.bin"
    if damage is not None:
        file.write_bytes(damage)
    monkeypatch.setattr(table, "FILE", file)
    table.load.cache_clear()
    try:
        assert table.load() is None
        (code,) = find_hs_codes(from_text("HS CODE: 8471.30.0100"), min_confidence=0)
        assert (code.hs, code.checked, code.edition) == ("847130", False, None)
        assert "table: missing" in code.evidence
    finally:
        table.load.cache_clear()


def test_the_table_has_what_hs_2022_has() -> None:
    listed = table.load()
    assert listed is not None
    assert (len(listed.subheadings), len(listed.headings)) == (5612, 1228)
    assert {"847130", "851713", "010121", "970690"} <= listed.subheadings
    assert not {"851712", "770100", "999999"} & listed.subheadings
    assert table.FILE.stat().st_size < 4096


@given(st.sets(st.integers(0, 999_999).map(lambda number: f"{number:06}")))
def test_a_table_is_unpacked_as_it_was_packed(codes: set[str]) -> None:
    assert table.unpack(table.pack(codes)) == codes


@given(st.binary(max_size=60))
def test_a_damaged_table_is_refused_or_read(data: bytes) -> None:
    with suppress(ValueError):
        table.unpack(data)


def test_the_curve_of_confidence_ascends() -> None:
    scores, precisions = zip(*confidence.load().curve, strict=True)
    assert list(scores) == sorted(scores)
    assert list(precisions) == sorted(precisions)
    assert 0 <= precisions[0] < 0.05
    assert 0.95 < precisions[-1] <= 1


# --------------------------------------------------------------------------------------------------------------------
# Properties

_PIECES = st.sampled_from(
    [
        *string.digits * 3,
        *" .-,/:OlSB|",
        "HS CODE ",
        "HSN",
        "세번 ",
        "Tel ",
        "8471.30",
        "8471 30 00",
        "kg",
        "USD ",
        "(",
        ")",
    ]
)
ALMOST_CODES = st.lists(_PIECES, max_size=40).map("".join)
BOXES = st.tuples(*[st.tuples(st.floats(), st.floats())] * 4)


@settings(deadline=None)
@given(st.lists(st.builds(TextLine, text=NASTY_STRING | ALMOST_CODES | st.text(), confidence=st.floats(), box=BOXES)))
def test_no_text_makes_it_raise(lines: list[TextLine]) -> None:
    for code in find_hs_codes(lines, min_confidence=0):
        assert re.fullmatch(r"[0-9]{4}|[0-9]{6}", code.hs)
        assert re.fullmatch(r"[0-9]{0,6}", code.national)
        assert 0 <= code.confidence <= 1
        assert any(code.value in line.text for line in lines)


@given(ALMOST_CODES)
@example("8471300000123")
@example("HS CODE 84713000001234")
def test_no_code_is_cut_out_of_a_longer_run_of_digits(text: str) -> None:
    for number in find_numbers(0, fold(text)):
        around = text[max(0, number.start - 1) : number.start] + text[number.end : number.end + 1]
        assert not any(character.isdigit() for character in around)


@given(ALMOST_CODES)
def test_finding_again_in_what_was_found_finds_the_same(text: str) -> None:
    for code in find_hs_codes(from_text(text)):
        again = find_hs_codes(from_text(f"HS CODE: {code.digits}"), min_confidence=0)
        assert [(each.hs, each.national) for each in again] == [(code.hs, code.national)]


@settings(deadline=None)
@given(st.sampled_from(sorted(table.load().subheadings)), st.sampled_from(["", "00", "0100"]))  # type: ignore[union-attr]
def test_all_notations_of_a_code_are_normalised_alike(hs: str, national: str) -> None:
    ways = {
        f"{hs}{national}",
        f"{hs[:4]}.{hs[4:]}" + (f".{national}" if national else ""),
        f"{hs[:4]} {hs[4:]}" + (f" {national[:2]}" if national else "") + (f" {national[2:]}" if national[2:] else ""),
    }
    for way in ways:
        (code,) = find_hs_codes(from_text(f"HS CODE: {way}"), min_confidence=0)
        assert (code.hs, code.national, code.checked) == (hs, national, True)


def test_a_page_of_nothing_but_digits_is_read_in_time() -> None:
    page = [TextLine("1 " * 3000, 1.0, box(0, 0)), TextLine("HS " * 3000, 1.0, box(0, 30))]  # type: ignore[arg-type]
    page += [TextLine("8471.30 " * 20, 1.0, box(0, 30 * row)) for row in range(40)]  # type: ignore[arg-type]
    assert all(isinstance(code, HsCode) for code in find_hs_codes(page))
