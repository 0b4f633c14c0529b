"""What help shows: the common options by default, every one on request, no line cut at 80 columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from imgtool.cli.help import ON_BY_DEFAULT
from imgtool.cli.main import app
from imgtool.errors import ExitCode
from tests import pictures
from tests.command import imgtool

HIDDEN = {"--weights", "--scale", "--load", "--no-isolate"}


def commands(command: Any, *names: str) -> dict[tuple[str, ...], Any]:
    """Every command by the words that run it."""
    found = {names: command}
    for name, below in getattr(command, "commands", {}).items():
        found |= commands(below, *names, name)
    return found


COMMANDS = commands(typer.main.get_command(app))
MANY = [("analyze",), ("warm-cache",)]


def help_of(*words: str) -> str:
    done = imgtool(*words, COLUMNS="80", TERM="dumb")
    assert done.code is ExitCode.OK, done.err
    return done.out


def flags(text: str) -> set[str]:
    return set(re.findall(r"^│ (--[a-z-]+)", text, flags=re.M))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_whole_at_80_columns(words: tuple[str, ...]) -> None:
    shown = help_of(*words, "--help-all" if words in MANY else "--help")
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    if words in MANY:
        expected = {"--help"}
        for option in COMMANDS[words].params:
            if option.param_type_name == "option":
                expected.add(max(option.secondary_opts if option.name in ON_BY_DEFAULT else option.opts, key=len))
        assert flags(shown) == expected


@pytest.mark.parametrize("words", MANY, ids=" ".join)
def test_the_default_help_is_short(words: tuple[str, ...]) -> None:
    short, full = help_of(*words, "--help"), help_of(*words, "--help-all")
    assert len(short.splitlines()) <= 68
    assert flags(short) < flags(full)
    assert not HIDDEN & flags(short)
    assert {"--help", "--help-all", "--languages", "--cache-dir", "--quiet"} <= flags(short)
    # One line an option: the table of help is read, not deciphered.
    wrapped = re.findall(r"^│ {20,}\S.*$", short, flags=re.M)
    assert wrapped == []


def test_what_help_leaves_out_is_accepted(tmp_path: Path) -> None:
    photo = pictures.flat(tmp_path / "a.png")
    rare = ("--no-isolate", "--load", "eager", "--weights", "real", "--scale", "full", "--max-pixels", "1M")
    done = imgtool("analyze", photo, "-t", "caption", "--caption-engine", "describe", *rare)
    assert done.code is ExitCode.OK, done.err


def test_a_switch_is_shown_in_the_form_that_acts_and_both_forms_are_accepted(tmp_path: Path) -> None:
    shown = flags(help_of("analyze", "--help-all"))
    assert {"--no-cache", "--strict", "--no-isolate", "--rehash"} <= shown
    assert not {"--cache", "--no-strict", "--isolate", "--no-rehash"} & shown
    photo = pictures.flat(tmp_path / "a.png")
    done = imgtool("analyze", photo, "-t", "caption", "--no-strict", "--cache", "--isolate", IMGTOOL_STRICT="yes")
    assert done.code is ExitCode.OK, done.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["photos"], "imgtool analyze photos"),
        (["photos", "-t", "text"], "imgtool analyze photos -t text"),
        (["-t", "text", "photos"], "imgtool analyze -t text photos"),
        (["my photos"], "imgtool analyze 'my photos'"),
        (["*.png"], "imgtool analyze '*.png'"),
        (["-"], "imgtool analyze -"),
        (["anlyze", "photos"], "imgtool analyze photos"),
        (["warm_cache", "--check"], "imgtool warm-cache --check"),
    ],
)
def test_a_command_that_is_missing_or_mistyped_is_offered(tmp_path: Path, words: list[str], meant: str) -> None:
    for name in ("photos", "my photos"):
        (tmp_path / name).mkdir()
    done = imgtool(*words, cwd=tmp_path)
    assert done.code is ExitCode.USAGE
    assert done.err.splitlines()[0].endswith(f"Did you mean: {meant}")
    assert done.out == ""


@pytest.mark.parametrize("word", ["nonsense", "x" * 5000])
def test_a_word_that_is_nothing_lists_the_commands(word: str) -> None:
    done = imgtool(word)
    assert done.code is ExitCode.USAGE
    assert "there is no command" in done.err
    assert "warm-cache" in done.err


def test_an_option_that_does_not_exist_is_no_command() -> None:
    done = imgtool("--vresion")
    assert done.code is ExitCode.USAGE
    assert "--version" in done.err
