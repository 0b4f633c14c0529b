"""The terminal table: readable, never wider than the terminal, and deaf to what pictures and names say to it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from imgtool.formats.cells import fit, shorten_middle, shorten_path, wrap
from imgtool.formats.clean import printable, printable_prose
from imgtool.formats.table import MIN_WIDTH, TableWriter
from imgtool.types import ImageResult
from tests.results import ANY_STRING, NASTY_STRING, answered, any_result, caption, failed, labels, partial, text

STRINGS = ANY_STRING | NASTY_STRING
PRINTABLE = STRINGS.map(printable)
SGR = re.compile(r"\x1b\[[0-9]+m")


def written(results: Iterable[ImageResult], *, width: int = 80, color: bool = False) -> str:
    out = io.StringIO()
    writer = TableWriter(out, width=width, color=color)
    for result in results:
        writer.write(result)
    writer.close({})
    return out.getvalue()


def test_a_block_says_what_a_person_asks() -> None:
    result = answered(
        "examples/receipt.png",
        caption=caption("A tall bright picture, mostly white with some black, sharp and of high contrast."),
        text=text("GREEN GROCER", "14 Market Street", "Total 23.40"),
        labels=labels(document=0.97, chart=0.02),
    )
    assert written([result]) == (
        "✓ examples/receipt.png  1000×600 PNG\n"
        "  caption  A tall bright picture, mostly white with some black, sharp and of\n"
        "           high contrast.\n"
        "  text     3 lines: GREEN GROCER / 14 Market Street / Total 23.40\n"
        "  labels   document 0.97 · chart 0.02\n"
    )


def test_a_failure_shows_its_message_and_its_remedy() -> None:
    assert written([failed("broken.jpg", "the file is cut short", "copy it again")]) == (
        "✗ broken.jpg\n  error    the file is cut short\n  remedy   copy it again\n"
    )


def test_a_task_that_failed_is_told_from_recognised_text() -> None:
    assert written([partial("slow.png")]) == (
        "! slow.png  10×20 PNG\n"
        "  caption  A small picture.\n"
        "  text     failed: no answer in 120 s\n"
        "  remedy   use --timeout 300\n"
    )


def test_a_stand_in_is_named() -> None:
    shown = written([answered(caption=caption("A picture.", stands_in_for="blip"))])
    assert "by       describe (instead of blip)" in shown


def test_nothing_found_is_said() -> None:
    assert "  text     (none)\n  labels   (none)\n" in written([answered(text=text(), labels=labels())])


def test_a_page_is_counted_from_one_and_outlives_the_size_in_a_narrow_terminal() -> None:
    result = msgspec.structs.replace(answered("a long name of a scan.tiff"), page=1, pages=3)
    assert "scan.tiff  page 2/3  1000×600 PNG" in written([result])
    narrow = written([result], width=30)
    assert "page 2/3" in narrow
    assert "1000×600" not in narrow


def test_blocks_are_printed_as_they_come_with_an_empty_line_between() -> None:
    out = io.StringIO()
    writer = TableWriter(out)
    writer.write(answered("a.png"))
    assert out.getvalue() == "✓ a.png  1000×600 PNG\n"
    writer.write(answered("b.png"))
    assert out.getvalue() == "✓ a.png  1000×600 PNG\n\n✓ b.png  1000×600 PNG\n"


def test_prose_stays_readable_in_a_wide_terminal_and_a_path_whole() -> None:
    path = "folder/" * 25 + "a.png"
    head, *prose = written([answered(path, caption=caption("word " * 60))], width=250).splitlines()
    assert path in head
    assert max(map(len, prose)) <= 110


def test_a_page_of_text_is_cut_after_three_lines_and_its_lines_counted() -> None:
    _, *lines = written([answered(text=text(*["some words"] * 20_000))]).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("  text     20,000 lines: some words / some words")
    assert lines[-1].endswith("…")


def test_color_adds_styles_and_nothing_else() -> None:
    results = [answered(caption=caption("A picture.")), failed(remedy="copy it again"), partial()]
    colored = written(results, color=True)
    assert SGR.search(colored)
    assert SGR.sub("", colored) == written(results)


@pytest.mark.parametrize(
    ("result", "green_yellow_red"), [(answered(), "\x1b[32m✓"), (partial(), "\x1b[33m!"), (failed(), "\x1b[31m✗")]
)
def test_the_mark_has_the_colour_of_the_status(result: ImageResult, green_yellow_red: str) -> None:
    assert written([result], color=True).startswith(green_yellow_red)


def test_a_hostile_name_and_hostile_text_are_shown_not_obeyed() -> None:
    shown = written([answered("evil\x1b[2J\n\u202egpj.png", text=text("a\x1b]0;title\x07b\x9b31m"))])
    assert shown == "✓ evil␛[2J␊\ufffdgpj.png  1000×600 PNG\n  text     a␛]0;title␇b\ufffd31m\n"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_result(), max_size=3), st.integers(1, 200), st.booleans())
def test_no_line_is_too_wide_and_no_control_character_gets_out(
    results: list[ImageResult], width: int, color: bool
) -> None:
    document = written(results, width=width, color=color)
    document.encode()
    plain = SGR.sub("", document) if color else document
    for line in plain.split("\n"):
        assert cell_len(line) <= max(width, MIN_WIDTH)
        assert line.isprintable()
        assert not {unicodedata.category(character) for character in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("path", "cells", "shown"),
    [
        ("photos/a.png", 12, "photos/a.png"),
        ("/home/me/pictures/IMG_1.jpg", 20, "/home/me/…/IMG_1.jpg"),
        ("/home/me/IMG_20190817_142233.jpg", 16, "IMG_2019…233.jpg"),
        ("사진/서울특별시_강남구.jpg", 20, "서울특별시_…남구.jpg"),
    ],
)
def test_a_path_is_shortened_so_that_its_name_stays(path: str, cells: int, shown: str) -> None:
    assert shorten_path(path, cells) == shown


@given(PRINTABLE, st.integers(2, 60))
def test_a_shortened_path_fits(path: str, cells: int) -> None:
    assert cell_len(shorten_path(path, cells)) <= cells
    assert cell_len(shorten_middle(path, cells)) <= cells


@given(PRINTABLE, st.integers(-1, 60))
def test_fit_takes_as_much_as_goes_in(string: str, cells: int) -> None:
    end = fit(string, cells)
    assert cell_len(string[:end]) <= max(cells, 0)
    assert end == len(string) or cell_len(string[: end + 1]) > cells


@given(STRINGS.map(printable_prose), st.integers(2, 60), st.integers(1, 5))
def test_wrapped_lines_fit_and_lose_nothing_but_what_the_ellipsis_stands_for(
    string: str, cells: int, lines: int
) -> None:
    wrapped = wrap(string, cells, lines)
    assert 1 <= len(wrapped) <= lines
    assert max(map(cell_len, wrapped)) <= cells
    whole = "".join(wrap(string, cells, 10_000)).replace(" ", "")
    assert whole == string.replace(" ", "")
    kept = "".join(wrapped).replace(" ", "")
    assert kept == whole or whole.startswith(kept[:-1])


def test_the_table_imports_nothing_heavy() -> None:
    code = (
        "import sys, imgtool.formats.table, imgtool.formats.target, imgtool.formats.jsonout, imgtool.formats.csvout\n"
        "print([name for name in ('numpy', 'PIL', 'pyarrow', 'onnxruntime', 'rich.console', 'rich.table')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
