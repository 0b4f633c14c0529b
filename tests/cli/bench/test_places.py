"""Where `imgtool bench` writes: what cannot work is refused before the first sample, and no failure takes the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from tests.command import imgtool

QUICK = ("--command", "a=sleep 0.01", "--runs", "2", "--warm-ups", "0")


def test_a_baseline_is_not_replaced_by_what_is_compared_with_it(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    assert imgtool("bench", *QUICK, "--save", saved).code is ExitCode.OK
    before = saved.read_bytes()
    outcome = imgtool("bench", *QUICK, "--save", saved, "--baseline", saved, "--fail-slower", "20%")
    assert outcome.code is ExitCode.USAGE
    assert "is the baseline" in outcome.err
    assert saved.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--save", "-"), "--save needs a file"),
        (("--json", "-", "--markdown", "-"), "two outputs go to -"),
        (("--json", "same.out", "--markdown", "./same.out"), "two outputs go to"),
        (("--history", "afile"), "afile is not a folder"),
        (("--arm", "x=--help"), "only shows something"),
    ],
)
def test_what_cannot_work_is_refused_beforehand(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "afile").touch()
    outcome = imgtool("bench", *QUICK, *words, cwd=tmp_path)
    assert outcome.code in (ExitCode.USAGE, ExitCode.NOT_WRITABLE)
    assert said in outcome.err
    assert outcome.out == ""


def test_an_output_that_fails_takes_neither_the_tables_nor_the_others(tmp_path: Path) -> None:
    outcome = imgtool("bench", *QUICK, "--json", "/dev/full", "--markdown", tmp_path / "a.md", cwd=tmp_path)
    assert outcome.code is ExitCode.NOT_WRITABLE
    assert "/dev/full cannot be written" in outcome.err
    assert "wall time" in outcome.out
    assert (tmp_path / "a.md").is_file()


def test_any_command_and_any_locale(tmp_path: Path) -> None:
    command = ("--command", "x=echo \udcff", "--command", "b=true", "--runs", "2")
    outcome = imgtool("bench", *command, "--json", tmp_path / "a.json", PYTHONIOENCODING="ascii")
    assert outcome.code is ExitCode.OK, outcome.err
    assert (tmp_path / "a.json").is_file()


def test_an_arm_that_was_not_typed_can_be_the_baseline(tmp_path: Path) -> None:
    outcome = imgtool("bench", "--baseline", "compiled", "--runs", "2", "--tasks", "caption", "--cache-dir", tmp_path)
    assert "compiled does not exist" not in outcome.err


def test_quiet_is_quiet(tmp_path: Path) -> None:
    outcome = imgtool("bench", *QUICK, "--quiet", "--markdown", tmp_path / "a.md")
    assert (outcome.code, outcome.err) == (ExitCode.OK, "")
