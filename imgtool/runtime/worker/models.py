"""The models of one worker: each loaded at most once, at its first use, with a visible state.

A load that fails for a cause that may pass is tried again; one that fails for good is stood in for by the next engine
of the plan. Either is reported, so that nothing stands in unseen.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from imgtool import trace
from imgtool.analyzers.interface import THUMBNAIL, Analyzer
from imgtool.analyzers.registry import load_class
from imgtool.errors import ImgtoolError
from imgtool.ground.retry import RetryPolicy, with_retries
from imgtool.runtime.protocol import (
    LOAD,
    FromWorker,
    LoadRetried,
    ModelFailed,
    ModelLoaded,
    StepBegan,
    StepEnded,
    TaskPlan,
)
from imgtool.runtime.worker.memory import give_back, held
from imgtool.types import Backend, Problem

Send = Callable[[FromWorker], None]

_importing = threading.Lock()
"""Imports are Python's own work: two at once take turns at the interpreter and are slower than one after the other.
What another model loads meanwhile, from files and in native code, goes on beside them."""

LOADING = RetryPolicy(attempts=3, first_wait=0.5, longest_wait=5.0, jitter=0.5)


class ModelState(StrEnum):
    """The life of a model."""

    NOT_LOADED = "not loaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Cores(NamedTuple):
    """How many threads a model may have at all, and how many of them where every model of the worker computes."""

    threads: int
    share: int


class Model:
    """What answers one task. ``get`` loads it under a lock: once, however many threads ask."""

    def __init__(self, plan: TaskPlan, cores: Cores, send: Send) -> None:
        self.task = plan.task
        self.state = ModelState.NOT_LOADED
        self._send = send
        self._lock = threading.Lock()
        self._problem: Problem | None = None
        self.used_at = time.monotonic()
        self._candidates: list[Analyzer] = []
        for each in (plan, *plan.stand_ins):
            analyzer = load_class(each.target)({**each.parameters, "threads": cores.threads, "share": cores.share})
            analyzer.label = each.analyzer
            self._candidates.append(analyzer)

    @property
    def analyzer(self) -> Analyzer:
        """The engine that answers, or the one that would."""
        return self._candidates[0]

    def get(self, *, warm_up: bool = False) -> Analyzer | Problem:
        """The loaded analyzer, or why none could be loaded. A failed load is not tried again by this worker."""
        with self._lock:
            while self.state is ModelState.NOT_LOADED:
                self._load(self._candidates[0], warm_up)
        return self._problem or self._candidates[0]

    def used(self) -> None:
        """Note that it did something until now."""
        self.used_at = time.monotonic()

    def close(self) -> None:
        """Free the model. The next ``get`` loads it again."""
        with self._lock:
            if self.state is ModelState.READY:
                self._candidates[0].close()
                self.state = ModelState.NOT_LOADED

    def _load(self, analyzer: Analyzer, warm_up: bool) -> None:
        self.state = ModelState.LOADING
        step = f"{LOAD}{self.task}:{analyzer.label}"
        try:
            with trace.span(analyzer.spec.name, "load", task=self.task, backend=analyzer.spec.backend.value):
                with _importing:
                    # Told now: time spent waiting for its turn does not make it late.
                    self._send(StepBegan(step=step, items=()))
                    before, began = held(), time.perf_counter()
                    with trace.span("imports", "start"), suppress(Exception):
                        analyzer.import_libraries()
                    imported = time.perf_counter() - began
                with_retries(analyzer.load, LOADING, may_pass, partial(self._report_retry, analyzer.label))
            loaded = warmed = time.perf_counter()
            if warm_up:
                with trace.span(analyzer.spec.name, "warm-up", task=self.task):
                    analyzer.warm_up()
                warmed = time.perf_counter()
        except Exception as error:  # noqa: BLE001 - whatever a model library raises must not take the other models
            problem = load_problem(analyzer.label, error)
            if len(self._candidates) > 1:  # the next one is tried; the last one's failure is the task's
                del self._candidates[0]
                self.state = ModelState.NOT_LOADED
            else:
                self.state = ModelState.FAILED
                self._problem = problem
            stand_in = None if self._problem else self.analyzer.label
            self._send(ModelFailed(task=self.task, analyzer=analyzer.label, problem=problem, stand_in=stand_in))
        else:
            self.state = ModelState.READY
            self.used()
            after = held()
            self._send(
                ModelLoaded(
                    task=self.task,
                    analyzer=analyzer.label,
                    import_seconds=imported,
                    load_seconds=loaded - began - imported,
                    warm_up_seconds=warmed - loaded,
                    rss_before=before.rss,
                    rss_after=after.rss,
                    anon_before=before.anon,
                    anon_after=after.anon,
                )
            )
        self._send(StepEnded(step=step, items=()))

    def _report_retry(self, engine: str, failed: int, error: BaseException, _: float) -> None:
        cause, attempts = f"{type(error).__name__}: {error}", LOADING.attempts
        self._send(LoadRetried(task=self.task, analyzer=engine, cause=cause, attempt=failed + 1, attempts=attempts))


_PASSING = frozenset(
    getattr(errno, name)
    for name in ("EAGAIN", "EBUSY", "EINTR", "EIO", "EMFILE", "ENFILE", "ENOLCK", "ESTALE", "ETIMEDOUT")
)
"""What a disk, a mount or a busy system may say once and not the next time."""


def may_pass(error: BaseException) -> bool:
    """Whether a failed load is worth another attempt: only what the system says of itself. A file that is missing or
    damaged, a full memory, and whatever else a library raises, would be there the next time, too."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING


def load_problem(engine: str, error: Exception) -> Problem:
    """A failed load as a value."""
    if isinstance(error, ImgtoolError):
        return Problem("model_load_failed", str(error), error.remedy)
    if isinstance(error, MemoryError):
        return Problem("model_load_failed", f"{engine}: not enough memory to load the model", "free some memory")
    text = f"{engine} could not be loaded: {type(error).__name__}: {error}"
    return Problem("model_load_failed", text, "run again with --verbose; `imgtool models` shows what is available")


class Models:
    """The models of a worker by task, in the order in which tasks may be answered."""

    def __init__(self, plans: Iterable[TaskPlan], threads: int, send: Send) -> None:
        plans = tuple(plans)
        busy = sum(plan.task != THUMBNAIL for plan in plans)
        cores = Cores(threads, max(1, threads // max(1, busy)))
        self._models = {plan.task: Model(plan, cores, send) for plan in plans}

    def __getitem__(self, task: str) -> Model:
        return self._models[task]

    def load(self, tasks: Iterable[str], side_by_side: Executor | None, *, warm_up: bool = False) -> None:
        """Have the models of ``tasks`` loaded, all of them when it returns."""
        wanted = [self._models[task] for task in self._models if task in set(tasks)]
        if side_by_side is None or len(wanted) == 1:
            for model in wanted:
                model.get(warm_up=warm_up)
        else:
            list(side_by_side.map(lambda model: model.get(warm_up=warm_up), wanted))

    def load_all(self, side_by_side: Executor | None, *, warm_up: bool = False) -> None:
        """Have every model loaded."""
        self.load(self._models, side_by_side, warm_up=warm_up)

    def without_torch(self) -> list[str]:
        """The tasks whose model needs no torch."""
        return [task for task, model in self._models.items() if model.analyzer.spec.backend is not Backend.TORCH]

    def unload_idle(self, ttl: float) -> float | None:
        """Free every model that has done nothing for ``ttl`` seconds; seconds until the next one will have, if any."""
        now, freed, left = time.monotonic(), False, []
        for model in self._models.values():
            if model.state is not ModelState.READY:
                continue
            if now - model.used_at >= ttl:
                model.close()
                freed = True
            else:
                left.append(model.used_at + ttl - now)
        if freed:
            give_back()
        return min(left, default=None)

    def waves(self, tasks: Iterable[str]) -> list[list[str]]:
        """Group tasks so that each comes after those whose answers it reads; one group can run side by side.

        Ask only once the models are loaded: a stand-in may read what the engine it stands in for does not.
        """
        left = [task for task in self._models if task in set(tasks)]
        waves: list[list[str]] = []
        while left:
            reads = {task: {earlier.value for earlier in self._models[task].analyzer.spec.after} for task in left}
            wave = [task for task in left if reads[task].isdisjoint(other for other in left if other != task)]
            waves.append(wave)
            left = [task for task in left if task not in wave]
        return waves

    def any_batched(self, tasks: Iterable[str]) -> bool:
        """Whether one of these tasks gains from several images at once."""
        return any(self._models[task].analyzer.spec.batched for task in tasks)

    def close(self) -> None:
        """Free all."""
        for model in self._models.values():
            model.close()
