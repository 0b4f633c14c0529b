"""Runs an experiment: every arm's samples in their order, and what else the machine did meanwhile."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from imgtool import __version__
from imgtool.bench.data.record import Arm, Experiment, ExperimentSettings, Noise, RunSample
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.machine import describe_machine
from imgtool.bench.measure.noise import NoiseWatch
from imgtool.bench.measure.pagecache import prepare
from imgtool.bench.measure.sample_process import start

T = TypeVar("T")


@dataclass(frozen=True)
class Contender:
    """An arm, the models it loads here (name and identity) and their files."""

    arm: Arm
    weights: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Design:
    """What is to be run. ``timeout`` is in seconds, for one sample; others are compared with the arm ``reference``."""

    contenders: tuple[Contender, ...]
    settings: ExperimentSettings
    reference: str
    timeout: float
    threads: int
    command: tuple[str, ...] = tuple(sys.argv)


class ExperimentObserver:
    """Receives each step of an experiment; this one ignores them."""

    def begins(self, arm: str, run: int, done: int, total: int) -> None:
        """A sample of ``arm`` is about to be taken, ``run`` -1 for a warm-up run; ``done`` of ``total`` were."""

    def ended(self, sample: RunSample) -> None:
        """A sample was taken, or failed."""

    def notice(self, text: str) -> None:
        """Something about the machine, with what to do about it."""


def run_experiment(design: Design, observer: ExperimentObserver) -> Experiment:
    """Take every sample of ``design``. An arm that fails once is not run again; the others go on.

    Raises:
        imgtool.bench.measure.launcher_client.LauncherGone: the process that starts the samples was killed.
    """
    empty, settings = planned(design), design.settings
    watch = NoiseWatch()
    for notice in watch.notices_before():
        observer.notice(notice)
    cells = [(contender, state) for contender in design.contenders for state in settings.page_cache]
    total = len(cells) * (settings.runs + settings.warm_ups)
    samples: list[RunSample] = []
    failed: set[str] = set()
    with (
        tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as scratch,
        Launcher() as launcher,
    ):
        for number, ((contender, state), run) in enumerate(interleaved(cells, settings.runs, settings.warm_ups)):
            arm, files = contender.arm, contender.files
            if arm.name in failed:
                continue
            observer.begins(arm.name, run, number, total)
            resident = prepare(files, state) if files else None
            sample, _ = start(arm, run, launcher, Path(scratch), design.timeout, {})
            sample = replace(sample, order=len(samples), page_cache=state, resident_share=resident)
            samples.append(sample)
            observer.ended(sample)
            if sample.error is not None:
                failed.add(arm.name)
    return replace(empty, noise=watch.finish(), samples=tuple(samples))


def interleaved(cells: Sequence[T], runs: int, warm_ups: int) -> Iterator[tuple[T, int]]:
    """Each of ``cells`` with its run: warm-up runs first, numbered -1, then rounds in alternating direction.

    Two arms run as A B, B A, A B: over each pair of rounds both have the same average position, so that a steady drift
    of the machine affects both alike (counterbalancing, "ABBA").
    """
    for _ in range(warm_ups):
        for cell in cells:
            yield cell, -1
    for run in range(runs):
        for cell in cells if run % 2 == 0 else reversed(cells):
            yield cell, run


def planned(design: Design) -> Experiment:
    """The experiment of ``design`` before its first sample, with all that a comparison depends on."""
    return Experiment(
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=design.command,
        machine=describe_machine(dict(pair for one in design.contenders for pair in one.weights), design.threads),
        noise=Noise(),
        settings=design.settings,
        arms=tuple(contender.arm for contender in design.contenders),
        samples=(),
        reference=design.reference,
    )
