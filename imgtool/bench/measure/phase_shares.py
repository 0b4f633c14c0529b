"""Where the time to the first result went: every moment is counted once, so that shares add up to the whole.

Phases overlap: a span of the parent goes on while the worker imports, and models load and tasks compute at the same
time. A moment belongs to the phase that began last, which of nested phases is the inner one. Tasks that compute at the
same time, and models that load at the same time, share it equally.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from imgtool.bench.data.record import Experiment, PageCache, RunSample, SamplePhase
from imgtool.types import Task

OTHER = "other"
"""Moments that no phase covers, such as communication between processes."""
_TASKS = {task.value for task in Task}


def shares(sample: RunSample) -> dict[str, float]:
    """Seconds by phase from the spawn to the first result; they add up to it. Empty where it has none."""
    end = sample.first_result
    if end is None or not sample.phases:
        return {}
    ends = (cut for phase in sample.phases for cut in (phase.began, phase.began + phase.seconds))
    cuts = sorted({0.0, end, *(cut for cut in ends if 0 < cut < end)})
    found: dict[str, float] = {}
    for begin, finish in pairwise(cuts):
        names = _owners(sample.phases, (begin + finish) / 2)
        for name in names:
            found[name] = found.get(name, 0.0) + (finish - begin) / len(names)
    return found


def median_shares(experiment: Experiment, arm: str, state: PageCache = PageCache.WARM) -> dict[str, float]:
    """The median seconds of each phase over the counted samples of an arm, in the order in which phases begin; a sample
    without it counts as 0."""
    counted = [(sample, found) for sample in experiment.succeeded(arm, state) if (found := shares(sample))]
    began = {
        phase.name: phase.began for sample, _ in counted for phase in sorted(sample.phases, key=lambda p: -p.began)
    }
    names = dict.fromkeys(name for _, found in counted for name in found)
    ordered = sorted(names, key=lambda name: began.get(name, float("inf")))
    medians = {name: median(found.get(name, 0.0) for _, found in counted) for name in ordered}
    return {name: seconds for name, seconds in medians.items() if seconds > 0}


def _owners(phases: Sequence[SamplePhase], moment: float) -> set[str]:
    here = [phase for phase in phases if phase.began <= moment < phase.began + phase.seconds]
    if not here:
        return {OTHER}
    inner = max(here, key=lambda phase: phase.began).name
    return {phase.name for phase in here if _kind(phase.name) == _kind(inner)} if _kind(inner) else {inner}


def _kind(name: str) -> str:
    """What a phase shares its moments with, if anything."""
    return "task" if name in _TASKS else "load" if name.startswith("load ") else ""
