"""One fresh process of an arm: what makes it a failed one, and what is said of how it was weighed."""

from __future__ import annotations

import sys
from pathlib import Path

from imgtool.bench.arms.definitions import CACHED
from imgtool.bench.data.record import Arm, ArmKind, RunSample
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.sample_process import start
from tests.pictures import flat


def started(arm: Arm, scratch: Path, look_seconds: float = 0.02) -> RunSample:
    with Launcher(look_seconds=look_seconds) as launcher:
        sample, _ = start(arm, 0, launcher, scratch, 60, {})
    return sample


def analyzing(image: Path, *words: str) -> Arm:
    """The arm ``cached`` with a command of the test's own."""
    command = (sys.executable, "-m", "imgtool", "analyze", str(image), "--tasks", "caption", *words)
    return Arm(name=CACHED, kind=ArmKind.ANALYZE, command=(*command, "--caption-engine", "describe", "--quiet"))


def test_an_arm_that_is_to_answer_from_its_cache_must_not_load(tmp_path: Path) -> None:
    arm = analyzing(flat(tmp_path / "x.png"))
    assert started(arm, tmp_path).error == "loaded a model, and should have answered from its cache"
    assert started(arm, tmp_path).error is None, "the second finds what the first kept"


def test_phases_are_known(tmp_path: Path) -> None:
    found = started(analyzing(flat(tmp_path / "x.png"), "--no-cache"), tmp_path)
    assert "load describe" in {phase.name for phase in found.phases}


def test_it_is_said_how_often_the_memory_was_looked_at(tmp_path: Path) -> None:
    arm = Arm(name="sleeps", kind=ArmKind.COMMAND, command=("sleep", "0.3"))
    found = started(arm, tmp_path, look_seconds=0.1)
    assert found.memory is not None
    assert "every 100 ms" in found.memory.method
