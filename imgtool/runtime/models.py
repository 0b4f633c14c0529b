"""The models of one worker: each loaded at most once, at its first use, with a visible state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum

import psutil

from imgtool.analyzers.interface import Analyzer
from imgtool.analyzers.registry import load_class
from imgtool.errors import ImgtoolError
from imgtool.runtime.protocol import LOAD, Began, Ended, FromWorker, ModelFailed, ModelLoaded, TaskPlan
from imgtool.types import Problem


class State(str, Enum):
    """The life of a model."""

    NOT_LOADED = "not loaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Model:
    """One analyzer and its state. ``get`` loads it under a lock: once, however many threads ask."""

    def __init__(self, plan: TaskPlan, threads: int, send: Callable[[FromWorker], None]) -> None:
        self.plan = plan
        self.state = State.NOT_LOADED
        self._send = send
        self._lock = threading.Lock()
        self._problem: Problem | None = None
        cls = load_class(plan.target)
        self.spec = cls.spec
        self._analyzer: Analyzer = cls({**plan.parameters, "threads": threads})

    def get(self, *, warm_up: bool = False) -> Analyzer | Problem:
        """The loaded analyzer, or why it could not be loaded. A failed load is not tried again by this worker."""
        with self._lock:
            if self.state is State.NOT_LOADED:
                self.state = State.LOADING
                self._load(warm_up)
        return self._problem or self._analyzer

    def close(self) -> None:
        """Free the model."""
        with self._lock:
            if self.state is State.READY:
                self._analyzer.close()
            self.state = State.NOT_LOADED

    def _load(self, warm_up: bool) -> None:
        step = LOAD + self.plan.task
        self._send(Began(step=step, items=()))
        before, began = _rss(), time.perf_counter()
        try:
            self._analyzer.load()
            loaded = time.perf_counter()
            if warm_up:
                self._analyzer.warm_up()
        except Exception as error:  # noqa: BLE001 - whatever a model library raises must not take the other models
            self._fail(error)
        else:
            self.state = State.READY
            self._send(
                ModelLoaded(
                    task=self.plan.task,
                    analyzer=self.plan.analyzer,
                    load_seconds=loaded - began,
                    warm_up_seconds=time.perf_counter() - loaded,
                    rss_before=before,
                    rss_after=_rss(),
                )
            )
        self._send(Ended(step=step, items=()))

    def _fail(self, error: Exception) -> None:
        self.state = State.FAILED
        self._problem = load_problem(self.plan.analyzer, error)
        self._send(ModelFailed(task=self.plan.task, analyzer=self.plan.analyzer, problem=self._problem))


def load_problem(analyzer: str, error: Exception) -> Problem:
    """A failed load as a value."""
    if isinstance(error, ImgtoolError):
        return Problem("model_load_failed", str(error), error.remedy)
    if isinstance(error, MemoryError):
        return Problem("model_load_failed", f"{analyzer}: not enough memory to load the model", "free some memory")
    text = f"{analyzer} could not be loaded: {type(error).__name__}: {error}"
    return Problem("model_load_failed", text, "run again with --verbose; `imgtool models` shows what is available")


def _rss() -> int:
    return int(psutil.Process().memory_info().rss)


class Models:
    """The models of a worker by task, in the order in which tasks may be answered."""

    def __init__(self, plans: Iterable[TaskPlan], threads: int, send: Callable[[FromWorker], None]) -> None:
        self._models = {plan.task: Model(plan, threads, send) for plan in plans}

    def __getitem__(self, task: str) -> Model:
        return self._models[task]

    def waves(self, tasks: Iterable[str]) -> list[list[str]]:
        """Group tasks so that each comes after those whose answers it reads; one group can run side by side."""
        left = [task for task in self._models if task in set(tasks)]
        waves: list[list[str]] = []
        while left:
            wave = [task for task in left if not self._reads(task, left)]
            waves.append(wave)
            left = [task for task in left if task not in wave]
        return waves

    def _reads(self, task: str, others: list[str]) -> bool:
        return any(earlier.value in others and earlier.value != task for earlier in self._models[task].spec.after)

    def any_batched(self, tasks: Iterable[str]) -> bool:
        """Whether one of these tasks gains from several images at once."""
        return any(self._models[task].spec.batched for task in tasks)

    def warm_up(self) -> None:
        """Load all, each with a warm-up inference."""
        for model in self._models.values():
            model.get(warm_up=True)

    def close(self) -> None:
        """Free all."""
        for model in self._models.values():
            model.close()
