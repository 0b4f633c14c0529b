"""Baking: everything that a run would otherwise do for the first time, done now, step by step.

For every model: fetch (which compares each file with what its publisher says and writes the manifest last), verify
(the look that a run takes), then for the models that one engine loads together: compile, load and warm-up inference,
each in a process of its own. Each step is yielded as it ends; one that fails does not stop the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from imgtool.errors import ExitCode, ImgtoolError
from imgtool.warming.trial_records import Trial, former_trial, keep_trial
from imgtool.warming.units import Unit
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.fetching.fetch import Fetched, FetchOptions, Outcome, fetch
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.refs import name_revision
from imgtool.weights.store import ModelStore


class Step(StrEnum):
    """What is done for a model."""

    FETCH = "fetch"
    VERIFY = "verify"
    COMPILE = "compile"
    IMPORT = "import"
    LOAD = "load"
    WARM_UP = "warm-up"


class Result(StrEnum):
    """How a step ended. ``UNCHANGED``: it had been done before and still holds."""

    DONE = "done"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Began:
    """A step begins."""

    model: str
    step: Step


@dataclass(frozen=True)
class StepEnded:
    """A step ended. Memory is the resident set of the process that loads, in bytes; 0 where there was none."""

    model: str
    step: Step
    result: Result
    detail: str = ""
    seconds: float = 0.0
    size_bytes: int = 0
    rss_before: int = 0
    rss_after: int = 0
    remedy: str = ""
    exit_code: ExitCode = ExitCode.OK


Event = Began | StepEnded


class Loader(Protocol):
    """Loads the models of a unit in a process of its own. ``imgtool.models`` itself knows no engine."""

    def unusable(self, unit: Unit) -> ImgtoolError | None:
        """Why ``unit`` cannot be loaded on this machine at all, for example without torch."""

    def versions(self, unit: Unit) -> Mapping[str, str]:
        """The versions of all that runs ``unit``: what was tried holds for these alone."""

    def load(self, unit: Unit, store: ModelStore) -> Trial:
        """Load and run once.

        Raises:
            ImgtoolError: it failed, with the cause and the remedy.
        """


@dataclass(frozen=True)
class CompileOutcome:
    """A compiled model that is in its place; ``changed`` is false where it was before. ``words`` are for people."""

    changed: bool
    words: str
    seconds: float
    size_bytes: int


class Compiler(Protocol):
    """Compiles the models of a unit."""

    def unusable(self, unit: Unit, *, anew: bool = False) -> ImgtoolError | None:
        """Why ``unit`` cannot be compiled on this machine, for example without torch; with ``anew`` also what is."""

    def is_damaged(self, unit: Unit) -> bool:
        """Whether ``unit`` was compiled, and a file of it is no longer what it was."""

    def compile(self, unit: Unit, observer: FetchObserver, *, anew: bool = False) -> CompileOutcome:
        """Compile, unless that was done; with ``anew`` in any case.

        Raises:
            ImgtoolError: it failed, with the cause and the remedy; nothing half-done was left.
        """


@dataclass(frozen=True)
class BakeOptions:
    """What to do. ``load`` is off where models are only to be fetched; ``compile_anew`` compiles what is whole too."""

    fetch: FetchOptions
    load: bool = True
    compile_anew: bool = False


def bake(
    units: Sequence[Unit],
    store: ModelStore,
    options: BakeOptions,
    loader: Loader,
    observer: FetchObserver = SILENT,
    compiler: Compiler | None = None,
) -> Iterator[Event]:
    """Make every unit ready for a run without network, yielding each step as it begins and ends.

    Without a ``compiler`` nothing is compiled. A step that failed is an event like any other; what was finished before
    a failure or an interruption is kept.
    """
    baker = _Baker(store, options, loader, observer, compiler)
    for unit in units:
        yield from baker.bake(unit)


def exit_code(events: Sequence[StepEnded]) -> ExitCode:
    """What the steps come to: 6 where nothing but a place that cannot be written went wrong, else 5, else 0."""
    failures = {event.exit_code for event in events if event.result is Result.FAILED}
    if not failures:
        return ExitCode.OK
    return ExitCode.NOT_WRITABLE if failures == {ExitCode.NOT_WRITABLE} else ExitCode.MODEL_MISSING


@dataclass(frozen=True)
class _Baker:
    store: ModelStore
    options: BakeOptions
    loader: Loader
    observer: FetchObserver
    compiler: Compiler | None

    def bake(self, unit: Unit) -> Iterator[Event]:
        whole = True
        for model in unit.models:
            ended: StepEnded | None = None
            for event in self._bring(model, self.options.fetch):
                yield event
                ended = event if isinstance(event, StepEnded) else ended
            whole = whole and ended is not None and ended.result is not Result.FAILED
        if whole and unit.engine:
            yield from self._compile(unit, anew=self.options.compile_anew)
        yield from self._try(unit, whole)

    def _bring(self, model: ModelSpec, fetching: FetchOptions) -> Iterator[Event]:
        yield Began(model.name, Step.FETCH)
        started = time.perf_counter()
        try:
            fetched = fetch(model, self.store, fetching, self.observer)
            name_revision(fetched.manifest, self.store.places)
        except (ImgtoolError, OSError) as error:
            yield _failed(model.name, Step.FETCH, error, time.perf_counter() - started)
            return
        yield _fetched(fetched)
        yield self._verified(model, fetching.full)

    def _verified(self, model: ModelSpec, full: bool) -> StepEnded:
        started = time.perf_counter()
        status = self.store.status(model, full=full)
        seconds = time.perf_counter() - started
        if not status.complete or status.manifest is None:
            return StepEnded(
                model.name,
                Step.VERIFY,
                Result.FAILED,
                status.message,
                seconds,
                remedy=status.remedy,
                exit_code=ExitCode.MODEL_MISSING,
            )
        detail = f"{len(status.manifest.files)} {'file' if len(status.manifest.files) == 1 else 'files'}"
        if status.manifest.commit:
            detail += f" at {status.manifest.commit[:12]}"
        return StepEnded(model.name, Step.VERIFY, Result.DONE, detail, seconds, size_bytes=status.manifest.size_bytes)

    def _compile(self, unit: Unit, *, anew: bool) -> Iterator[Event]:
        if self.compiler is None:
            return
        if (missing := self.compiler.unusable(unit, anew=anew)) is not None:
            yield StepEnded(unit.name, Step.COMPILE, Result.SKIPPED, str(missing), remedy=missing.remedy)
            return
        yield Began(unit.name, Step.COMPILE)
        started = time.perf_counter()
        try:
            done = self.compiler.compile(unit, self.observer, anew=anew)
        except (ImgtoolError, OSError) as error:
            yield _failed(unit.name, Step.COMPILE, error, time.perf_counter() - started)
            return
        result = Result.DONE if done.changed else Result.UNCHANGED
        yield StepEnded(unit.name, Step.COMPILE, result, done.words, done.seconds, size_bytes=done.size_bytes)

    def _try(self, unit: Unit, whole: bool) -> Iterator[Event]:
        if (reason := self._no_trial(unit, whole)) is not None:
            yield StepEnded(unit.name, Step.LOAD, Result.SKIPPED, reason[0], remedy=reason[1])
            return
        versions = self.loader.versions(unit)
        if (before := former_trial(unit, self.store, versions)) is not None:
            yield from _tried(unit, before, Result.UNCHANGED)
            return
        yield Began(unit.name, Step.LOAD)
        yield from self._attempt(unit, mending=True)

    def _attempt(self, unit: Unit, *, mending: bool) -> Iterator[Event]:
        started = time.perf_counter()
        try:
            trial = self.loader.load(unit, self.store)
        except ImgtoolError as error:
            damaged = self._damaged(unit) if mending else []
            compiled = mending and self.compiler is not None and self.compiler.is_damaged(unit)
            if damaged or compiled:
                for model in damaged:
                    yield from self._bring(model, replace(self.options.fetch, full=True))
                if compiled:
                    yield from self._compile(unit, anew=True)
                yield from self._attempt(unit, mending=False)
            else:
                yield _failed(unit.name, Step.LOAD, error, time.perf_counter() - started)
            return
        # Mending made something else of what the versions speak of.
        keep_trial(unit, self.store, self.loader.versions(unit), trial)
        yield from _tried(unit, trial, Result.DONE)

    def _damaged(self, unit: Unit) -> list[ModelSpec]:
        # Files that were here before are looked at by size alone; a load that fails is a reason to look closer.
        return [model for model in unit.models if not self.store.status(model, full=True).complete]

    def _no_trial(self, unit: Unit, whole: bool) -> tuple[str, str] | None:
        """Why ``unit`` is not to be loaded, and what could be done about it."""
        if not self.options.load:
            return "only fetched, as asked for", ""
        if not whole:
            return "not all of it is here", ""
        if not unit.engine:
            return "a part of EasyOCR, loaded together with the others", "run `imgtool warm-cache easyocr`"
        missing = self.loader.unusable(unit)
        return None if missing is None else (str(missing), missing.remedy)


def _fetched(fetched: Fetched) -> StepEnded:
    detail = {
        Outcome.PRESENT: "already here",
        Outcome.ADOPTED: "was in the cache of its publisher's library; verified",
        Outcome.FETCHED: "fetched; every file is what its publisher describes",
        Outcome.IMPORTED: "copied from the folder",
        Outcome.MADE: "made up: random weights, whose answers mean nothing",
    }[fetched.outcome]
    if fetched.retries:
        detail += f"; {fetched.retries} {'retry' if fetched.retries == 1 else 'retries'}"
    if fetched.set_aside:
        detail += f"; set aside: {', '.join(path.name for path in fetched.set_aside)}"
    result = Result.UNCHANGED if fetched.outcome is Outcome.PRESENT else Result.DONE
    return StepEnded(fetched.name, Step.FETCH, result, detail, fetched.seconds, size_bytes=fetched.bytes_downloaded)


def _tried(unit: Unit, trial: Trial, result: Result) -> Iterator[StepEnded]:
    detail = "loaded before, with the same versions" if result is Result.UNCHANGED else ""
    before, after = trial.rss_before, trial.rss_after
    if trial.import_seconds:
        yield StepEnded(unit.name, Step.IMPORT, result, detail, trial.import_seconds)
    yield StepEnded(unit.name, Step.LOAD, result, detail, trial.load_seconds, rss_before=before, rss_after=after)
    yield StepEnded(unit.name, Step.WARM_UP, result, detail, trial.warm_up_seconds)


def _failed(model: str, step: Step, error: ImgtoolError | OSError, seconds: float) -> StepEnded:
    code = error.exit_code if isinstance(error, ImgtoolError) else ExitCode.MODEL_MISSING
    remedy = error.remedy if isinstance(error, ImgtoolError) else "check the disk and the permissions"
    return StepEnded(model, step, Result.FAILED, str(error), seconds, remedy=remedy, exit_code=code)
