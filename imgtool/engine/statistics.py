"""The figures of a run (R17): counted as results go by, printed by ``--stats`` and in the summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import msgspec

from imgtool.runtime.interface import WorkerStatistics
from imgtool.runtime.protocol import ModelLoaded
from imgtool.types import ImageResult, Status


class TaskStatistics(msgspec.Struct, kw_only=True):
    """One task of a run; seconds are those spent by its analyzer in this run, cached answers not counted."""

    answered: int = 0
    from_cache: int = 0
    failed: int = 0
    inference_seconds_total: float = 0.0
    inference_seconds_mean: float | None = None


class ModelStatistics(msgspec.Struct, kw_only=True):
    """A model as loaded by a worker, imports counted apart. Memory is the worker's before and after, in bytes: its
    resident set, and what of that is its own (``anon``; 0 where the system does not tell)."""

    task: str
    analyzer: str
    import_seconds: float
    load_seconds: float
    warm_up_seconds: float
    rss_before_bytes: int
    rss_after_bytes: int
    anon_before_bytes: int
    anon_after_bytes: int


class SharedCacheStatistics(msgspec.Struct, kw_only=True):
    """The shared cache since the engine was made, in answers. ``available``: it answers; ``None`` where it was not
    asked yet. ``waiting`` answers are still to be written; ``dropped`` ones never will: too many waited, or it takes
    none. ``failures`` counts how often it was asked in vain."""

    server: str
    available: bool | None = None
    hits: int = 0
    misses: int = 0
    written: int = 0
    waiting: int = 0
    dropped: int = 0
    failures: int = 0


class CacheStatistics(msgspec.Struct, kw_only=True):
    """The result store after the run."""

    enabled: bool
    directory: str | None = None
    entries: int | None = None
    bytes: int | None = None
    limit_bytes: int | None = None
    shared: SharedCacheStatistics | None = None


class Statistics(msgspec.Struct, kw_only=True):
    """A run in figures. ``passed_over`` counts files in folders that are no image that can be read and not called like
    one: by the type of the image or document where it is known, else by their extension; the most first.
    ``hit_rate_percent`` counts images all of whose tasks came from the result store: ``hits_shared`` of them needed the
    shared cache, ``hits_local`` did not.

    ``parallel_efficiency`` is task seconds over the wall seconds in which workers ran tasks, loading left out: above 1,
    tasks ran side by side. ``stages`` is the share of the workers' time in which they decoded, loaded models, or
    computed a task; these run side by side too. The largest is what the run waited for; where all are small, workers
    waited.
    """

    images: int = 0
    answered: int = 0
    partial: int = 0
    failed: int = 0
    passed_over: dict[str, int] = {}
    hits: int = 0
    hits_local: int = 0
    hits_shared: int = 0
    misses: int = 0
    hit_rate_percent: float | None = None
    wall_seconds: float = 0.0
    first_result_seconds: float | None = None
    images_per_second: float | None = None
    inference_seconds_total: float = 0.0
    inference_seconds_mean: float | None = None
    decode_seconds_total: float = 0.0
    parallel_efficiency: float | None = None
    stages: dict[str, float] = {}
    warmed_up: bool = False
    tasks: dict[str, TaskStatistics] = {}
    models: list[ModelStatistics] = []
    workers: WorkerStatistics = msgspec.field(default_factory=WorkerStatistics)
    cache: CacheStatistics | None = None


class Tally:
    """Counts while results go by, in any thread; ``statistics`` gives the figures so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self.busy_seconds = 0.0
        """Wall time in which workers ran tasks."""
        self.figures = Statistics(tasks={}, models=[], workers=WorkerStatistics())

    def result(self, result: ImageResult, *, from_shared: bool = False) -> None:
        """Count a finished image; ``from_shared``: with an answer from the shared cache."""
        with self._lock:
            figures = self.figures
            figures.images += 1
            if figures.first_result_seconds is None:
                figures.first_result_seconds = time.perf_counter() - self._began
            figures.answered += result.status is Status.OK
            figures.partial += result.status is Status.PARTIAL
            figures.failed += result.status is Status.FAILED
            figures.hits += result.from_cache
            figures.hits_local += result.from_cache and not from_shared
            figures.hits_shared += result.from_cache and from_shared
            figures.misses += not result.from_cache
            for task, answer in result.tasks.items():
                of_task = figures.tasks.get(task)
                if of_task is None:
                    of_task = figures.tasks[task.value] = TaskStatistics()
                of_task.failed += answer.error is not None
                of_task.from_cache += answer.from_cache
                of_task.answered += answer.error is None

    def inference(self, task: str, seconds: float) -> None:
        """Count an answer that was computed in this run."""
        with self._lock:
            of_task = self.figures.tasks.setdefault(task, TaskStatistics())
            of_task.inference_seconds_total += seconds

    def begin(self) -> None:
        """Count the time from now on."""
        self._began = time.perf_counter()

    def statistics(
        self,
        models: Sequence[ModelLoaded] = (),
        workers: WorkerStatistics | None = None,
        cache: CacheStatistics | None = None,
    ) -> Statistics:
        """The figures up to now, with those of the engine; they do not change afterwards."""
        figures = msgspec.structs.replace(self.figures)
        figures.tasks = {task: msgspec.structs.replace(of_task) for task, of_task in list(figures.tasks.items())}
        # The thread that lists files adds to it.
        figures.passed_over = dict(sorted(figures.passed_over.copy().items(), key=lambda item: -item[1]))
        figures.models = [_model_statistics(loaded) for loaded in models]
        figures.warmed_up = any(loaded.warm_up_seconds > 0 for loaded in models)
        figures.wall_seconds = time.perf_counter() - self._began
        if figures.images:
            figures.hit_rate_percent = 100 * figures.hits / figures.images
            figures.images_per_second = figures.images / figures.wall_seconds
        for of_task in figures.tasks.values():
            computed = of_task.answered - of_task.from_cache
            of_task.inference_seconds_mean = of_task.inference_seconds_total / computed if computed > 0 else None
        figures.inference_seconds_total = sum(t.inference_seconds_total for t in figures.tasks.values())
        if figures.misses:
            figures.inference_seconds_mean = figures.inference_seconds_total / figures.misses
        if self.busy_seconds:
            figures.parallel_efficiency = figures.inference_seconds_total / self.busy_seconds
        if workers is not None:
            figures.workers = msgspec.structs.replace(workers)
            figures.stages = _stages(figures)
        figures.cache = cache
        return figures


def _stages(figures: Statistics) -> dict[str, float]:
    """The stages that took any time, the longest first."""
    seconds = {name: task.inference_seconds_total for name, task in figures.tasks.items()}
    seconds["decode"] = figures.decode_seconds_total
    seconds["load"] = sum(model.import_seconds + model.load_seconds for model in figures.models)
    had = figures.wall_seconds * max(1, figures.workers.started)
    return {name: taken / had for name, taken in sorted(seconds.items(), key=lambda item: -item[1]) if taken > 0}


def _model_statistics(loaded: ModelLoaded) -> ModelStatistics:
    same = ("task", "analyzer", "import_seconds", "load_seconds", "warm_up_seconds")
    memory = ("rss_before", "rss_after", "anon_before", "anon_after")
    sizes = {f"{name}_bytes": getattr(loaded, name) for name in memory}
    return ModelStatistics(**{name: getattr(loaded, name) for name in same}, **sizes)
