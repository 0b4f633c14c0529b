"""Starting again and again: does every start succeed, is anything left behind, does any figure grow.

Each start is a fresh process of an arm, measured as every sample of ``imgtool bench`` is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imgtool.bench.data.record import Arm, Metric, RunSample
from imgtool.bench.experiments.left_behind import LeftBehind
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.sample_process import start
from imgtool.bench.report.units import metric_text
from imgtool.bench.stats.slope import slope
from imgtool.files import scratch_folder

TIME_MARGIN, MEMORY_MARGIN = 0.1, 0.05
"""Share of the median: a figure grows if its drift over all restarts is certainly more."""


class Drift(Struct, frozen=True, kw_only=True):
    """Change of a figure from the first restart to the last, as a share of its median, with its interval.

    ``grows`` is ``None`` where the interval contains the margin. ``judged``: wall times are shown only, and processor
    time is judged in their place, because another program that starts meanwhile lengthens the one and hardly the other.
    """

    name: str
    is_memory: bool
    median: float
    change: float
    low: float
    high: float
    grows: bool | None
    judged: bool


class SoakFailure(Struct, frozen=True, kw_only=True):
    """A start that did not succeed."""

    restart: int
    reason: str
    stderr_tail: str


class Soak(Struct, frozen=True, kw_only=True):
    """The restarts of one arm. Names in the three lists are what was still there after the last."""

    arm: str
    restarts: int
    succeeded: int
    failures: tuple[SoakFailure, ...]
    files: tuple[str, ...]
    shared_memory: tuple[str, ...]
    processes: tuple[str, ...]
    outlived: int
    """Processes in all that were still running when the one that was started had ended."""
    drifts: tuple[Drift, ...]
    samples: tuple[RunSample, ...]
    interrupted: bool = False
    """Whether it was stopped early: then ``restarts`` is how many there were."""

    @property
    def sound(self) -> bool:
        """Every start succeeded, nothing was left behind, and no figure that is judged certainly grows."""
        left = self.files or self.shared_memory or self.processes or self.outlived
        grows = any(drift.grows for drift in self.drifts if drift.judged)
        return self.succeeded == self.restarts and not left and not grows


def soak(
    arm: Arm,
    restarts: int,
    *,
    timeout: float,
    ignored_codes: Collection[int] | None = (),
    on_sample: Callable[[int, RunSample], None] = lambda number, sample: None,
) -> Soak:
    """Start ``arm`` ``restarts`` times, one after the other. ``timeout`` is seconds a start; exit codes in
    ``ignored_codes`` (``None``: all) are no failures. An interrupt after the first start ends it early.

    Raises:
        KeyboardInterrupt: it came before the first start had ended.
        imgtool.bench.measure.launcher_client.LauncherGone: the process that starts them was killed.
    """
    with scratch_folder("bench") as scratch:
        folder = Path(scratch, "tmp")
        folder.mkdir()
        left_behind = LeftBehind(folder, uuid.uuid4().hex)
        samples: list[RunSample] = []
        cpu_seconds: list[float] = []
        outlived = 0
        with suppress(KeyboardInterrupt), Launcher() as launcher:
            for number in range(restarts):
                environment = left_behind.environment
                sample, ended = start(arm, number, launcher, scratch, timeout, environment, ignored_codes)
                samples.append(replace(sample, phases=()))  # no drift is of a phase, and restarts are many
                cpu_seconds.append(ended.cpu_seconds)
                outlived += ended.left_behind
                on_sample(number, sample)
        traces = left_behind.look()
    if not samples:
        raise KeyboardInterrupt
    failed = [sample for sample in samples if sample.error is not None]
    return Soak(
        arm=arm.name,
        restarts=len(samples),
        succeeded=len(samples) - len(failed),
        failures=tuple(SoakFailure(restart=s.run, reason=s.error or "", stderr_tail=s.stderr_tail) for s in failed),
        files=tuple(sorted(traces.files)),
        shared_memory=tuple(sorted(traces.shared_memory)),
        processes=tuple(sorted(traces.processes)),
        outlived=outlived,
        drifts=tuple(_drifts(samples, cpu_seconds)),
        samples=tuple(samples),
        interrupted=len(samples) < restarts,
    )


def _drifts(samples: Sequence[RunSample], cpu_seconds: Sequence[float]) -> Iterator[Drift]:
    good = [sample for sample in samples if sample.error is None]

    def figures(metric: Metric) -> dict[int, float]:
        return {sample.run: value for sample in good if (value := sample.value(metric)) is not None}

    for metric in (Metric.STARTUP, Metric.FIRST_RESULT, Metric.WALL):
        yield from _drift(metric_text(metric), figures(metric), len(samples), judged=False)
    yield from _drift("processor time", {sample.run: cpu_seconds[sample.run] for sample in good}, len(samples))
    peak = Metric.PEAK_ANON
    yield from _drift(metric_text(peak), figures(peak), len(samples), is_memory=True)


def _drift(
    name: str, values: Mapping[int, float], restarts: int, *, is_memory: bool = False, judged: bool = True
) -> Iterator[Drift]:
    """How a figure changes with the number of its restart; nothing where too few restarts have it."""
    found = slope(list(map(float, values)), list(values.values()))
    if found is None or found.level <= 0:
        return
    change, low, high = (each * (restarts - 1) / found.level for each in (found.estimate, found.low, found.high))
    margin = MEMORY_MARGIN if is_memory else TIME_MARGIN
    yield Drift(
        name=name,
        is_memory=is_memory,
        median=found.level,
        change=change,
        low=low,
        high=high,
        grows=True if low > margin else False if high <= margin else None,
        judged=judged,
    )
