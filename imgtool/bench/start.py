"""One fresh process of an arm for the long experiments, without the page cache's and the warm-up runs' ceremony."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imgtool.bench.memory import memory_of
from imgtool.bench.phases import course, read_trace
from imgtool.bench.process import Ended, Launcher
from imgtool.bench.record import Arm, ArmKind, Sample
from imgtool.runtime.process import describe_exit
from imgtool.trace import FILE_VARIABLE

_TAIL_BYTES = 2000


def start(
    arm: Arm, number: int, launcher: Launcher, scratch: Path, timeout: float, environment: Mapping[str, str]
) -> tuple[Sample, Ended]:
    """Start ``arm`` once and wait for its end: the sample, and what the launcher saw. A failure is ``Sample.error``.

    ``timeout`` is seconds; ``scratch`` a folder for what it says; ``environment`` is added to the launcher's.

    Raises:
        imgtool.bench.process.LauncherGone: the launcher was killed.
    """
    trace, stderr = scratch / "trace.jsonl", scratch / "stderr"
    trace.unlink(missing_ok=True)
    ended = launcher.run(
        arm.command,
        environment={**environment, FILE_VARIABLE: str(trace)},
        stdout=Path("/dev/null"),
        stderr=stderr,
        timeout=timeout,
    )
    seen = course(read_trace(trace), ended.spawned_ns)
    without_result = arm.kind is not ArmKind.COMMAND and seen.first_result is None
    sample = Sample(
        arm=arm.name,
        run=number,
        order=number,
        exit_code=None if ended.failed else ended.code,
        error=_failure(ended, without_result, timeout),
        stderr_tail=stderr.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace") if stderr.exists() else "",
        wall=ended.seconds,
        startup=seen.startup,
        first_result=seen.first_result,
        steady=seen.steady,
        memory=memory_of(ended, seen, launcher.own_rss),
    )
    return sample, ended


def _failure(ended: Ended, without_result: bool, timeout: float) -> str | None:
    if ended.failed:
        return f"could not be started: {ended.failed}"
    if ended.timed_out:
        return f"did not end within {timeout:g} s and was killed"
    if ended.code:
        return describe_exit(ended.code)
    return "ended without a result" if without_result else None
