"""What commands write: colour only where somebody looks, nothing that a terminal would obey, data on stdout."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from pathlib import Path

import pytest

from imgtool.cli.console import (
    Messages,
    data_console,
    megabytes,
    print_json,
    print_line,
    say,
    terminal_width,
    wants_color,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (None, {"FORCE_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals(
    stream: io.StringIO | None, environ: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert wants_color(stream) is expected


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("0", 80), ("wide", 80), ("", 80)])
def test_the_width_without_a_terminal(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width(io.StringIO()) == width


def test_messages_go_to_stderr_and_errors_are_said_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        messages = Messages(quiet=quiet)
        messages.error("broken", "mend it")
        messages.notice("odd")
        messages.plain("done")
    loud, quiet_ones = "error: broken\n  try: mend it\nnote: odd\ndone\n", "error: broken\n  try: mend it\n"
    assert capsys.readouterr() == ("", loud + quiet_ones)


def test_a_terminal_does_not_obey_what_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    Messages().error("no file \x1b[2Jname\r\n second line")
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\r" not in said
    assert said.count("\n") == 2


def test_a_plain_line_keeps_only_the_styles_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    messages = Messages()
    messages.plain(f"{messages.bold('2 hits')}\n in \x1b[31m\x1b]0;x\x07\u202eb.csv")
    messages.faint("done")
    assert capsys.readouterr().err == (
        "\x1b[1m2 hits\x1b[0m\n in \u241b[31m\u241b]0;x\u2407\ufffdb.csv\n\x1b[2mdone\x1b[0m\n"
    )


def test_a_person_who_cannot_be_told_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed before the start, closed since, or on a full disk."""
    closed = io.StringIO()
    closed.close()
    with open("/dev/full", "w", buffering=1) as full:
        for stream in (None, closed, full):
            monkeypatch.setattr(sys, "stderr", stream)
            say("unheard\n")
            Messages().error("unheard", "unheard")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_data_is_json_or_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("한국어")
    print_json({"path": Path("a/b"), "size": 3})
    line, _, text = capsys.readouterr().out.partition("\n")
    assert line == "한국어"
    assert json.loads(text) == {"path": "a/b", "size": 3}
    assert text.startswith("{\n  ")


@pytest.mark.parametrize("write", [lambda: print_line("x"), lambda: print_json(1), data_console])
def test_a_stdout_that_is_closed_is_an_error_of_the_system(write: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="stdout is closed") as caught:
        write()  # type: ignore[operator]
    assert caught.value.errno == errno.EBADF


def test_a_table_that_nobody_reads_is_a_broken_pipe_and_no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(BrokenPipeError):
            data_console().print("a\n" * 10)
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (12_345, "12.3 kB"), (34_500_000, "34.5 MB"), (1.2e9, "1.2 GB")]
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert megabytes(size) == text
