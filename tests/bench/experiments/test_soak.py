"""Starting again and again: what a soak says of programs that fail, leave things behind or grow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.experiments.soak import Drift, Soak, soak

GROWING = """
import pathlib, sys
count = pathlib.Path(sys.argv[1])
count.write_text(count.read_text() + "x" if count.exists() else "x")
kept = bytearray(len(count.read_text()) * 3_000_000)
kept[::4096] = b"x" * len(kept[::4096])
import time; time.sleep(0.08)
"""


COMPUTING = """
import pathlib, sys, time
count = pathlib.Path(sys.argv[1])
count.write_text(count.read_text() + "x" if count.exists() else "x")
while time.process_time() < 0.2 + len(count.read_text()) * float(sys.argv[2]): pass
"""
"""Takes so much processor time a start, whatever else the machine does, and so many seconds more with each."""


def run(code: str, *arguments: str, restarts: int = 4, timeout: float = 20) -> Soak:
    command = (sys.executable, "-c", code, *arguments)
    return soak(Arm(name="a", kind=ArmKind.COMMAND, command=command), restarts, timeout=timeout)


def test_a_sound_program_is_sound() -> None:
    found = run("pass")
    assert (found.succeeded, found.files, found.shared_memory, found.processes, found.outlived) == (4, (), (), (), 0)
    assert not found.failures


def computing(tmp_path: Path, more: float) -> tuple[Soak, Drift]:
    found = run(COMPUTING, str(tmp_path / "count"), str(more), restarts=12)
    assert found.succeeded == 12
    (drift,) = (drift for drift in found.drifts if drift.name == "processor time")
    return found, drift


@pytest.mark.slow
def test_a_program_of_steady_figures_is_sound(tmp_path: Path) -> None:
    found, drift = computing(tmp_path, 0.0)
    assert drift.grows is False
    assert found.sound


@pytest.mark.slow
def test_a_program_that_takes_longer_from_start_to_start_is_not(tmp_path: Path) -> None:
    found, drift = computing(tmp_path, 0.05)
    assert drift.grows is True
    assert drift.low > 0.5
    assert not found.sound


def test_failures_are_counted_with_what_was_said(tmp_path: Path) -> None:
    marker = tmp_path / "once"
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1])\nif not p.exists(): p.touch(); sys.exit('first time')"
    found = run(code, str(marker))
    assert found.succeeded == 3
    assert [failure.restart for failure in found.failures] == [0]
    assert "exited with code 1" in found.failures[0].reason
    assert "first time" in found.failures[0].stderr_tail
    assert not found.sound


def test_one_that_hangs_is_killed_and_is_a_failure() -> None:
    found = run("import time; time.sleep(60)", restarts=2, timeout=0.5)
    assert found.succeeded == 0
    assert "did not end within" in found.failures[0].reason


def test_temporary_files_that_stay_are_named() -> None:
    found = run("import tempfile; tempfile.NamedTemporaryFile(prefix='left-', delete=False)")
    assert len(found.files) == 4
    assert all(name.startswith("left-") for name in found.files)
    assert not found.sound


def test_shared_memory_that_stays_is_named() -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("no POSIX shared memory to look at")
    code = "import os; open(f'/dev/shm/imgtool-test-{os.getpid()}', 'w').close()"
    found = run(code)
    try:
        assert len(found.shared_memory) == 4
        assert all("imgtool-test-" in name for name in found.shared_memory)
        assert not found.sound
    finally:
        for name in found.shared_memory:
            Path(name).unlink()


def test_processes_that_outlive_their_parent_are_counted_and_ended() -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)\n"
        "import time; time.sleep(0.3)"
    )
    found = run(code, restarts=2)
    assert found.outlived == 2
    assert found.processes == ()  # they were ended before the last look
    assert not found.sound


@pytest.mark.slow
def test_memory_that_grows_from_start_to_start_is_found(tmp_path: Path) -> None:
    found = run(GROWING, str(tmp_path / "count"), restarts=12)
    (memory,) = (drift for drift in found.drifts if drift.is_memory)
    assert memory.grows is True
    assert memory.low > 0.5
    assert not found.sound


@pytest.mark.slow
def test_a_hundred_starts_of_imgtool(tmp_path: Path) -> None:
    from tests.pictures import flat

    image = flat(tmp_path / "x.png", (9, 9, 9), (64, 48))
    words = ("analyze", str(image), "--tasks", "caption", "--caption-engine", "describe", "--no-cache", "--quiet")
    command = (sys.executable, "-m", "imgtool", *words)
    found = soak(Arm(name="describe", kind=ArmKind.ANALYZE, command=command), 100, timeout=60)
    assert (found.succeeded, found.files, found.shared_memory, found.processes, found.outlived) == (100, (), (), (), 0)
