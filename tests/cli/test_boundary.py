"""Every failure becomes a message, a remedy and an exit code, in one place."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import typer

from imgtool import errors
from imgtool.cli.boundary import boundary, end_politely_on_signals, verdict
from imgtool.errors import Cancelled, EngineClosed, ExitCode, ImgtoolError, NotKept, QueueFull, UsageProblem
from imgtool.weights import errors as weights_errors


def subclasses(kind: type[ImgtoolError]) -> Iterator[type[ImgtoolError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


FAILURES = sorted(
    {kind for kind in subclasses(ImgtoolError) if kind.__module__ in {errors.__name__, weights_errors.__name__}},
    key=lambda kind: kind.__name__,
)


def leaves(error: BaseException | None = None, *, verbose: bool = False) -> int:
    """The exit code of a command whose body raises ``error``."""
    with pytest.raises(typer.Exit) as ended, boundary(verbose=verbose):
        if error is not None:
            raise error
    return ended.value.exit_code


@pytest.mark.parametrize("kind", FAILURES, ids=lambda kind: kind.__name__)
def test_every_failure_has_an_exit_code_a_message_and_a_remedy(
    kind: type[ImgtoolError], capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind.__new__(kind)
    ImgtoolError.__init__(error, "what happened", "what to do")
    assert leaves(error) == kind.exit_code
    assert capsys.readouterr() == ("", "error: what happened\n  try: what to do\n")


def test_what_a_user_can_cause_is_never_called_a_bug() -> None:
    programs_only = {Cancelled, EngineClosed, NotKept, QueueFull}  # no command makes them
    assert {kind for kind in FAILURES if kind.exit_code is ExitCode.INTERNAL} == {ImgtoolError, *programs_only}


def test_a_failure_without_a_remedy_has_no_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves(UsageProblem("no")) == ExitCode.USAGE
    assert capsys.readouterr().err == "error: no\n"


def test_a_bug_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves(ZeroDivisionError("nothing")) == ExitCode.INTERNAL
    said = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: nothing" in said
    assert "--verbose" in said
    assert "Traceback" not in said


def test_verbose_shows_where_a_failure_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves(UsageProblem("no", "yes"), verbose=True) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("error: no\n  try: yes\n")
    with pytest.raises(ZeroDivisionError), boundary(verbose=True):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("command", "kept"), [("analyze", True), ("warm-cache", True), ("cache", False), ("models", False)]
)
def test_ctrl_c(command: str, kept: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["imgtool", command, "analyze"])
    assert leaves(KeyboardInterrupt()) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.startswith("error: interrupted\n")
    assert leaves(KeyboardInterrupt()) == ExitCode.INTERRUPTED
    assert ("run the same command again" in capsys.readouterr().err) is kept


def test_a_body_that_ends_well_leaves_no_exit() -> None:
    with boundary():
        pass


@pytest.mark.parametrize("code", [ExitCode.OK, ExitCode.REGRESSION])
def test_an_exit_passes(code: ExitCode) -> None:
    assert leaves(typer.Exit(code)) == code


def test_boundaries_may_be_nested(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, boundary(), boundary():
        raise UsageProblem("once")
    assert ended.value.exit_code == ExitCode.USAGE
    assert capsys.readouterr().err == "error: once\n"


@contextmanager
def broken(how: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[str]]:
    """``sys.stdout`` as a pipe without a reader, a full disk, or a closed descriptor; buffered, as in a pipeline."""
    if how == "pipe":
        reader, descriptor = os.pipe()
        os.close(reader)
    else:
        descriptor = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(descriptor, "w", buffering=4096) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        yield stdout
        monkeypatch.undo()


@pytest.mark.parametrize(("how", "lost"), [("pipe", ExitCode.OK), ("disk", ExitCode.NOT_WRITABLE)])
@pytest.mark.parametrize("early", [True, False])
def test_stdout_that_takes_nothing(
    how: str, lost: ExitCode, early: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the body notices or only the flush at the end."""
    with broken(how, monkeypatch) as stdout, pytest.raises(typer.Exit) as ended, boundary():
        stdout.write("data\n")
        if early:
            stdout.flush()
    assert ended.value.exit_code == lost
    assert ("cannot be written" in capsys.readouterr().err) is (how == "disk")


@pytest.mark.parametrize("how", ["pipe", "disk"])
@pytest.mark.parametrize("early", [True, False])
def test_a_verdict_stands_whatever_becomes_of_stdout(how: str, early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = False
    with broken(how, monkeypatch) as stdout, pytest.raises(typer.Exit) as ended, boundary():
        with verdict(ExitCode.REGRESSION):
            stdout.write("slower\n")
            if early:
                stdout.flush()
        reached = True
        raise typer.Exit(ExitCode.REGRESSION)
    assert ended.value.exit_code == ExitCode.REGRESSION
    assert reached


def test_a_good_verdict_does_not_hide_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    with broken("disk", monkeypatch) as stdout, pytest.raises(typer.Exit) as ended, boundary(), verdict(ExitCode.OK):
        stdout.write("fine\n")
        stdout.flush()
    assert ended.value.exit_code == ExitCode.NOT_WRITABLE


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "gone"), ValueError("what")])
def test_a_verdict_hides_no_other_failure(error: Exception) -> None:
    with pytest.raises(type(error)), verdict(ExitCode.REGRESSION):
        raise error


@pytest.mark.parametrize("command", ["models", "models classifier", "cache stats", "warm-cache --check", "--help"])
@pytest.mark.parametrize("stdout", [">/dev/full", ">&-", "| true"])
def test_no_command_ends_in_a_traceback(command: str, stdout: str) -> None:
    # Without PYTHONUNBUFFERED, what a pipe does not take is noticed by the last flush only.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = f"set -o pipefail; {sys.executable} -m imgtool {command} {stdout}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environ)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if command == "warm-cache --check":
        assert done.returncode == ExitCode.MODEL_MISSING
    elif command != "--help" or stdout == "| true":
        assert done.returncode == (ExitCode.OK if stdout == "| true" else ExitCode.NOT_WRITABLE)


@pytest.mark.parametrize("stdout", [">/dev/full", "| true"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (
            "bench startup --command one=true --runs 9 --max-wall 0.01ms --no-confirm --html a.html",
            ExitCode.REGRESSION,
        ),
        ("bench throughput --command one=false --images 2 --runs 1", ExitCode.SOME_FAILED),
        ("cache verify --cache-dir .", ExitCode.NOT_WRITABLE),
    ],
)
def test_no_reader_that_leaves_turns_a_bad_verdict_into_a_good_one(
    command: str, code: ExitCode, stdout: str, tmp_path: Path
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "cache.db").write_bytes(b"no database" * 1000)
    line = f"set -o pipefail; {sys.executable} -m imgtool {command} {stdout}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    if "--html" in command:
        assert (tmp_path / "a.html").exists()


def test_polite_signals_interrupt_unless_they_are_ignored() -> None:
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        end_politely_on_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
