"""Images a second: by arm, batch size and number of threads, each combination in fresh processes.

Two rates are taken of each run. *Steady* is that from the first result to the last, which a long run approaches.
*Overall* counts everything from before the process was started to its end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imgtool.bench.data.record import RunSample
from imgtool.bench.measure.experiment import Contender, interleaved
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.sample_process import start
from imgtool.bench.stats.statistics import Summary, summarise
from imgtool.ground.cores import granted_cores

SCHEMA_VERSION = 1

_LOOK_SECONDS = 0.1  # memory is not the subject here; sampling it seldom disturbs little


class Cell(Struct, frozen=True, kw_only=True):
    """One combination; ``None`` where the arm has no such setting. ``threads`` are those of the computing process."""

    arm: str
    batch_size: int | None
    threads: int | None

    def __str__(self) -> str:
        """``compiled, batches of 8, 2 threads``."""
        parts = [self.arm]
        if self.batch_size is not None:
            parts.append(f"batches of {self.batch_size}")
        if self.threads is not None:
            parts.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        return ", ".join(parts)


class ThroughputRun(Struct, frozen=True, kw_only=True):
    """One fresh process. Rates are images a second; ``steady`` is ``None`` for a program that does not say when its
    results come, and for a single image. ``cpu_seconds`` are those of all its processes."""

    overall: float
    steady: float | None
    wall: float
    cpu_seconds: float
    peak_anon: int | None


class CellResult(Struct, frozen=True, kw_only=True):
    """The runs of a cell. ``per_core`` is images a second and core: its rate divided by the cores it could use, which
    are its threads, or those that are granted where it has more. ``efficiency`` is its rate a thread divided by the
    rate a thread of the cell with the fewest threads of its arm and batch size: 1 where twice the threads are twice as
    fast. ``per_cpu_second`` is images a second of processor time."""

    cell: Cell
    runs: tuple[ThroughputRun, ...]
    error: str | None = None
    stderr_tail: str = ""
    overall: Summary | None = None
    steady: Summary | None = None
    per_core: float | None = None
    per_cpu_second: float | None = None
    efficiency: float | None = None

    @property
    def rate(self) -> Summary | None:
        """The steady rate where it is known, else the overall one."""
        return self.steady or self.overall


class Throughput(Struct, frozen=True, kw_only=True):
    """All of it."""

    schema_version: int = SCHEMA_VERSION
    tool: str = "imgtool bench throughput"
    images: int
    image_bytes: int
    sizes: tuple[str, ...]
    cores: int
    runs: int
    cells: tuple[CellResult, ...]


def measure(
    contenders: Sequence[tuple[Cell, Contender]],
    images: int,
    *,
    runs: int,
    timeout: float,
    say: Callable[[str], None],
) -> list[CellResult]:
    """Run every cell ``runs`` times, cells taking turns, so that what the machine does meanwhile affects all of them.

    A cell that fails is not run again. ``images`` is how many each run analyzes, ``timeout`` seconds a run.

    Raises:
        imgtool.bench.measure.launcher_client.LauncherGone: the process that starts the runs was killed.
    """
    taken: dict[Cell, list[ThroughputRun]] = {cell: [] for cell, _ in contenders}
    failed: dict[Cell, RunSample] = {}
    with (
        tempfile.TemporaryDirectory(prefix="imgtool-bench-") as scratch,
        Launcher(look_seconds=_LOOK_SECONDS) as launcher,
    ):
        for (cell, contender), number in interleaved(contenders, runs, warm_ups=0):
            if cell in failed:
                continue
            say(f"run {number + 1} of {runs}: {cell}")
            sample, ended = start(contender.arm, number, launcher, Path(scratch), timeout, {})
            if sample.error is not None:
                failed[cell] = sample
                say(f"{cell} failed: {sample.error}")
                continue
            run = ThroughputRun(
                overall=images / sample.wall,
                steady=1 / sample.steady if sample.steady else None,
                wall=sample.wall,
                cpu_seconds=ended.cpu_seconds,
                peak_anon=None if sample.memory is None else sample.memory.peak_anon,
            )
            taken[cell].append(run)
    results = [_result(cell, tuple(found), images, failed.get(cell)) for cell, found in taken.items()]
    fewest: dict[tuple[str, int | None], CellResult] = {}
    for result in sorted(results, key=lambda result: result.cell.threads or 0):
        if result.rate is not None and result.cell.threads is not None:
            fewest.setdefault((result.cell.arm, result.cell.batch_size), result)
    return [_with_efficiency(result, fewest.get((result.cell.arm, result.cell.batch_size))) for result in results]


def _result(cell: Cell, runs: tuple[ThroughputRun, ...], images: int, failed: RunSample | None) -> CellResult:
    if failed is not None or not runs:
        reason, tail = ("", "") if failed is None else (failed.error or "", failed.stderr_tail)
        return CellResult(cell=cell, runs=runs, error=reason or "was not run", stderr_tail=tail)
    known = [run.steady for run in runs if run.steady is not None]
    overall = summarise([run.overall for run in runs])
    steady = summarise(known) if len(known) == len(runs) else None
    cpu = [run.cpu_seconds for run in runs if run.cpu_seconds > 0]
    cores = granted_cores() if cell.threads is None else min(cell.threads, granted_cores())
    return CellResult(
        cell=cell,
        runs=runs,
        overall=overall,
        steady=steady,
        per_core=(steady or overall).median / cores,
        per_cpu_second=images / summarise(cpu).median if cpu else None,
    )


def _with_efficiency(result: CellResult, base: CellResult | None) -> CellResult:
    threads = result.cell.threads
    if base is None or base is result or result.rate is None or base.rate is None or threads is None:
        return result
    return replace(result, efficiency=(result.rate.median / threads) / (base.rate.median / (base.cell.threads or 1)))
