"""Warming: does in advance, step by step, what a run would otherwise do for the first time.

For every model: fetch (each file is compared with the publisher's hash, and the manifest is written last) and verify
(the check that a run makes). Then, for the models that an engine loads together: compile in a process of its own;
load and run once in another. Each step is yielded as it ends; a failed one does not stop the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from imgtool.artefacts.find import ArtefactState
from imgtool.errors import ExitCode, ImgtoolError
from imgtool.files import not_writable
from imgtool.warming.trial_records import Trial, former_trial, keep_trial
from imgtool.warming.unit_compiler import UnitCompiler
from imgtool.warming.unit_loader import UnitLoader
from imgtool.warming.units import Unit
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.fetching.fetch import Fetched, fetch
from imgtool.weights.fetching.fetch_job import FetchOptions, FetchOutcome
from imgtool.weights.fetching.from_hub import name_revision
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.store import ModelStore


class Step(StrEnum):
    """What is done for a model."""

    FETCH = "fetch"
    VERIFY = "verify"
    COMPILE = "compile"
    IMPORT = "import"
    LOAD = "load"
    WARM_UP = "warm-up"


class StepResult(StrEnum):
    """How a step ended. ``UNCHANGED``: it was done before and is still valid."""

    DONE = "done"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class WarmStepBegan:
    """A step begins."""

    model: str
    step: Step


@dataclass(frozen=True)
class WarmStepEnded:
    """A step ended. Memory is the resident set of the loading process in bytes; 0 if there was none."""

    model: str
    step: Step
    result: StepResult
    detail: str = ""
    seconds: float = 0.0
    size_bytes: int = 0
    rss_before: int = 0
    rss_after: int = 0
    remedy: str = ""
    exit_code: ExitCode = ExitCode.OK


Event = WarmStepBegan | WarmStepEnded


@dataclass(frozen=True)
class BakeOptions:
    """What to do. Without ``load`` models are only fetched; ``compile_anew`` compiles complete models again."""

    fetch: FetchOptions
    load: bool = True
    compile_anew: bool = False


def bake(
    units: Sequence[Unit],
    store: ModelStore,
    options: BakeOptions,
    loader: UnitLoader,
    observer: FetchObserver = SILENT,
    compiler: UnitCompiler | None = None,
) -> Iterator[Event]:
    """Make every unit ready for a run without network, yielding each step as it begins and ends.

    Without a ``compiler`` nothing is compiled. A failed step is an event like any other. Finished steps are kept after
    a failure or an interruption.
    """
    baker = _Baker(store, options, loader, observer, compiler)
    for unit in units:
        whole = True
        for model in unit.models:
            ended: Event | None = None
            for ended in baker.fetch(model, options.fetch):
                yield ended
            whole = whole and isinstance(ended, WarmStepEnded) and ended.result is not StepResult.FAILED
        if whole and unit.engine:
            yield from baker.compile(unit, anew=options.compile_anew)
        yield from baker.try_out(unit, whole)


def exit_code(events: Sequence[WarmStepEnded]) -> ExitCode:
    """6 if the only failures were places that cannot be written, 5 for other failures, else 0."""
    failures = {event.exit_code for event in events if event.result is StepResult.FAILED}
    if not failures:
        return ExitCode.OK
    return ExitCode.NOT_WRITABLE if failures == {ExitCode.NOT_WRITABLE} else ExitCode.MODEL_MISSING


@dataclass(frozen=True)
class _Baker:
    store: ModelStore
    options: BakeOptions
    loader: UnitLoader
    observer: FetchObserver
    compiler: UnitCompiler | None

    def fetch(self, model: ModelSpec, fetching: FetchOptions) -> Iterator[Event]:
        """Fetch and verify."""
        yield WarmStepBegan(model.name, Step.FETCH)
        started = time.perf_counter()
        try:
            fetched = fetch(model, self.store, fetching, self.observer)
            name_revision(fetched.manifest, self.store.places)
        except (ImgtoolError, OSError) as error:
            yield _failed(model.name, Step.FETCH, error, time.perf_counter() - started)
            return
        yield _fetched(fetched)
        started = time.perf_counter()
        status = self.store.status(model, full=fetching.full)
        seconds, manifest = time.perf_counter() - started, status.manifest
        if not status.complete or manifest is None:
            remedy, failed, code = status.remedy, StepResult.FAILED, ExitCode.MODEL_MISSING
            if fetching.source is not None:
                remedy = self.store.command(model).also("--from", str(fetching.source)).fetching_again
            yield WarmStepEnded(model.name, Step.VERIFY, failed, status.message, seconds, remedy=remedy, exit_code=code)
            return
        detail = f"{len(manifest.files)} {'file' if len(manifest.files) == 1 else 'files'}"
        detail += f" at {manifest.commit[:12]}" if manifest.commit else ""
        yield WarmStepEnded(model.name, Step.VERIFY, StepResult.DONE, detail, seconds, size_bytes=manifest.size_bytes)

    def compile(self, unit: Unit, *, anew: bool) -> Iterator[Event]:
        if self.compiler is None:
            return
        if (missing := self.compiler.unusable(unit, anew=anew)) is not None:
            yield WarmStepEnded(unit.name, Step.COMPILE, StepResult.SKIPPED, str(missing), remedy=missing.remedy)
            return
        if anew or self.compiler.status(unit).state is not ArtefactState.COMPILED:
            # A damaged file must not become a compiled model, which would look whole.
            for model in unit.models:
                if not self.store.status(model, full=True).complete:
                    yield from self.fetch(model, replace(self.options.fetch, full=True))
                    if not self.store.status(model).complete:
                        return
        yield WarmStepBegan(unit.name, Step.COMPILE)
        started = time.perf_counter()
        try:
            done = self.compiler.compile(unit, self.observer, anew=anew)
        except (ImgtoolError, OSError) as error:
            yield _failed(unit.name, Step.COMPILE, error, time.perf_counter() - started)
            return
        result = StepResult.DONE if done.changed else StepResult.UNCHANGED
        yield WarmStepEnded(unit.name, Step.COMPILE, result, done.words, done.seconds, size_bytes=done.size_bytes)

    def try_out(self, unit: Unit, whole: bool) -> Iterator[Event]:
        """Load and run once, unless that was done before with the same versions. ``whole``: all of ``unit`` is here."""
        reason = remedy = ""
        if not self.options.load:
            reason = "only fetching was asked for"
        elif not whole:
            reason = "a fetch of its files failed"
        elif (missing := self.loader.unusable(unit)) is not None:
            reason, remedy = str(missing), missing.remedy
        if reason:
            yield WarmStepEnded(unit.name, Step.LOAD, StepResult.SKIPPED, reason, remedy=remedy)
            return
        if (before := former_trial(unit, self.store, self.loader.versions(unit))) is not None:
            yield from _tried(unit, before, StepResult.UNCHANGED)
            return
        yield WarmStepBegan(unit.name, Step.LOAD)
        yield from self._attempt(unit, repair=True)

    def _attempt(self, unit: Unit, *, repair: bool) -> Iterator[Event]:
        started = time.perf_counter()
        try:
            trial = self.loader.load(unit, self.store)
        except ImgtoolError as error:
            damaged, compiled = [], False
            if repair:
                # Of files that were here before only the sizes were compared: after a failed load they are hashed.
                damaged = [model for model in unit.models if not self.store.status(model, full=True).complete]
                compiled = self.compiler is not None and self.compiler.is_damaged(unit)
            if not damaged and not compiled:
                yield _failed(unit.name, Step.LOAD, error, time.perf_counter() - started)
                return
            for model in damaged:
                yield from self.fetch(model, replace(self.options.fetch, full=True))
            if compiled:
                yield from self.compile(unit, anew=True)
            yield from self._attempt(unit, repair=False)
            return
        # The repair may have changed the versions.
        keep_trial(unit, self.store, self.loader.versions(unit), trial)
        yield from _tried(unit, trial, StepResult.DONE)


def _fetched(fetched: Fetched) -> WarmStepEnded:
    detail = {
        FetchOutcome.PRESENT: "already here",
        FetchOutcome.ADOPTED: "was in the cache of its publisher's library; verified",
        FetchOutcome.FETCHED: "fetched; every file has the publisher's hash",
        FetchOutcome.IMPORTED: "copied from the folder",
        FetchOutcome.MADE: "made: random weights, whose answers mean nothing",
    }[fetched.outcome]
    if fetched.retries:
        detail += f"; {fetched.retries} {'retry' if fetched.retries == 1 else 'retries'}"
    if fetched.set_aside:
        detail += f"; set aside: {', '.join(path.name for path in fetched.set_aside)}"
    result = StepResult.UNCHANGED if fetched.outcome is FetchOutcome.PRESENT else StepResult.DONE
    return WarmStepEnded(fetched.name, Step.FETCH, result, detail, fetched.seconds, size_bytes=fetched.bytes_downloaded)


def _tried(unit: Unit, trial: Trial, result: StepResult) -> Iterator[WarmStepEnded]:
    detail = "loaded before, with the same versions" if result is StepResult.UNCHANGED else ""
    before, after = trial.rss_before, trial.rss_after
    if trial.import_seconds:
        yield WarmStepEnded(unit.name, Step.IMPORT, result, detail, trial.import_seconds)
    yield WarmStepEnded(unit.name, Step.LOAD, result, detail, trial.load_seconds, rss_before=before, rss_after=after)
    yield WarmStepEnded(unit.name, Step.WARM_UP, result, detail, trial.warm_up_seconds)


def _failed(model: str, step: Step, error: ImgtoolError | OSError, seconds: float) -> WarmStepEnded:
    if isinstance(error, PermissionError) and error.filename is not None:
        error = not_writable(error, Path(error.filename)) or error
    code = error.exit_code if isinstance(error, ImgtoolError) else ExitCode.MODEL_MISSING
    remedy = error.remedy if isinstance(error, ImgtoolError) else "check the disk and the permissions"
    return WarmStepEnded(model, step, StepResult.FAILED, str(error), seconds, remedy=remedy, exit_code=code)
