"""Which analyzer answers which task in this run, and under which fingerprint its answers are kept."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from imgtool.analyzers.interface import THUMBNAIL, Analyzer, AnalyzerSpec, Probe
from imgtool.analyzers.registry import ORDER, load_class, targets
from imgtool.engine.languages import plain_codes, reads
from imgtool.errors import ImgtoolError, MissingExtra, ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.options import EngineOptions
from imgtool.runtime.protocol import PIXELS_VERSION, TaskPlan
from imgtool.types import Task
from imgtool.weights.synthetic.marker import SYNTHETIC

_COMMAND = re.compile("`([^`]+)`")

UNPRINTED = frozenset({"paths", "remedy", "seconds"})
"""Keys of ``Analyzer.parameters`` that are left out of the fingerprint: a moved model gives the same answers, and so
does one that was given more time, or another remedy for when it cannot be loaded."""


class Choice(Struct, frozen=True, dict=True, eq=False):
    """An analyzer chosen for a task."""

    task: str
    spec: AnalyzerSpec
    probe: Probe
    parameters: Mapping[str, Any]
    target: str
    fingerprint: str
    label: str
    notice: str | None = None
    stands_in_for: str | None = None
    told: str = ""
    """What of the notice is said before the run, in short."""
    remedies: tuple[str, ...] = ()
    """What to do about it."""
    unread: tuple[str, ...] = ()
    """Languages that were asked for by name and that it cannot read: its answers are partial."""
    letters: Mapping[str, str] = {}
    """``allowlist`` and ``blocklist``, where the engine knows neither: they are applied to what it read."""
    find_stand_ins: Callable[[], tuple[Choice, ...]] = tuple

    @cached_property
    def stand_ins(self) -> tuple[Choice, ...]:
        """Who answers where this one cannot be loaded, in that order. Looked for when a worker needs to know: a run
        that finds all its answers kept does without."""
        return self.find_stand_ins()

    def who(self, label: str) -> Choice:
        """This choice or the stand-in of that label."""
        if label == self.label:
            return self
        return next((each for each in self.stand_ins if each.label == label), self)

    def of_engine(self, name: str) -> Choice:
        """This choice, or the stand-in whose engine is called ``name``."""
        return self if name == self.spec.name else self.who(name)

    def as_asked(self, value: Any) -> Any:
        """An answer of this engine without the characters that are not to be read; lines without any other go."""
        if not self.letters or value is None:
            return value
        allowed, blocked = self.letters.get("allowlist"), self.letters.get("blocklist", "")
        lines = []
        for line in value:
            kept = (c for c in line.text if (c.isspace() or not allowed or c in allowed) and c not in blocked)
            if text := " ".join("".join(kept).split()):
                lines.append(replace(line, text=text))
        return tuple(lines)

    def for_worker(self) -> TaskPlan:
        """What the worker needs to know of it."""
        return TaskPlan(
            task=self.task,
            analyzer=self.label,
            target=self.target,
            parameters=dict(self.parameters),
            stand_ins=tuple(each.for_worker() for each in self.stand_ins),
        )


class Plan(Struct, frozen=True, eq=False):
    """The tasks of a run, each with its analyzer, in the order of :class:`Task`, then the thumbnail if wanted."""

    chosen: Mapping[str, Choice]

    @property
    def notices(self) -> list[str]:
        """What the user should know before the run: a line that says it, and one with a command that mends it."""
        made_up = [c.task for c in self.chosen.values() if c.probe.model_version.startswith(SYNTHETIC)]
        told = [f"{' and '.join(made_up)}: the weights are synthetic, and the answers mean nothing"] if made_up else []
        told += [f"{c.task}: {c.told}" for c in self.chosen.values() if c.told]
        remedies = dict.fromkeys(remedy for c in self.chosen.values() for remedy in c.remedies)
        commands = dict.fromkeys(command for remedy in remedies for command in _COMMAND.findall(remedy))
        # Packages first: what is fetched or compiled needs them.
        steps = sorted(commands, key=lambda command: "pip" not in command)
        mending = f"to mend that: {' && '.join(steps)}" if steps else "; ".join(remedies)
        return [line for line in (". ".join(told), mending) if line]


class _Candidate(Struct, frozen=True, eq=False):
    """An engine that might answer a task: ``target`` is one implementation of the analyzer ``name``."""

    name: str
    target: str
    cls: type[Analyzer]
    probe: Probe

    def uncovered(self, options: EngineOptions) -> tuple[str, ...]:
        """Languages asked for that it cannot read; an engine to which languages mean nothing covers all."""
        if not self.probe.languages:
            return ()
        return tuple(language for language in options.languages if not reads(language, self.probe.languages))


def make_plan(options: EngineOptions, *, thumbnails: bool = False) -> Plan:
    """Choose an analyzer for every task.

    Raises:
        ModelMissing: a task asked for by name has no analyzer that is available, or only one that would stand in and
            ``strict`` forbids that.
        UsageProblem: an engine was named that does not exist or answers another task, or a language that is none.
    """
    # Tasks that read no other answer come first, so that fingerprints can contain those they depend on.
    order = [Task.TEXT.value, Task.LABELS.value, Task.CAPTION.value, Task.CODES.value, THUMBNAIL]
    if Task.TEXT in options.wanted_tasks:
        codes = plain_codes(options.languages)
        options = options if codes == options.languages else replace(options, languages=codes)
    wanted = [task.value for task in options.wanted_tasks] + [THUMBNAIL] * thumbnails
    chosen: dict[str, Choice] = {}
    for task in sorted(wanted, key=order.index):
        lineup = _Lineup(task, options)
        candidates = lineup.until_covered()
        available = _in_order_of_choice(candidates, options)
        if available:
            _refuse_stand_in(task, candidates, available[0], options)
            chosen[task] = _choose(lineup, candidates, available[0], dict(chosen))
        elif options.tasks is not None or _named_engine(task, options):
            if _named_engine(task, options):
                # Perhaps it is what was asked of the engine that makes it unavailable: then that is what to say. That
                # something is missing here, the probe has said.
                with suppress(ModelMissing, ModelLoadFailed, MissingExtra):
                    candidates[0].cls.parameters(options)
            reasons = "; ".join(f"{c.name}: {c.probe.reason}" for c in candidates)
            raise ModelMissing(f"no engine can answer {task!r} ({reasons})", _why_not(candidates, options)[1])
    if not any(task != THUMBNAIL for task in chosen):
        raise ModelMissing("no task has an engine that is available here", "see `imgtool models`")
    return Plan(chosen)


def _named_engine(task: str, options: EngineOptions) -> str | None:
    # A labels model says as plainly as an engine's name that labels are wanted.
    if task == Task.LABELS.value and options.labels_model is not None:
        return options.labels_engine or "classifier"
    named: str | None = getattr(options, f"{task}_engine", None)
    return named


class _Lineup:
    """The named engine of a task alone, or all of them, the preferred one first: probed as far as necessary."""

    def __init__(self, task: str, options: EngineOptions) -> None:
        self.task, self.options = task, options
        named = _named_engine(task, options)
        self._left: deque[tuple[str, str]] = deque()
        for name in [named] if named else ORDER[task]:
            try:
                self._left.extend((name, target) for target in targets(name, options.backend))
            except KeyError as error:
                raise _no_engine(task, name) from error
        self._probed: list[_Candidate] = []

    def until_covered(self) -> list[_Candidate]:
        """The candidates up to the first that is available and reads all languages asked for: nothing comes before
        that one in the order of choice."""
        while self._left:
            candidate = self._probe_next()
            if candidate.probe.available and not candidate.uncovered(self.options):
                break
        return list(self._probed)

    def all(self) -> list[_Candidate]:
        """All candidates."""
        while self._left:
            self._probe_next()
        return list(self._probed)

    def _probe_next(self) -> _Candidate:
        name, target = self._left.popleft()
        try:
            cls = load_class(target)
        except (ImportError, AttributeError) as error:
            raise _no_engine(self.task, target) from error
        if (answers := cls.spec.task) != self.task:
            text = f"engine {cls.spec.name!r} answers {answers}, not {self.task}"
            raise UsageProblem(text, f"use --{answers}-engine")
        self._probed.append(_Candidate(name, target, cls, cls.probe(self.options)))
        return self._probed[-1]


def _no_engine(task: str, name: str) -> UsageProblem:
    return UsageProblem(f"there is no engine {name!r} for {task}", f"engines for {task}: {', '.join(ORDER[task])}")


def _in_order_of_choice(candidates: list[_Candidate], options: EngineOptions) -> list[_Candidate]:
    """The available ones: those that read all languages asked for before those that do not; else as preferred."""
    available = [candidate for candidate in candidates if candidate.probe.available]
    return sorted(available, key=lambda candidate: len(candidate.uncovered(options)))


def _refuse_stand_in(task: str, candidates: list[_Candidate], first: _Candidate, options: EngineOptions) -> None:
    if not options.strict:
        return
    preferred = candidates[0].name
    if first.name != preferred:
        why, remedy = _why_not(candidates, options)
        raise ModelMissing(f"{task} would be answered by {first.name}, not {preferred}: {why}", remedy)
    if missing := first.uncovered(options):
        raise ModelMissing(
            f"{first.name} cannot read {', '.join(missing)}", "name other --languages, or leave out --strict"
        )


def _why_not(candidates: list[_Candidate], options: EngineOptions) -> tuple[str, str]:
    """Why the preferred engine does not answer, in any of its implementations, and what to do about it."""
    same = [candidate for candidate in candidates if candidate.name == candidates[0].name]
    reasons = dict.fromkeys(c.probe.reason or f"it cannot read {', '.join(c.uncovered(options))}" for c in same)
    remedies = dict.fromkeys(c.probe.remedy for c in same if c.probe.remedy)
    return "; ".join(reasons), ", or ".join(remedies)


def _choose(lineup: _Lineup, candidates: list[_Candidate], first: _Candidate, earlier: Mapping[str, Choice]) -> Choice:
    options, preferred = lineup.options, candidates[0].name
    chosen = _complete(lineup.task, first, options, earlier)
    # Also the notices of another backend of the same engine: why it does not answer.
    notices = [chosen.notice, *(c.probe.notice for c in candidates if c.name == first.name)]
    told = list(notices)
    remedies: tuple[str, ...] = ()
    stands_in_for = None
    if first.name != preferred and not options.strict:
        stands_in_for = preferred
        why, remedy = _why_not(candidates, options)
        text = f"{first.cls.spec.name} stands in for {preferred}: {why}" + (f" ({remedy})" if remedy else "")
        notices.insert(0, text)
        same = [candidate.probe for candidate in candidates if candidate.name == preferred]
        # The last of its implementations is the one that needs least.
        reason = same[-1].reason or why
        told.insert(0, f"{first.cls.spec.name} stands in for {preferred}: {reason}")
        remedies = tuple(dict.fromkeys(probe.remedy for probe in same if probe.remedy))

    def stand_ins() -> tuple[Choice, ...]:
        found, taken = [], {first.cls.spec.name}
        for candidate in _in_order_of_choice(lineup.all(), options):
            # Another backend of the same engine is the engine that was asked for, however strict the run.
            if candidate is first or (options.strict and candidate.name != first.name):
                continue
            with suppress(ImgtoolError):  # one that refuses the options is no help
                other = _complete(lineup.task, candidate, options, earlier)
                if other.label in taken:  # a second implementation of a name carries its backend
                    other = replace(other, label=f"{other.label} ({other.spec.backend.value})")
                taken.add(other.spec.name)
                found.append(other)
        return tuple(found)

    notice = "; ".join(filter(None, notices)) or None
    short = "; ".join(filter(None, told))
    return replace(
        chosen, notice=notice, told=short, remedies=remedies, stands_in_for=stands_in_for, find_stand_ins=stand_ins
    )


def _complete(task: str, candidate: _Candidate, options: EngineOptions, earlier: Mapping[str, Choice]) -> Choice:
    """A candidate with its parameters and its fingerprint ``<analyzer>-<24 hex digits>``: everything that can change an
    answer. Languages asked for that it cannot read become a notice, instead of passing garbage off as text."""
    spec, probe = candidate.cls.spec, candidate.probe
    parameters = candidate.cls.parameters(options)
    parts = {
        "task": task,
        "analyzer": [spec.name, spec.version, (spec.same_answers_as or spec.backend).value],
        "model": [probe.model, probe.model_version],
        "parameters": {key: value for key, value in parameters.items() if key not in UNPRINTED},
        "pixels": [PIXELS_VERSION, options.truncated.value, options.pdf_dpi],
        "reads": {t.value: earlier[t.value].fingerprint for t in spec.after if t.value in earlier},
    }
    canonical = msgspec.json.encode(parts, order="deterministic")
    fingerprint = f"{spec.name}-{hashlib.sha256(canonical).hexdigest()[:24]}"
    uncovered = candidate.uncovered(options)
    missing = ", ".join(uncovered)
    notice = f"{candidate.name} cannot read {missing}; lines in such scripts are missing or wrong" if missing else None
    ignored: list[str] = []
    if task == Task.TEXT.value and options.ocr:
        from imgtool.parameters import parameters_of

        known = {parameter.name for parameter in parameters_of(candidate.name)[1]}
        ignored = [name for name in options.ocr if name not in known]
    letters = {name: str(options.ocr[name]) for name in ignored if name in ("allowlist", "blocklist")}
    notices = [notice] if notice else []
    if letters:
        notices.append(f"{' and '.join(letters)} applied to what {candidate.name} read: it knows no such parameter")
    if without := [name for name in ignored if name not in letters]:
        notices.append(f"{candidate.name} has no parameter {' and no '.join(without)}: --ocr changes nothing there")
    unread = uncovered if options.names_languages else ()
    return Choice(
        task,
        spec,
        probe,
        parameters,
        candidate.target,
        fingerprint,
        spec.name,
        "; ".join(notices) or None,
        unread=unread,
        letters=letters,
    )
