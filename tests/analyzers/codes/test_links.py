"""Links to detail pages: made from templates that are checked, never fetched."""

from __future__ import annotations

import pytest

from imgtool.analyzers.codes.hs.find import find_hs_codes
from imgtool.analyzers.codes.links import make_links
from imgtool.parameters import LINK_PLACES, LINKS, TABLES
from tests.results import from_text

check = TABLES["codes"]["links"].check


def test_every_place_of_a_template_is_filled() -> None:
    (code,) = find_hs_codes(from_text("HS CODE: 8471.30.0100"))
    template = "https://example.org/" + "/".join("{" + name + "}" for name in LINK_PLACES)
    assert make_links(code, [template]) == ("https://example.org/8471300100/847130/8471.30/0100/84/8471",)


def test_a_heading_has_no_dot_at_its_end() -> None:
    (code,) = find_hs_codes(from_text("HSN: 8471"))
    assert make_links(code, ["https://example.org/{dotted}?{national}"]) == ("https://example.org/8471?",)


@pytest.mark.parametrize("template", [*LINKS, "http://localhost:8000/hs/{code}", "https://example.org/?q={hs}&x=1"])
def test_templates_that_are_taken(template: str) -> None:
    assert check((template,)) == (template,)


@pytest.mark.parametrize(
    "template",
    [
        *(
            "",
            "https://example.org/",
            "https://example.org/{number}",
            "https://example.org/{}",
            "ftp://example.org/{hs}",
        ),
        *("javascript:alert({hs})", "//example.org/{hs}", "https:///{hs}", "https://example.org/{hs} x"),
        *('https://example.org/{hs}"', "https://example.org/<{hs}>", "data:text/html,{hs}"),
    ],
)
def test_templates_that_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"\{code\}|https://"):
        check((template,))


def test_no_links_at_all() -> None:
    assert check(("none",)) == ()
    (code,) = find_hs_codes(from_text("HS CODE: 8471.30"))
    assert make_links(code, ()) == ()
