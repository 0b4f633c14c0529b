"""Documents as HTML: every kind of block, nothing hostile in any of them, and a policy that allows only what is
there."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html import unescape

import pytest

from imgtool.page.document import (
    Block,
    Bullets,
    Cards,
    Chart,
    ChartRows,
    Code,
    Facts,
    Frame,
    Paragraph,
    Section,
    Table,
    as_html,
)

HOSTILE = "</style></script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}{% raw %}"
BLOCKS: list[Block] = [
    Paragraph(HOSTILE, "quiet"),
    Bullets([HOSTILE], ["failed"]),
    Bullets([HOSTILE], style="notes"),
    Table((HOSTILE, "n"), [(f"{HOSTILE}\n{HOSTILE}", HOSTILE)], caption=HOSTILE),
    Code(HOSTILE, HOSTILE),
    Facts({HOSTILE: HOSTILE}),
    Cards([(HOSTILE, HOSTILE)]),
    Chart("<svg></svg>", [("c0", HOSTILE)], HOSTILE, HOSTILE),
    ChartRows([(HOSTILE, "<svg></svg>", HOSTILE, HOSTILE)], "<svg></svg>", [("c0", HOSTILE)], HOSTILE, HOSTILE),
    Frame(HOSTILE, HOSTILE),
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.kind)
def test_text_stays_text_in_every_kind_of_block(block: Block) -> None:
    page = as_html(HOSTILE, HOSTILE, [Section(HOSTILE, [block])])
    assert "<img" not in page
    assert "<script" not in page
    assert "49" not in re.sub(r"sha256-[^']+|#\w+|[\d.]+(?=px|rem)", "", page.partition("<body>")[2])
    shown = unescape(page.partition("<body>")[2])
    assert shown.count("onerror=alert(1)") >= 3


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    page = as_html("title", "about", [Section("one", [Paragraph("words")])])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    rules = dict(rule.split(" ", 1) for rule in unescape(policy).split("; "))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "style-src": f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'",
    }
    assert "style=" not in page


def test_a_frame_is_allowed_where_there_is_one() -> None:
    page = as_html("title", "about", [Section("one", [Frame("cpu.svg", "a flame graph")])])
    assert "frame-src &#39;self&#39;" in page
    assert 'sandbox="allow-scripts"' in page


def test_sections_without_blocks_are_left_out() -> None:
    page = as_html(
        "title", "about", [Section("", [Paragraph("first")]), Section("empty", ()), Section("x", [Code("y")])]
    )
    assert "empty" not in page
    assert re.findall(r'<a href="#(s\d)">', page) == re.findall(r'<h2 id="(s\d)">', page) == ["s2"]


def test_figures_are_set_to_the_right_and_second_lines_are_small() -> None:
    page = as_html("t", "a", [Section("", [Table(("name", "n"), [("load\nworker", "7")])])])
    assert "<td>load<small>worker</small></td>" in page
    assert '<td class="number">7</td>' in page


def test_jinja_is_imported_when_a_page_is_written() -> None:
    code = (
        "import sys; from imgtool.page.document import as_html; before = 'jinja2' in sys.modules; "
        "as_html('t', 'a', []); print(before, 'jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
