"""Images a second: by arm, batch size, workers and threads, each combination in fresh processes.

Two rates are taken of each run. *Steady* is that from the first result to the last, which a long run approaches.
*Overall* counts everything from before the process was started to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from imgtool.bench.data.record import RunSample
from imgtool.bench.measure.experiment import Contender, interleaved
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.sample_process import start
from imgtool.bench.roofline.bounds import Part, Rates, Roofline
from imgtool.bench.stats.statistics import Summary, summarise
from imgtool.files import scratch_folder
from imgtool.ground.cores import granted_cores

SCHEMA_VERSION = 1

_LOOK_SECONDS = 0.1  # sampling memory seldom disturbs little


class Cell(Struct, frozen=True, kw_only=True):
    """One combination; ``None`` where the arm has no such setting. ``threads`` are those of a computing process."""

    arm: str
    batch_size: int | None
    threads: int | None
    workers: int | None = None

    def __str__(self) -> str:
        """``compiled, batches of 8, 2 threads``."""
        parts = [self.arm]
        if self.batch_size is not None:
            parts.append(f"batches of {self.batch_size}")
        if self.workers is not None:
            parts.append(f"{self.workers} worker{'s' if self.workers > 1 else ''}")
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
    rate a thread of the cell with the fewest threads of its arm, batch size and workers: 1 where twice the threads are
    twice as fast. ``per_cpu_second`` is images a second of processor time, ``busy`` the share of the granted cores that
    was used from the start of a process to its end, ``peak_anon`` the own memory of all its processes, in bytes."""

    cell: Cell
    runs: tuple[ThroughputRun, ...]
    error: str | None = None
    stderr_tail: str = ""
    overall: Summary | None = None
    steady: Summary | None = None
    per_core: float | None = None
    per_cpu_second: float | None = None
    busy: float | None = None
    peak_anon: float | None = None
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
    rates: Rates | None = None
    rooflines: dict[str, Roofline] = {}
    """By arm: the least time of an image beside that of the arm's fastest cell."""
    interrupted: bool = False
    """Whether it was stopped before all runs were taken."""


@dataclass(frozen=True)
class Measured:
    """The cells, and whether an interrupt came before all runs were taken."""

    cells: list[CellResult]
    interrupted: bool


def measure(
    contenders: Sequence[tuple[Cell, Contender]],
    images: int,
    *,
    runs: int,
    timeout: float,
    say: Callable[[str], None],
    ignored_codes: Collection[int] | None = (),
) -> Measured:
    """Run every cell ``runs`` times, cells taking turns, so that what the machine does meanwhile affects all of them.

    A cell that fails is not run again; exit codes in ``ignored_codes`` (``None``: all) are no failures. ``images`` is
    how many each run analyzes, ``timeout`` seconds a run. ``KeyboardInterrupt`` ends it early.

    Raises:
        imgtool.bench.measure.launcher_client.LauncherGone: the process that starts the runs was killed.
    """
    taken: dict[Cell, list[ThroughputRun]] = {cell: [] for cell, _ in contenders}
    failed: dict[Cell, RunSample] = {}
    interrupted = True
    with (
        suppress(KeyboardInterrupt),
        scratch_folder("bench") as scratch,
        Launcher(look_seconds=_LOOK_SECONDS) as launcher,
    ):
        for (cell, contender), number in interleaved(contenders, runs, warm_ups=0):
            if cell in failed:
                continue
            say(f"run {number + 1} of {runs}: {cell}")
            sample, ended = start(contender.arm, number, launcher, scratch, timeout, {}, ignored_codes)
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
        interrupted = False
    results = [_result(cell, tuple(found), images, failed.get(cell)) for cell, found in taken.items()]
    fewest: dict[Cell, CellResult] = {}
    for result in sorted(results, key=lambda result: result.cell.threads or 0):
        if result.rate is not None and result.cell.threads is not None:
            fewest.setdefault(replace(result.cell, threads=None), result)
    cells = [_with_efficiency(result, fewest.get(replace(result.cell, threads=None))) for result in results]
    return Measured(cells, interrupted)


def rooflines(cells: Sequence[CellResult], parts: Mapping[str, tuple[Part, ...]], rates: Rates) -> dict[str, Roofline]:
    """The least time of an image at ``rates``, by arm, beside the time in the arm's fastest cell; ``parts`` is the work
    of an image by arm. An arm without known work has none."""
    found: dict[str, Roofline] = {}
    for result in cells:
        work, rate = parts.get(result.cell.arm), result.rate
        if work and rate is not None and rate.median > 0:
            roofline = Roofline(rates=rates, parts=work, measured_seconds=1 / rate.median)
            best = found.get(result.cell.arm, roofline)
            found[result.cell.arm] = min(best, roofline, key=lambda each: each.measured_seconds)
    return found


def _result(cell: Cell, runs: tuple[ThroughputRun, ...], images: int, failed: RunSample | None) -> CellResult:
    if failed is not None or not runs:
        reason, tail = ("", "") if failed is None else (failed.error or "", failed.stderr_tail)
        return CellResult(cell=cell, runs=runs, error=reason or "was not run", stderr_tail=tail)
    known = [run.steady for run in runs if run.steady is not None]
    overall = summarise([run.overall for run in runs])
    steady = summarise(known) if len(known) == len(runs) else None
    cpu = [run.cpu_seconds for run in runs if run.cpu_seconds > 0]
    threads = None if cell.threads is None else cell.threads * (cell.workers or 1)
    cores = granted_cores() if threads is None else min(threads, granted_cores())
    anon = [float(run.peak_anon) for run in runs if run.peak_anon is not None]
    busy = summarise([run.cpu_seconds / run.wall for run in runs]).median / granted_cores()
    return CellResult(
        cell=cell,
        runs=runs,
        overall=overall,
        steady=steady,
        per_core=(steady or overall).median / cores,
        per_cpu_second=images / summarise(cpu).median if cpu else None,
        busy=busy if cpu else None,
        peak_anon=summarise(anon).median if anon else None,
    )


def _with_efficiency(result: CellResult, base: CellResult | None) -> CellResult:
    threads = result.cell.threads
    if base is None or base is result or result.rate is None or base.rate is None or threads is None:
        return result
    return replace(result, efficiency=(result.rate.median / threads) / (base.rate.median / (base.cell.threads or 1)))
