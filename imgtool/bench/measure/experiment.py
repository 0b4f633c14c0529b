"""Runs an experiment: every arm's samples in their order, and what else the machine did meanwhile."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from imgtool import __version__
from imgtool.bench.arms.order import interleaved
from imgtool.bench.data.record import Arm, Experiment, ExperimentSettings, Noise, RunSample
from imgtool.bench.measure.machine import describe_machine
from imgtool.bench.measure.noise import NoiseWatch
from imgtool.bench.measure.sampler import Case, Sampler


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

    def begins(self, case: Case, done: int, total: int) -> None:
        """A sample is about to be taken; ``done`` of ``total`` were."""

    def ended(self, sample: RunSample) -> None:
        """A sample was taken, or failed."""

    def notice(self, text: str) -> None:
        """Something about the machine, with what to do about it."""


def run_experiment(design: Design, observer: ExperimentObserver | None = None) -> Experiment:
    """Take every sample of ``design``. An arm that fails once is not run again; the others go on.

    Raises:
        imgtool.bench.measure.launcher_client.LauncherGone: the process that starts the samples was killed.
    """
    observer = observer or ExperimentObserver()
    empty, settings = planned(design), design.settings
    watch = NoiseWatch()
    for notice in watch.notices_before():
        observer.notice(notice)
    cells = [(contender.arm, state) for contender in design.contenders for state in settings.page_cache]
    total = len(cells) * (settings.runs + settings.warm_ups)
    samples: list[RunSample] = []
    failed: set[str] = set()
    with Sampler(design.timeout, {contender.arm.name: contender.files for contender in design.contenders}) as sampler:
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
    return replace(empty, noise=watch.finish(), samples=tuple(samples))


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
