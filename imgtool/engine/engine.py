"""The engine: opens what a run needs, lazily, and keeps the workers between runs."""

from __future__ import annotations

import os
import queue
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from imgtool import trace
from imgtool.config import convert_options
from imgtool.engine.cache.store import ResultStore
from imgtool.engine.files.discover import discover
from imgtool.engine.files.identity import Identity
from imgtool.engine.files.selection import Rules
from imgtool.engine.observer import Observer
from imgtool.engine.plan import Plan, make_plan
from imgtool.engine.run import Run
from imgtool.engine.statistics import CacheStatistics, Statistics, Tally
from imgtool.engine.worker_count import threads_of, with_workers
from imgtool.files import claim, sweep
from imgtool.options import EngineOptions, LoadPolicy, cache_root
from imgtool.runtime.pool import Pool, PoolLimits
from imgtool.runtime.process import Post, Worker, WorkerProcess
from imgtool.runtime.protocol import Setup, TaskPlan
from imgtool.runtime.start_process import is_ahead
from imgtool.types import ImageResult, Problem

_SCRATCH = "imgtool-run-"


class Engine(AbstractContextManager["Engine"]):
    """Answers about images; the command line and the Python API are both this.

    ::

        from imgtool import Engine

        with Engine(tasks=["text"], cache_dir="cache") as engine:
            for result in engine.analyze(["photos"]):
                print(result.path, result.tasks.text)
            print(engine.statistics.hit_rate_percent)

    Keyword arguments are those of :class:`imgtool.options.EngineOptions`; environment and configuration files are the
    command line's matter and are not read here. An engine is used from one thread, one ``analyze`` at a time; its
    worker processes stay for the next ``analyze`` and end with ``close``.
    """

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        observer: Observer | None = None,
        thumbnails: bool = False,
        echo_worker: bool = False,
        **overrides: Any,
    ) -> None:
        """
        Raises:
            imgtool.errors.ModelMissing: a task that was asked for cannot be answered here.
            imgtool.errors.UsageProblem: an option has an impossible value.
        """
        base = options or EngineOptions()
        self.options = convert_options(base, overrides) if overrides else base
        self._observer = observer or Observer()
        self._echo_worker = echo_worker
        with trace.span("plan", "parent"):
            self.plan: Plan = make_plan(self.options, thumbnails=thumbnails)
        self._gradual = not self.options.workers
        self.options = with_workers(self.options, self.plan)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pool: Pool | None = None
        self._store: ResultStore | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._claim: int | None = None
        self._identity: Identity | None = None
        self._awaited = False
        self._tally = Tally()
        self.model_problems: dict[str, Problem] = {}
        """Tasks whose model could not be loaded, with the reason."""
        for notice in self.plan.notices:
            self._observer.notice(notice)

    def analyze(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[ImageResult]:
        """Yield one result for each image under ``paths`` (files, folders, globs), in that order.

        A file that cannot be answered is a result with ``error`` set, not an exception.

        Raises:
            imgtool.errors.TooManyFailures: ``fail_fast`` or ``max_failure_rate`` ended the run.
            imgtool.errors.WorkerUnusable: the worker process cannot be started at all.
        """
        self._tally = Tally()
        pool = self._open_pool()
        self._awaited = is_ahead() and self.options.isolate
        if self._awaited:
            pool.begin()
        store, identity = self._open_cache()
        run = Run(self.options, self.plan, store, pool, self._events, self._tally, self._observer)
        rules = Rules(include=self.options.include, exclude=self.options.exclude, hidden=self.options.hidden)
        source = discover(paths, rules, identity.is_known_image)
        finished = False
        try:
            yield from run.results(source, identity)
            finished = True
        finally:
            self.model_problems = run.model_problems
            identity.flush()
            if not finished:
                self._abandon_pool()

    def warm_up(self) -> None:
        """Start the workers now and have each load its models and run them once, while you do something else."""
        self._open_pool().warm_up()

    @property
    def statistics(self) -> Statistics:
        """The figures of the present or last ``analyze``."""
        cache = CacheStatistics(enabled=False)
        if self._store is not None and self._store.enabled and self.options.cache:
            cache = CacheStatistics(
                enabled=True,
                directory=str(cache_root(self.options)),
                entries=self._store.entries(),
                bytes=self._store.bytes(),
                limit_bytes=self.options.cache_size,
            )
        return self._tally.statistics(self._pool.counters if self._pool else None, cache)

    def close(self) -> None:
        """End the workers and close the caches."""
        with trace.span("close", "parent"), ExitStack() as stack:
            if self._claim is not None:
                stack.callback(os.close, self._claim)
            for opened in (self._scratch, self._store, self._identity, self._pool):
                if opened is not None:
                    stack.callback(opened.cleanup if isinstance(opened, tempfile.TemporaryDirectory) else opened.close)
            self._claim = self._scratch = self._store = self._identity = self._pool = None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._abandon_pool()
        self.close()

    def _open_cache(self) -> tuple[ResultStore, Identity]:
        if self._store is None or self._identity is None:
            options, root = self.options, cache_root(self.options)
            warn = self._observer.notice
            if not options.cache:
                # The same content named twice is still computed once, and thousands of answers still do not pile up
                # in memory: a store that lives as long as the engine.
                self._scratch = tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True)
                root = Path(self._scratch.name)
                self._claim = claim(root)
                sweep(root.parent, f"{_SCRATCH}*")
            with trace.span("open store", "parent"):
                self._store = ResultStore(root, size_limit=options.cache_size, ttl=options.cache_ttl, warn=warn)
                self._identity = Identity(root, rehash=options.rehash, warn=warn)
        return self._store, self._identity

    def _open_pool(self) -> Pool:
        """A pool starts no worker before it has work."""
        if self._pool is None:
            options = self.options
            limits = PoolLimits(
                workers=options.workers,
                gradual=self._gradual,
                batch_size=options.batch_size,
                timeout=options.timeout,
                load_timeout=options.load_timeout,
                max_worker_memory=options.max_worker_memory,
            )
            plans = (chosen.for_worker() for chosen in self.plan.chosen.values())
            self._pool = Pool(self._start_worker, plans, lambda *event: self._events.put(event), limits)
        return self._pool

    def _abandon_pool(self) -> None:
        if self._pool is not None:
            self._pool.close(at_once=True)
            self._pool = None
            self._events = queue.SimpleQueue()

    def _start_worker(self, post: Post, plans: tuple[TaskPlan, ...], one_by_one: bool) -> Worker:
        options = self.options
        setup = Setup(
            plans=plans,
            max_pixels=options.max_pixels,
            batch_pixels=options.batch_pixels,
            threads=threads_of(
                options, is_alone=self._gradual and self._pool is not None and not self._pool.counters.started
            ),
            # Loaded in isolation, at first use, the model that killed a worker is known by its name.
            load=LoadPolicy.LAZY if one_by_one else options.load,
            awaited=self._awaited and not one_by_one,
            idle_ttl=options.idle_ttl,
        )
        if options.isolate:
            with trace.span("start worker", "parent"):
                return WorkerProcess(setup, post, echo_stderr=self._echo_worker)
        from imgtool.runtime.worker_thread import WorkerThread

        return WorkerThread(setup, post)
