"""The scripts that measure the engine: what they print, and the gate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from tests.conftest import ROOT


@pytest.mark.parametrize(("least", "code"), [("1", ExitCode.OK), ("1e12", ExitCode.REGRESSION)])
def test_answers_a_second_are_measured_and_gated(least: str, code: ExitCode) -> None:
    words = ["--images", "3", "--submits", "50", "--runs", "1", "--min-per-second", least]
    command = [sys.executable, ROOT / "scripts" / "bench_submit.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "a second of processor time" in done.stdout


@pytest.mark.slow
def test_two_revisions_are_compared(tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / name / ".venv" / "bin").mkdir(parents=True)
        python = tmp_path / name / ".venv" / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o700)
        for part in ("imgtool", "tests"):
            (tmp_path / name / part).symlink_to(ROOT / part)
    words = [tmp_path / "before", tmp_path / "after", "--images", "20", "--runs", "1"]
    command = [sys.executable, ROOT / "scripts" / "compare_revisions.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("20 results") == 2
    assert "after / before: wall" in done.stdout
