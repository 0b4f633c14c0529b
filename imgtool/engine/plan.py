"""Which analyzer answers which task in this run, and under which fingerprint its answers are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from imgtool.analyzers.interface import THUMBNAIL, Analyzer, AnalyzerSpec, Probe
from imgtool.analyzers.registry import ANALYZERS, ORDER, load_class
from imgtool.config import EngineOptions
from imgtool.errors import ModelMissing, UsageProblem
from imgtool.runtime.protocol import PIXELS_VERSION, TaskPlan
from imgtool.types import Task

UNPRINTED = "paths"
"""Key of ``Analyzer.parameters`` that is left out of the fingerprint: a moved model gives the same answers."""


@dataclass(frozen=True)
class Chosen:
    """An analyzer chosen for a task."""

    task: str
    spec: AnalyzerSpec
    probe: Probe
    parameters: Mapping[str, Any]
    target: str
    fingerprint: str
    notice: str | None = None

    def for_worker(self) -> TaskPlan:
        """What the worker needs to know of it."""
        return TaskPlan(task=self.task, analyzer=self.spec.name, target=self.target, parameters=dict(self.parameters))


@dataclass(frozen=True)
class Plan:
    """The tasks of a run, each with its analyzer, in the order of :class:`Task`, then the thumbnail if wanted."""

    chosen: Mapping[str, Chosen]

    @property
    def notices(self) -> list[str]:
        """What the user should know before the run, one line each."""
        return [f"{c.task}: {c.notice}" for c in self.chosen.values() if c.notice]


def make_plan(options: EngineOptions, *, thumbnails: bool = False) -> Plan:
    """Choose an analyzer for every task.

    Raises:
        ModelMissing: a task asked for by name has no analyzer that is available.
        UsageProblem: an engine was named that does not exist or answers another task.
    """
    wanted = [task.value for task in (options.tasks or tuple(Task))] + [THUMBNAIL] * thumbnails
    chosen: dict[str, Chosen] = {}
    for task in sorted(wanted, key=_rank):
        cls, target, probe = _choose(task, options)
        if probe.available:
            chosen[task] = _complete(task, cls, target, probe, options, chosen)
        elif options.tasks is not None or _named_engine(task, options):
            raise ModelMissing(f"no engine can answer {task!r}: {probe.reason}", probe.remedy)
    if not any(task != THUMBNAIL for task in chosen):
        raise ModelMissing("no task has an engine that is available here", "see `imgtool models`")
    return Plan(chosen)


def _rank(task: str) -> int:
    """Tasks that read no other answer come first, so that fingerprints can contain those they depend on."""
    return {Task.TEXT.value: 0, Task.LABELS.value: 1, Task.CAPTION.value: 2}.get(task, 3)


def _named_engine(task: str, options: EngineOptions) -> str | None:
    # A labels model says as plainly as an engine's name that labels are wanted.
    if task == Task.LABELS.value and options.labels_model is not None:
        return options.labels_engine or "classifier"
    named: str | None = getattr(options, f"{task}_engine", None)
    return named


def _choose(task: str, options: EngineOptions) -> tuple[type[Analyzer], str, Probe]:
    """The named engine, or the first available one in the order of stand-ins, or the preferred one with its reason."""
    named = _named_engine(task, options)
    candidates = [named] if named else list(ORDER[task])
    looked_at = [(_class_for(task, name), name) for name in candidates]
    probed = [(cls, _target(name), cls.probe(options)) for cls, name in looked_at]
    return next((candidate for candidate in probed if candidate[2].available), probed[0])


def _target(name: str) -> str:
    return ANALYZERS.get(name, name)


def _class_for(task: str, name: str) -> type[Analyzer]:
    try:
        cls = load_class(name)
    except (KeyError, ImportError, AttributeError) as error:
        known = ", ".join(ORDER[task])
        raise UsageProblem(f"there is no engine {name!r} for {task}", f"engines for {task}: {known}") from error
    if cls.spec.task != task:
        raise UsageProblem(f"engine {name!r} answers {cls.spec.task}, not {task}", f"use --{cls.spec.task}-engine")
    return cls


def _complete(
    task: str, cls: type[Analyzer], target: str, probe: Probe, options: EngineOptions, earlier: Mapping[str, Chosen]
) -> Chosen:
    parameters = cls.parameters(options)
    reads = {t.value: earlier[t.value].fingerprint for t in cls.spec.after if t.value in earlier}
    fingerprint = _fingerprint(task, cls.spec, probe, parameters, reads)
    return Chosen(task, cls.spec, probe, parameters, target, fingerprint, _notice(task, probe, cls.spec, options))


def _fingerprint(
    task: str, spec: AnalyzerSpec, probe: Probe, parameters: Mapping[str, Any], reads: Mapping[str, str]
) -> str:
    """Everything that can change an answer, as ``<analyzer>-<24 hex digits>``."""
    parts = {
        "task": task,
        "analyzer": [spec.name, spec.version, spec.backend.value],
        "model": [probe.model, probe.model_version],
        "parameters": {key: value for key, value in parameters.items() if key != UNPRINTED},
        "pixels": PIXELS_VERSION,
        "reads": reads,
    }
    canonical = msgspec.json.encode(parts, order="deterministic")
    return f"{spec.name}-{hashlib.sha256(canonical).hexdigest()[:24]}"


def _notice(task: str, probe: Probe, spec: AnalyzerSpec, options: EngineOptions) -> str | None:
    """Languages asked for that the engine cannot read: said, instead of passing garbage off as text."""
    missing = [language for language in options.languages if language not in probe.languages]
    if task != Task.TEXT.value or not missing or not probe.languages:
        return None
    return f"{spec.name} cannot read {', '.join(missing)}; lines in other scripts are missing or wrong"
