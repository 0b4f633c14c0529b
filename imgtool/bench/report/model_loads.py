"""What each model took to load, arm by arm: seconds, and the memory around it where that can be told.

Models that load side by side share a process: what is read before and after one belongs to all that load meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from imgtool.bench.data.record import Experiment, MemoryStep, PageCache, Phase, Sample
from imgtool.bench.report.findings import Findings, state_text
from imgtool.bench.report.wording import bytes_text, seconds_text

HEADS = ("arm", "model", "time to load", "anonymous before", "after", "files before", "after")

IMPORTS = "Time to load holds what a model imports as it loads: nothing where all was imported before"

_LOAD = "load "
_ALL = "all together"
_SIZES = ("anon_before", "anon_after", "file_before", "file_after")


@dataclass(frozen=True)
class ModelLoad:
    """Medians over the counted samples of an arm. ``seconds`` holds what the model imports as it loads, ``memory`` is
    bytes; ``None`` is not known, or of memory not to be told apart."""

    model: str
    seconds: float | None
    memory: MemoryStep | None


def model_loads(experiment: Experiment, arm: str, state: PageCache = PageCache.WARM) -> tuple[ModelLoad, ...]:
    """The models of an arm in the order in which they first began to load; where they load side by side, with what they
    take together."""
    samples = _counted(experiment, arm, state)
    apart = not any(map(_overlap, samples))
    steps = [step for sample in samples if sample.memory for step in sample.memory.steps]
    loads = [phase for sample in samples for phase in _loads(sample)]
    names = dict.fromkeys([*(phase.name.removeprefix(_LOAD) for phase in loads), *(step.model for step in steps)])
    each = tuple(
        ModelLoad(
            model=name,
            seconds=_median(phase.seconds for phase in loads if phase.name == _LOAD + name),
            memory=_medians([step for step in steps if step.model == name]) if apart else None,
        )
        for name in names
    )
    return each if apart else (*each, _together(samples))


def side_by_side(experiment: Experiment, state: PageCache = PageCache.WARM) -> tuple[str, ...]:
    """The arms of which any counted sample loads models at the same time."""
    names = (arm.name for arm in experiment.arms)
    return tuple(name for name in names if any(map(_overlap, _counted(experiment, name, state))))


def load_rows(findings: Findings) -> list[tuple[str, ...]]:
    """All arms and their models, in the order of :data:`HEADS`."""
    return [
        (arm.name + state_text(state, findings.page_caches), *_cells(each))
        for arm in findings.experiment.arms
        for state in findings.page_caches
        for each in model_loads(findings.experiment, arm.name, state)
    ]


def _cells(load: ModelLoad) -> tuple[str, ...]:
    seconds = "-" if load.seconds is None else seconds_text(load.seconds)
    sizes = ("-" if load.memory is None else bytes_text(getattr(load.memory, size)) for size in _SIZES)
    return load.model, seconds, *sizes


def load_note(findings: Findings) -> str:
    """What to know when reading :func:`load_rows`."""
    names = [name for state in findings.page_caches for name in side_by_side(findings.experiment, state)]
    apart = (not_apart(tuple(dict.fromkeys(names))),) if names else ()
    return "; ".join((IMPORTS, *apart))


def not_apart(arms: Sequence[str]) -> str:
    """In a sentence why :class:`ModelLoad` has no memory of ``arms``."""
    verb = "loads" if len(arms) == 1 else "load"
    return f"{', '.join(arms)} {verb} models side by side: what each of them takes cannot be told apart"


def _counted(experiment: Experiment, arm: str, state: PageCache) -> list[Sample]:
    return [s for s in experiment.samples if s.arm == arm and s.run >= 0 and s.page_cache is state and s.error is None]


def _loads(sample: Sample) -> Iterator[Phase]:
    yield from sorted((p for p in sample.phases if p.name.startswith(_LOAD)), key=lambda phase: phase.began)


def _overlap(sample: Sample) -> bool:
    return any(later.began < earlier.began + earlier.seconds for earlier, later in pairwise(_loads(sample)))


def _together(samples: Sequence[Sample]) -> ModelLoad:
    """From the beginning of the first load to the end of the last."""
    spans = [[(phase.began, phase.began + phase.seconds) for phase in _loads(sample)] for sample in samples]
    steps = [sample.memory.steps for sample in samples if sample.memory and sample.memory.steps]
    return ModelLoad(
        model=_ALL,
        seconds=_median(max(end for _, end in span) - min(began for began, _ in span) for span in spans if span),
        memory=_medians([_outermost(each) for each in steps]),
    )


def _outermost(steps: Sequence[MemoryStep]) -> MemoryStep:
    return MemoryStep(
        model=_ALL,
        anon_before=min(step.anon_before for step in steps),
        anon_after=max(step.anon_after for step in steps),
        file_before=min(step.file_before for step in steps),
        file_after=max(step.file_after for step in steps),
    )


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def _medians(steps: Sequence[MemoryStep]) -> MemoryStep | None:
    if not steps:
        return None
    sizes = {size: int(median(getattr(step, size) for step in steps)) for size in _SIZES}
    return MemoryStep(model=steps[0].model, **sizes)
