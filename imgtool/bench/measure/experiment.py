"""Runs an experiment: every arm's samples in their order, and what else the machine did meanwhile."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

from msgspec.structs import replace

from imgtool import __version__
from imgtool.bench.arms.commands import SHELL
from imgtool.bench.data.record import Arm, ArmKind, Experiment, ExperimentSettings, Noise, PageCache, RunSample
from imgtool.bench.measure.around import run_around
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.machine import describe_machine
from imgtool.bench.measure.noise import NoiseWatch
from imgtool.bench.measure.pagecache import prepare
from imgtool.bench.measure.sample_process import start
from imgtool.errors import ImgtoolError
from imgtool.files import scratch_folder

T = TypeVar("T")

_SHELL_RUNS = 30
_SHORTEST = 1e-6
"""Seconds of a command that takes no longer than the shell itself."""

_ONE_BY_ONE = (
    "with --setup or --cleanup arms run one after the other: a machine that becomes slower meanwhile is in the "
    "comparison; --prepare lets them take turns"
)


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

    @property
    def one_by_one(self) -> bool:
        """Whether arms run one after the other: what ``--setup`` of one makes, that of the next may replace."""
        return any(one.arm.setup or one.arm.cleanup for one in self.contenders)

    def runs_in_shell(self, arm: str) -> bool:
        """Whether the arm of this name does."""
        return any(one.arm.shell for one in self.contenders if one.arm.name == arm)


class ExperimentStopped(Exception):
    """An experiment ended early. ``experiment`` is what was measured, ``reason`` why it ended: an interrupt, or a
    failure of what runs between the samples."""

    def __init__(self, experiment: Experiment, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.experiment = experiment
        self.reason = reason


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

    Arms take turns, unless one has a ``setup`` or a ``cleanup``: then each is set up, run and cleaned up before the
    next.

    Raises:
        ExperimentStopped: it cannot go on, or was interrupted; it holds what was measured until then.
    """
    empty = planned(design)
    if design.one_by_one and len(design.contenders) > 1:
        observer.notice(_ONE_BY_ONE)
    watch = NoiseWatch()
    for notice in watch.notices_before():
        observer.notice(notice)
    samples: list[RunSample] = []
    reason: BaseException | None = None
    shell_seconds = 0.0
    with (
        scratch_folder("bench") as scratch,
        Launcher() as launcher,
    ):
        try:
            if any(one.arm.shell for one in design.contenders):
                shell_seconds = _shell_seconds(launcher)
            # Closed, so that what was set up is cleaned up, wherever an interrupt comes.
            with closing(_samples(design, observer, launcher, scratch)) as taken:
                for sample in taken:
                    shell = shell_seconds if design.runs_in_shell(sample.arm) else 0.0
                    samples.append(replace(sample, wall=max(sample.wall - shell, _SHORTEST)))
                    observer.ended(samples[-1])
        except (KeyboardInterrupt, ImgtoolError) as error:
            reason = error
    found = replace(
        empty,
        noise=watch.finish(),
        samples=tuple(samples),
        shell_seconds=shell_seconds,
        interrupted=reason is not None,
    )
    if reason is not None:
        raise ExperimentStopped(found, reason)
    return found


def _samples(
    design: Design, observer: ExperimentObserver, launcher: Launcher, scratch: Path
) -> Generator[RunSample, None, None]:
    """Every sample in its order, with what runs around them."""
    settings = design.settings
    cells = [(contender, state) for contender in design.contenders for state in settings.page_cache]
    total = len(cells) * (settings.runs + settings.warm_ups)
    failed: set[str] = set()
    order = 0
    for group in [[cell] for cell in cells] if design.one_by_one else [cells]:
        with _set_up(group):
            for (contender, state), run in interleaved(group, settings.runs, settings.warm_ups):
                arm, files = contender.arm, contender.files
                if arm.name in failed:
                    continue
                observer.begins(arm.name, run, order, total)
                run_around(arm, "prepare", arm.prepare)
                resident = prepare(files, state) if files else None
                sample, _ = start(arm, run, launcher, scratch, design.timeout, {}, settings.ignored_codes)
                yield replace(sample, order=order, page_cache=state, resident_share=resident)
                order += 1
                if sample.error is not None:
                    failed.add(arm.name)


@contextmanager
def _set_up(group: Sequence[tuple[Contender, PageCache]]) -> Iterator[None]:
    """Run what belongs before and after the arms of ``group``; the latter even if a run failed or was interrupted."""
    arms = list({contender.arm.name: contender.arm for contender, _ in group}.values())
    try:
        for arm in arms:
            run_around(arm, "setup", arm.setup)
        yield
    finally:
        for arm in arms:
            run_around(arm, "cleanup", arm.cleanup)


def _shell_seconds(launcher: Launcher) -> float:
    """How long an empty command takes in the shell, by the median of some."""
    nowhere = Path(os.devnull)
    runs = [
        launcher.run((*SHELL, ""), environment={}, stdout=nowhere, stderr=nowhere, timeout=60).seconds
        for _ in range(_SHELL_RUNS)
    ]
    return median(runs)


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
        machine=describe_machine(
            dict(pair for one in design.contenders for pair in one.weights),
            design.threads,
            libraries=any(one.arm.kind is not ArmKind.COMMAND for one in design.contenders),
        ),
        noise=Noise(),
        settings=replace(design.settings, interleaved=not design.one_by_one),
        arms=tuple(contender.arm for contender in design.contenders),
        samples=(),
        reference=design.reference,
    )
