"""Hits for a person: the lines that match, marked, in the width there is."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from imgtool.cli.search.table import HitTable, _code
from imgtool.database.search.query import parse, phrases
from imgtool.types import ImageResult
from tests import results


def shown(result: ImageResult, query: str, width: int = 60) -> list[str]:
    out = StringIO()
    table = HitTable(out, phrases(parse(query)), width=width)
    table.write(result)
    table.close({})
    return out.getvalue().splitlines()


def page(*lines: str, caption: str = "A picture.") -> ImageResult:
    return results.answered("a.png", text=results.text(*lines), caption=results.caption(caption))


def test_only_lines_that_match_are_shown() -> None:
    assert shown(page("Harbour Road", "open all day", "the old harbour"), "harbour") == [
        "a.png",
        "  text     [Harbour] Road",
        "           the old [harbour]",
    ]


def test_a_phrase_may_go_on_in_the_next_line() -> None:
    assert shown(page("keep ONE", "WAY clear"), '"one way"')[1:] == ["  text     keep [ONE]", "           [WAY] clear"]


def test_many_lines_are_counted() -> None:
    assert shown(page(*["harbour"] * 9), "harbour")[-1].strip() == "and 6 more lines"


def test_without_a_match_the_beginning_is_shown() -> None:
    assert shown(page("first", "second"), "has:text")[1] in ("  caption  A picture.", "  text     first")


@pytest.mark.parametrize("text", ["x " * 200 + "harbour " + "y " * 200, "한국어 " * 80 + "harbour" + " 東京" * 80])
def test_a_long_line_is_cut_around_its_match(text: str) -> None:
    line = shown(page(text), "harbour", width=50)[1]
    assert "[harbour]" in line
    assert "…" in line
    assert cell_len(line) <= 50


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in "".join(shown(page("harbour \x1b[31m red"), "harbour"))


def test_a_tariff_number_is_shown_with_the_digits_it_is_found_by() -> None:
    code = SimpleNamespace(kind="hs", value="8471.30-0000", normalised="847130", national="0000")
    assert _code(code) == "hs 8471.30-0000 (847130 0000)"
    assert _code(SimpleNamespace(kind="ean13", value="4006381333931")) == "ean13 4006381333931"
