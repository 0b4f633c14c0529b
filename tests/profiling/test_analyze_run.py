"""Runs of a program for a profile: how it ended, what it said, and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgtool import trace
from imgtool.profiling.analyze_run import RunOutcome, analyze_command, run
from tests.command import heed_signals


def test_options_of_the_interpreter_come_before_its_code() -> None:
    command = analyze_command(["x.png", "--quiet"], under=("-X", "importtime"))
    assert command[:3] == [sys.executable, "-X", "importtime"]
    assert command[-3:] == ["analyze", "x.png", "--quiet"]


def test_the_outcome_has_code_time_and_last_words(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; time.sleep(0.1); print('data'); "
        f"print(os.environ[{trace.SPAWNED_VARIABLE!r}], os.environ['MINE'], sep='\\n', file=sys.stderr); sys.exit(3)"
    )
    log, out = tmp_path / "log", tmp_path / "out"
    outcome = run([sys.executable, "-c", code], log, {"MINE": "given"}, out=out)
    assert (outcome.code, outcome.completed, outcome.interrupted) == (3, True, False)
    assert 0.1 <= outcome.seconds < 20
    assert outcome.last_words == f"{outcome.began_ns}; given"
    assert out.read_text() == "data\n"


@pytest.mark.parametrize(("code", "completed"), [(0, True), (3, True), (5, True), (1, False), (4, False), (-9, False)])
def test_a_run_with_failed_images_came_to_its_end(code: int, completed: bool) -> None:
    assert RunOutcome(code, 0, 1, "", False).completed is completed


def test_lines_about_imports_are_not_last_words() -> None:
    assert RunOutcome(1, 0, 1, "one\n\nimport time: 3\ntwo\n three \n", False).last_words == "two; three"


def test_a_process_is_watched_until_its_end(tmp_path: Path) -> None:
    seen: list[object] = []

    @contextmanager
    def watch(process: subprocess.Popen[bytes]) -> Iterator[None]:
        seen.append(process.pid)
        yield
        seen.append(process.returncode)

    run(["true"], tmp_path / "log", watch=watch)
    assert seen[1:] == [0]


INTERRUPTED = """
import sys
from pathlib import Path
from imgtool.profiling.analyze_run import run
outcome = run(["sleep", "97.25"], Path(sys.argv[1]))
print(outcome.interrupted, outcome.code)
"""


def test_ctrl_c_ends_the_program_and_not_the_profile(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals) as process:
        end = time.monotonic() + 30
        while not (tmp_path / "log").exists() and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert out == f"True {-signal.SIGINT}\n"
