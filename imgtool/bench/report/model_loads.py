"""What each model took to load, arm by arm: seconds, and the memory before and after it.

Where models load at the same time in one process, the memory of each is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from imgtool.bench.data.record import Experiment, MemoryStep, PageCache, RunSample, SamplePhase
from imgtool.bench.report.findings import Findings
from imgtool.bench.report.units import bytes_text, seconds_text

HEADS = ("arm", "model", "time to load", "anonymous before", "after", "files before", "after")

_LOAD = "load "
_ALL = "all together"
_SIZES = ("anon_before", "anon_after", "file_before", "file_after")


@dataclass(frozen=True)
class ModelLoad:
    """Medians over the counted samples of an arm. ``seconds`` contains what the model imports as it loads; ``memory``
    is bytes. ``None`` is not known."""

    model: str
    seconds: float | None
    memory: MemoryStep | None


def model_loads(experiment: Experiment, arm: str, state: PageCache = PageCache.WARM) -> tuple[ModelLoad, ...]:
    """The models of an arm in the order in which they first began to load. If they load at the same time, their memory
    is ``None``, and one more entry is the time and memory of all of them."""
    samples = experiment.succeeded(arm, state)
    loads = [_loads(sample) for sample in samples]
    steps = [step for sample in samples if sample.memory for step in sample.memory.steps]
    names = dict.fromkeys(
        [*(phase.name.removeprefix(_LOAD) for each in loads for phase in each), *(step.model for step in steps)]
    )
    together = any(map(_overlap, samples))
    found = [
        ModelLoad(
            model=name,
            seconds=_median(phase.seconds for each in loads for phase in each if phase.name == _LOAD + name),
            memory=None if together else _medians([step for step in steps if step.model == name]),
        )
        for name in names
    ]
    if together:
        outermost = [
            MemoryStep(
                model=_ALL,
                anon_before=min(step.anon_before for step in sample.memory.steps),
                anon_after=max(step.anon_after for step in sample.memory.steps),
                file_before=min(step.file_before for step in sample.memory.steps),
                file_after=max(step.file_after for step in sample.memory.steps),
            )
            for sample in samples
            if sample.memory and sample.memory.steps
        ]
        spans = (max(p.began + p.seconds for p in each) - min(p.began for p in each) for each in loads if each)
        found.append(ModelLoad(_ALL, _median(spans), _medians(outermost)))
    return tuple(found)


def load_rows(findings: Findings) -> list[tuple[str, ...]]:
    """All arms and their models, in the order of :data:`HEADS`."""
    return [
        (
            name,
            load.model,
            "-" if load.seconds is None else seconds_text(load.seconds),
            *("-" if load.memory is None else bytes_text(getattr(load.memory, size)) for size in _SIZES),
        )
        for arm, state, name in findings.cells
        for load in model_loads(findings.experiment, arm, state)
    ]


def load_note(findings: Findings) -> str:
    """What to know when reading :func:`load_rows`."""
    note = "Time to load contains what a model imports as it loads, unless everything was imported before."
    together = [
        arm for arm, state, _ in findings.cells if any(map(_overlap, findings.experiment.succeeded(arm, state)))
    ]
    if together:
        note += f" Models of {', '.join(dict.fromkeys(together))} load at the same time: only their sum is known."
    return note


def _loads(sample: RunSample) -> list[SamplePhase]:
    return sorted((phase for phase in sample.phases if phase.name.startswith(_LOAD)), key=lambda phase: phase.began)


def _overlap(sample: RunSample) -> bool:
    return any(later.began < earlier.began + earlier.seconds for earlier, later in pairwise(_loads(sample)))


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def _medians(steps: Sequence[MemoryStep]) -> MemoryStep | None:
    if not steps:
        return None
    sizes = {size: int(median(getattr(step, size) for step in steps)) for size in _SIZES}
    return MemoryStep(model=steps[0].model, **sizes)
