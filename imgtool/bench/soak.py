"""Starting again and again: does every start succeed, is anything left behind, does anything creep up.

Each start is a fresh process of an arm, timed and weighed as every sample of ``imgtool bench`` is.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from imgtool.bench.left_behind import Lookout
from imgtool.bench.memory import memory_of
from imgtool.bench.phases import course, read_trace
from imgtool.bench.process import Ended, Launcher
from imgtool.bench.record import Arm, ArmKind, Metric, Sample
from imgtool.bench.slope import Slope, slope
from imgtool.runtime.process import describe_exit
from imgtool.trace import FILE_VARIABLE

TIME_MARGIN, MEMORY_MARGIN = 0.1, 0.05
"""Share of the median: a drift over all restarts that is certainly more is one. Times also drift with the machine."""

_METRICS = (Metric.STARTUP, Metric.FIRST_RESULT, Metric.WALL, Metric.PEAK_ANON)
_TAIL_BYTES = 2000


class Drift(Struct, frozen=True, kw_only=True):
    """Change of a metric from the first restart to the last, as a share of its median, with its interval.

    ``grows`` is ``True`` or ``False`` where the interval leaves no doubt about the margin, else ``None``."""

    metric: Metric
    median: float
    change: float
    low: float
    high: float
    grows: bool | None


class Failure(Struct, frozen=True, kw_only=True):
    """A start that did not succeed."""

    restart: int
    reason: str
    stderr_tail: str


class Soak(Struct, frozen=True, kw_only=True):
    """What came of the restarts of one arm. Names in the three lists are what was still there after the last."""

    arm: str
    restarts: int
    succeeded: int
    failures: tuple[Failure, ...]
    files: tuple[str, ...]
    shared_memory: tuple[str, ...]
    processes: tuple[str, ...]
    outlived: int
    """Processes in all that were still running when the one that was started had ended."""
    drifts: tuple[Drift, ...]
    samples: tuple[Sample, ...]

    @property
    def sound(self) -> bool:
        """Every start succeeded, nothing was left behind, and nothing certainly grows."""
        left = self.files or self.shared_memory or self.processes or self.outlived
        return self.succeeded == self.restarts and not left and not any(drift.grows for drift in self.drifts)


def soak(
    arm: Arm, restarts: int, *, timeout: float, said: Callable[[int, Sample], None] = lambda number, sample: None
) -> Soak:
    """Start ``arm`` ``restarts`` times, one after the other. ``timeout`` is seconds a start.

    Raises:
        imgtool.bench.process.LauncherGone: the process that starts them was killed.
    """
    with tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch, "tmp")
        folder.mkdir()
        lookout = Lookout(folder, uuid.uuid4().hex)
        samples: list[Sample] = []
        outlived = 0
        with Launcher() as launcher:
            for number in range(restarts):
                sample, left = _start(arm, number, launcher, Path(scratch), lookout, timeout)
                samples.append(sample)
                outlived += left
                said(number, sample)
        traces = lookout.look()
    failed = [sample for sample in samples if sample.error is not None]
    return Soak(
        arm=arm.name,
        restarts=restarts,
        succeeded=restarts - len(failed),
        failures=tuple(Failure(restart=s.run, reason=s.error or "", stderr_tail=s.stderr_tail) for s in failed),
        files=tuple(sorted(traces.files)),
        shared_memory=tuple(sorted(traces.shared_memory)),
        processes=tuple(sorted(traces.processes)),
        outlived=outlived,
        drifts=tuple(found for metric in _METRICS if (found := drift(samples, metric)) is not None),
        samples=tuple(samples),
    )


def _start(
    arm: Arm, number: int, launcher: Launcher, scratch: Path, lookout: Lookout, timeout: float
) -> tuple[Sample, int]:
    trace, stderr = scratch / "trace.jsonl", scratch / "stderr"
    trace.unlink(missing_ok=True)
    ended = launcher.run(
        arm.command,
        environment={**lookout.environment, FILE_VARIABLE: str(trace)},
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
        memory=memory_of(ended, seen, launcher.own_rss),
    )
    return sample, ended.left_behind


def _failure(ended: Ended, without_result: bool, timeout: float) -> str | None:
    if ended.failed:
        return f"could not be started: {ended.failed}"
    if ended.timed_out:
        return f"did not end within {timeout:g} s and was killed"
    if ended.code:
        return describe_exit(ended.code)
    return "ended without a result" if without_result else None


def drift(samples: Sequence[Sample], metric: Metric) -> Drift | None:
    """How ``metric`` moves over the restarts; ``None`` where too few samples have it."""
    points = [(float(sample.run), value) for sample in samples if (value := sample.value(metric)) is not None]
    found = slope([run for run, _ in points], [value for _, value in points])
    if found is None or found.level <= 0:
        return None
    change, low, high = (_over_all(value, found, len(samples)) for value in (found.estimate, found.low, found.high))
    margin = MEMORY_MARGIN if metric.is_memory else TIME_MARGIN
    grows = True if low > margin else False if high <= margin else None
    return Drift(metric=metric, median=found.level, change=change, low=low, high=high, grows=grows)


def _over_all(per_restart: float, found: Slope, restarts: int) -> float:
    return per_restart * (restarts - 1) / found.level
