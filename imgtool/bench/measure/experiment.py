"""Runs an experiment: every arm's samples in their order, what the machine did meanwhile, and all of it as data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from imgtool import __version__
from imgtool.bench.arms.order import interleaved
from imgtool.bench.data.record import Arm, Experiment, Noise, PageCache, Sample, Settings
from imgtool.bench.measure.machine import describe_machine
from imgtool.bench.measure.noise import Watch
from imgtool.bench.measure.sample import Case, Sampler


@dataclass(frozen=True)
class Contender:
    """An arm with what is known of it here: the models it loads (identity by name) and their files."""

    arm: Arm
    weights: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Design:
    """What is to be run. ``timeout`` is in seconds, for one sample; others are compared with the arm ``reference``."""

    contenders: tuple[Contender, ...]
    settings: Settings
    reference: str
    timeout: float
    threads: int
    command: tuple[str, ...] = tuple(sys.argv)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms in the order in which they are listed."""
        return tuple(contender.arm for contender in self.contenders)


class Observer(Protocol):
    """Hears of each step. :class:`Silent` does nothing with it."""

    def begins(self, case: Case, done: int, total: int) -> None:
        """A sample is about to be taken; ``done`` of ``total`` were."""

    def ended(self, sample: Sample) -> None:
        """It is taken, or failed."""

    def notice(self, text: str) -> None:
        """Something about the machine, with what to do about it."""


class Silent:
    """Nobody listens."""

    def begins(self, case: Case, done: int, total: int) -> None:
        """See :class:`Observer`."""

    def ended(self, sample: Sample) -> None:
        """See :class:`Observer`."""

    def notice(self, text: str) -> None:
        """See :class:`Observer`."""


def run_experiment(design: Design, observer: Observer | None = None) -> Experiment:
    """Take every sample of ``design``. An arm that fails once is not run again; the others go on.

    Raises:
        imgtool.bench.measure.process.LauncherGone: the process that starts the samples was killed.
    """
    observer = observer or Silent()
    empty = planned(design)
    watch = Watch()
    for notice in watch.notices_before():
        observer.notice(notice)
    with _sampler(design) as sampler:
        samples = _take_all(design, sampler, observer)
    return replace(empty, noise=watch.finish(), samples=tuple(samples))


def planned(design: Design) -> Experiment:
    """The experiment of ``design`` before its first sample: what it will be compared by is known already."""
    return Experiment(
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=design.command,
        machine=describe_machine(dict(pair for one in design.contenders for pair in one.weights), design.threads),
        noise=Noise(),
        settings=design.settings,
        arms=design.arms,
        samples=(),
        reference=design.reference,
    )


def _sampler(design: Design) -> AbstractContextManager[Sampler]:
    return Sampler(design.timeout, {contender.arm.name: contender.files for contender in design.contenders})


def _take_all(design: Design, sampler: Sampler, observer: Observer) -> list[Sample]:
    cells = _cells(design.arms, design.settings.page_cache)
    settings = design.settings
    total = len(cells) * (settings.runs + settings.warm_ups)
    samples: list[Sample] = []
    failed: set[str] = set()
    for number, ((arm, page_cache), run) in enumerate(interleaved(cells, settings.runs, settings.warm_ups)):
        if arm.name in failed:
            continue
        case = Case(arm, page_cache, run, order=len(samples))
        observer.begins(case, number, total)
        sample = sampler.take(case)
        samples.append(sample)
        observer.ended(sample)
        if sample.error is not None:
            failed.add(arm.name)
    return samples


def _cells(arms: Sequence[Arm], states: Sequence[PageCache]) -> list[tuple[Arm, PageCache]]:
    return [(arm, state) for arm in arms for state in states]


def failed_arms(experiment: Experiment) -> dict[str, Sample]:
    """The sample that failed, by the name of its arm."""
    return {sample.arm: sample for sample in experiment.samples if sample.error is not None}
