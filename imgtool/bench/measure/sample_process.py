"""One fresh process of an arm, traced and timed, its memory measured: how every experiment takes its samples."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from imgtool.bench.arms.definitions import CACHED
from imgtool.bench.data.record import Arm, ArmKind, RunSample
from imgtool.bench.measure.launcher_client import Launcher, ProcessEnd
from imgtool.bench.measure.memory import memory_of
from imgtool.bench.measure.phases import Course, course, read_trace
from imgtool.runtime.process import describe_exit
from imgtool.trace import FILE_VARIABLE

_TAIL_BYTES = 4000


def start(
    arm: Arm,
    number: int,
    launcher: Launcher,
    scratch: Path,
    timeout: float,
    environment: Mapping[str, str],
    ignored_codes: Collection[int] | None = (),
) -> tuple[RunSample, ProcessEnd]:
    """Start ``arm`` once and wait for its end: the sample, and what the launcher saw. A failure is in ``error``.

    ``timeout`` is seconds; ``scratch`` a folder for its output; ``environment`` is added to the launcher's. Exit codes
    in ``ignored_codes`` are no failures (``None``: no exit code is).

    Raises:
        imgtool.bench.measure.launcher_client.LauncherGone: the launcher was killed.
    """
    began_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    # A name of its own: what a former process still writes is no part of this one's trace.
    trace, stderr = scratch / f"trace-{time.monotonic_ns()}.jsonl", scratch / "stderr"
    ended = launcher.run(
        arm.command,
        environment={**environment, FILE_VARIABLE: str(trace)},
        stdout=Path("/dev/null"),
        stderr=stderr,
        timeout=timeout,
    )
    seen = course(read_trace(trace), ended.spawned_ns)
    trace.unlink(missing_ok=True)
    sample = RunSample(
        arm=arm.name,
        run=number,
        order=number,
        began_at=began_at,
        exit_code=None if ended.failed else ended.code,
        error=_failure(ended, arm, seen, timeout, ignored_codes),
        stderr_tail=stderr.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace") if stderr.is_file() else "",
        wall=ended.seconds,
        startup=seen.startup,
        first_result=seen.first_result,
        steady=seen.steady,
        phases=seen.phases,
        memory=memory_of(ended, seen, launcher.look_seconds),
    )
    return sample, ended


def _failure(
    ended: ProcessEnd, arm: Arm, seen: Course, timeout: float, ignored_codes: Collection[int] | None
) -> str | None:
    """Why a sample does not count, in words."""
    if ended.failed:
        return f"could not be started: {ended.failed}"
    if ended.timed_out:
        return f"did not end within {timeout:g} s and was killed"
    if ended.code < 0 or (ended.code and ignored_codes is not None and ended.code not in ignored_codes):
        return describe_exit(ended.code)
    if arm.kind is not ArmKind.COMMAND and seen.first_result is None:
        return "ended without a result"
    if arm.name == CACHED and arm.kind is ArmKind.ANALYZE and any(p.name.startswith("load ") for p in seen.phases):
        return "loaded a model, and should have answered from its cache"
    return None
