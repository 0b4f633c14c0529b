"""Where the time to the first result went: each moment given to one phase, so that shares add up to the whole.

Phases overlap: a span of the parent goes on while the worker imports, and models load side by side. A moment belongs to
the phase that began last of those that go on, which of nested ones is the inner.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from imgtool.bench.record import Experiment, PageCache, Phase, Sample

OTHER = "other"
"""Moments that no phase covers: processes talking to each other, and the unmeasured rest."""


def shares(sample: Sample) -> dict[str, float]:
    """Seconds by phase from the spawn to the first result; they add up to it. Empty where it has none."""
    end = sample.first_result
    if end is None or not sample.phases:
        return {}
    cuts = sorted({0.0, end, *(cut for phase in sample.phases for cut in _ends(phase) if 0 < cut < end)})
    found: dict[str, float] = {}
    for begin, finish in pairwise(cuts):
        name = _owner(sample.phases, (begin + finish) / 2)
        found[name] = found.get(name, 0.0) + finish - begin
    return found


def median_shares(experiment: Experiment, arm: str, state: PageCache = PageCache.WARM) -> dict[str, float]:
    """The median seconds of each phase over the counted samples of an arm, in the order in which phases begin; a sample
    without it counts as 0."""
    good = [s for s in experiment.samples if s.arm == arm and s.run >= 0 and s.page_cache is state and s.error is None]
    counted = [(sample, found) for sample in good if (found := shares(sample))]
    began = {
        phase.name: phase.began for sample, _ in counted for phase in sorted(sample.phases, key=lambda p: -p.began)
    }
    names = dict.fromkeys(name for _, found in counted for name in found)
    ordered = sorted(names, key=lambda name: began.get(name, float("inf")))
    medians = {name: median(found.get(name, 0.0) for _, found in counted) for name in ordered}
    return {name: seconds for name, seconds in medians.items() if seconds > 0}


def _ends(phase: Phase) -> tuple[float, float]:
    return phase.began, phase.began + phase.seconds


def _owner(phases: Sequence[Phase], moment: float) -> str:
    here = [phase for phase in phases if phase.began <= moment < phase.began + phase.seconds]
    return max(here, key=lambda phase: phase.began).name if here else OTHER
