"""One fresh process of an arm, traced, timed and weighed: how every experiment comes by its samples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from imgtool.bench.arms.arms import CACHED
from imgtool.bench.data.record import Arm, ArmKind, Sample
from imgtool.bench.measure.memory import memory_of
from imgtool.bench.measure.phases import Course, course, read_trace
from imgtool.bench.measure.process import Ended, Launcher
from imgtool.runtime.process import describe_exit
from imgtool.trace import FILE_VARIABLE

_TAIL_BYTES = 4000


def start(
    arm: Arm, number: int, launcher: Launcher, scratch: Path, timeout: float, environment: Mapping[str, str]
) -> tuple[Sample, Ended]:
    """Start ``arm`` once and wait for its end: the sample, and what the launcher saw. A failure is ``Sample.error``.

    ``timeout`` is seconds; ``scratch`` a folder for what it says; ``environment`` is added to the launcher's.

    Raises:
        imgtool.bench.measure.process.LauncherGone: the launcher was killed.
    """
    began_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    ended, seen = _run(arm, launcher, scratch, timeout, environment)
    sample = Sample(
        arm=arm.name,
        run=number,
        order=number,
        began_at=began_at,
        exit_code=None if ended.failed else ended.code,
        error=_failure(ended, arm, seen, timeout),
        stderr_tail=_stderr_tail(scratch),
        wall=ended.seconds,
        startup=seen.startup,
        first_result=seen.first_result,
        steady=seen.steady,
        phases=seen.phases,
        memory=memory_of(ended, seen, launcher.own_rss, launcher.look_seconds),
    )
    return sample, ended


def _run(
    arm: Arm, launcher: Launcher, scratch: Path, timeout: float, environment: Mapping[str, str]
) -> tuple[Ended, Course]:
    # A name of its own: what a former process still writes is no part of this one's course.
    trace = scratch / f"trace-{time.monotonic_ns()}.jsonl"
    ended = launcher.run(
        arm.command,
        environment={**environment, FILE_VARIABLE: str(trace)},
        stdout=Path("/dev/null"),
        stderr=scratch / "stderr",
        timeout=timeout,
    )
    seen = course(read_trace(trace), ended.spawned_ns)
    trace.unlink(missing_ok=True)
    return ended, seen


def _stderr_tail(scratch: Path) -> str:
    try:
        said = (scratch / "stderr").read_bytes()
    except OSError:
        return ""
    return said[-_TAIL_BYTES:].decode("utf-8", "replace")


def _failure(ended: Ended, arm: Arm, seen: Course, timeout: float) -> str | None:
    """Why a sample does not count, in words."""
    if ended.failed:
        return f"could not be started: {ended.failed}"
    if ended.timed_out:
        return f"did not end within {timeout:g} s and was killed"
    if ended.code:
        return describe_exit(ended.code)
    if arm.kind is not ArmKind.COMMAND and seen.first_result is None:
        return "ended without a result"
    if arm.name == CACHED and arm.kind is ArmKind.ANALYZE and any(p.name.startswith("load ") for p in seen.phases):
        return "was to answer from its cache, and loaded a model"
    return None
