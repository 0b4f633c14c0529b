"""Images a second: by arm, batch size and number of threads, a fresh process for every run of every combination.

Two rates are taken of each run. *Steady* is that from the first result to the last: what a long run comes to.
*Overall* counts everything from before the process was started to its end: what a short run comes to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from imgtool.bench.data.record import Sample
from imgtool.bench.measure.experiment import Contender
from imgtool.bench.measure.process import Launcher
from imgtool.bench.measure.sample_process import start
from imgtool.bench.stats.statistics import Summary, summarise
from imgtool.ground.cores import granted_cores

SCHEMA_VERSION = 1

_LOOK_SECONDS = 0.1  # memory is not the subject here; looking seldom disturbs little


class Cell(Struct, frozen=True, kw_only=True):
    """One combination; ``None`` where the arm has no such setting. ``threads`` are those of the computing process."""

    arm: str
    batch_size: int | None
    threads: int | None


class Run(Struct, frozen=True, kw_only=True):
    """One fresh process. Rates are images a second; ``steady`` is ``None`` for a program that does not say when its
    results come, and for a single image. ``cpu_seconds`` are those of all its processes."""

    overall: float
    steady: float | None
    wall: float
    cpu_seconds: float
    peak_anon: int | None


class Measured(Struct, frozen=True, kw_only=True):
    """What came of a cell. ``per_core`` is images a second and core: its rate divided by the cores it could use, which
    are its threads, or those that are granted where it has more. ``efficiency`` is its rate a thread divided by the
    rate a thread of the cell with the fewest threads of its arm and batch size: 1 where twice the threads are twice as
    fast, and less with every thread that has no core. ``per_cpu_second`` is images a second of processor time."""

    cell: Cell
    runs: tuple[Run, ...]
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
    cells: tuple[Measured, ...]


def measure(
    contenders: Sequence[tuple[Cell, Contender]],
    images: int,
    *,
    runs: int,
    timeout: float,
    say: Callable[[str], None],
) -> list[Measured]:
    """Run every cell ``runs`` times, cells taking turns, so that what the machine does meanwhile hits all of them.

    A cell that fails is not run again. ``images`` is how many each run analyzes, ``timeout`` seconds a run.

    Raises:
        imgtool.bench.measure.process.LauncherGone: the process that starts the runs was killed.
    """
    found: dict[Cell, list[Run]] = {cell: [] for cell, _ in contenders}
    failed: dict[Cell, Sample] = {}
    with (
        tempfile.TemporaryDirectory(prefix="imgtool-bench-") as scratch,
        Launcher(look_seconds=_LOOK_SECONDS) as launcher,
    ):
        for number in range(runs):
            # Forwards and backwards: a machine that slows down steadily slows all cells alike.
            for cell, contender in contenders if number % 2 == 0 else reversed(contenders):
                if cell in failed:
                    continue
                say(f"run {number + 1} of {runs}: {cell_text(cell)}")
                sample, ended = start(contender.arm, number, launcher, Path(scratch), timeout, {})
                if sample.error is not None:
                    failed[cell] = sample
                    say(f"{cell_text(cell)} failed: {sample.error}")
                else:
                    found[cell].append(_run(sample, ended.cpu_seconds, images))
    return _with_efficiency([_measured(cell, tuple(taken), failed.get(cell)) for cell, taken in found.items()])


def cell_text(cell: Cell) -> str:
    """``compiled, batches of 8, 2 threads``."""
    parts = [cell.arm]
    if cell.batch_size is not None:
        parts.append(f"batches of {cell.batch_size}")
    if cell.threads is not None:
        parts.append(f"{cell.threads} thread{'s' if cell.threads > 1 else ''}")
    return ", ".join(parts)


def _run(sample: Sample, cpu_seconds: float, images: int) -> Run:
    return Run(
        overall=images / sample.wall,
        steady=1 / sample.steady if sample.steady else None,
        wall=sample.wall,
        cpu_seconds=cpu_seconds,
        peak_anon=None if sample.memory is None else sample.memory.peak_anon,
    )


def _measured(cell: Cell, runs: tuple[Run, ...], failed: Sample | None) -> Measured:
    if failed is not None or not runs:
        reason, tail = ("", "") if failed is None else (failed.error or "", failed.stderr_tail)
        return Measured(cell=cell, runs=runs, error=reason or "was not run", stderr_tail=tail)
    steady = [run.steady for run in runs if run.steady is not None]
    overall = summarise([run.overall for run in runs])
    rate = summarise(steady) if len(steady) == len(runs) else None
    images = runs[0].overall * runs[0].wall
    cpu = [run.cpu_seconds for run in runs if run.cpu_seconds > 0]
    return Measured(
        cell=cell,
        runs=runs,
        overall=overall,
        steady=rate,
        per_core=(rate or overall).median / _cores_of(cell),
        per_cpu_second=images / summarise(cpu).median if cpu else None,
    )


def _cores_of(cell: Cell) -> int:
    """A thread more than there are cores adds none."""
    granted = granted_cores()
    return granted if cell.threads is None else min(cell.threads, granted)


def _with_efficiency(cells: Sequence[Measured]) -> list[Measured]:
    from msgspec.structs import replace

    fewest: dict[tuple[str, int | None], Measured] = {}
    for found in sorted((each for each in cells if each.cell.threads is not None), key=lambda f: f.cell.threads or 0):
        if found.rate is not None:
            fewest.setdefault((found.cell.arm, found.cell.batch_size), found)
    return [replace(found, efficiency=_efficiency(found, fewest)) for found in cells]


def _efficiency(found: Measured, fewest: dict[tuple[str, int | None], Measured]) -> float | None:
    base = fewest.get((found.cell.arm, found.cell.batch_size))
    if base is None or base is found or found.rate is None or base.rate is None or found.cell.threads is None:
        return None
    return (found.rate.median / found.cell.threads) / (base.rate.median / (base.cell.threads or 1))
