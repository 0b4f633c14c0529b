"""The engine: what callers see. It opens what it needs, lazily, and keeps the workers until it is closed."""

from __future__ import annotations

import math
import operator
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat, SupportsIndex

from imgtool import trace
from imgtool.config import convert_options
from imgtool.engine.analysis import Analysis
from imgtool.engine.cache.background import BackgroundStore
from imgtool.engine.cache.memory import MemoryTier
from imgtool.engine.cache.records import Tier
from imgtool.engine.cache.store import ResultStore
from imgtool.engine.cache.tiers import TieredStore
from imgtool.engine.files.identify import Identifier
from imgtool.engine.files.identity import Identity
from imgtool.engine.local_pool import LocalPool
from imgtool.engine.observer import Observer
from imgtool.engine.plan import Plan, make_plan
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.scheduling.result_stream import ResultStream
from imgtool.engine.scheduling.scheduler import Scheduler
from imgtool.engine.sources import read_source
from imgtool.engine.statistics import CacheStatistics, Statistics, Tally
from imgtool.engine.ticket import Ticket
from imgtool.engine.worker_count import with_workers
from imgtool.errors import (
    Cancelled,
    EngineClosed,
    QueueFull,
    SandboxUnavailable,
    SourceProblem,
    UsageProblem,
    WorkerUnusable,
)
from imgtool.options import EngineOptions, Sandbox, cache_root
from imgtool.runtime import start_process
from imgtool.runtime.interface import ItemPool, NodeStatistics
from imgtool.runtime.protocol import ModelLoaded
from imgtool.types import ImageResult, Priority, Problem, Task

if TYPE_CHECKING:
    from typing import Unpack

    from imgtool.engine.files.discover import Named
    from imgtool.engine.keywords import EngineKeywords
    from imgtool.engine.sources import Source

CallSoon = Callable[[Callable[[], None]], None]

_PAGES = 1 << 31
_WHOLE = (int, SupportsIndex)  # in this order: a class is looked up sooner than what an object can do
_NUMBER = (float, int, SupportsFloat)
_HASHED_AT_ONCE = 1 << 18
"""Bytes that are hashed by who submits them: that takes less time than to have it done."""


class EngineLoad(NamedTuple):
    """How many images wait to be computed, how many workers have been given, and how many tickets are open."""

    waiting: int
    in_hand: int
    open: int


class Engine(AbstractContextManager["Engine"]):
    """Answers about images; the command line, services and the Python API are all this.

    ::

        from imgtool import Engine

        with Engine(tasks=["text"], cache_dir="cache") as engine:
            for result in engine.analyze(["photos"]):
                print(result.path, result.text)
            print(engine.submit(photo_bytes).result().text)

    Keyword arguments are those of :class:`imgtool.options.EngineOptions`; environment and configuration files are the
    command line's matter and are not read here.

    All methods may be called from any number of threads and event loops at once: what is asked about the same content
    is computed once. Worker processes start with the first image that is not in the cache, and end with ``close``, or
    when nobody refers to the engine any more. A process that is forked from one with an engine begins afresh.
    """

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        observer: Observer | None = None,
        thumbnails: bool = False,
        echo_worker: bool = False,
        queue_limit: int = 1000,
        queue_bytes: int = 1_000_000_000,
        **overrides: Unpack[EngineKeywords],
    ) -> None:
        """
        ``queue_limit`` is how many tickets may be open at once, ``queue_bytes`` how many bytes of images they may hold;
        ``analyze`` has a window of its own. ``echo_worker`` shows what workers write to stderr.

        Raises:
            imgtool.errors.ModelMissing: a task that was asked for cannot be answered here.
            imgtool.errors.UsageProblem: an option has an impossible value.
            imgtool.errors.MissingExtra: redis-py for a shared cache is not installed, or Ray for a cluster.
            imgtool.errors.SandboxUnavailable: workers are to be restricted, and cannot be.
        """
        base = options or EngineOptions()
        self.options = convert_options(base, overrides) if overrides else base
        if self.options.shared_url is not None:
            from imgtool.engine.cache.shared.url import check_url

            check_url(self.options.shared_url)
        if self.options.sandbox is Sandbox.ON:
            _require_sandbox(self.options)
        if self.options.cluster is not None:
            from imgtool.cluster.address import check_address

            check_address(self.options.cluster)
        with trace.span("plan", "parent"):
            self.plan: Plan = make_plan(self.options, thumbnails=thumbnails)
        self._gradual = not self.options.workers
        self.options = with_workers(self.options, self.plan)
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._echo_worker = echo_worker
        self._reporter = _Reporter(observer or Observer())
        self._inside: _Inside | None = None
        self._lock = threading.Lock()
        self._closed = False
        _engines.add(self)
        for notice in self.plan.notices:
            self._reporter.notice(notice)

    # -- use

    def submit(
        self,
        source: Source,
        tasks: Iterable[Task | str] | None = None,
        *,
        page: int = 0,
        name: str | None = None,
        priority: int = Priority.NORMAL,
        deadline: float | None = None,
        caller: Hashable = None,
        most_waiting: int | None = None,
    ) -> Ticket:
        """Ask about one image; returns at once.

        ``source`` is the path of a file, the bytes of one, an open binary file (read to its end), an image of Pillow,
        or a numpy array: (H, W) or (H, W, 1) grey, (H, W, 3) RGB, (H, W, 4) RGBA, ``uint8`` or floats in [0, 1].
        ``page`` counts from 0. ``name`` stands as ``path`` in the result of what has none. ``tasks`` are some of the
        engine's. ``deadline`` is seconds from now: what is not answered by then fails, with what is answered. Of what
        waits, a higher ``priority`` is computed first, and of equal ones the ``caller``s take turns. Where
        ``most_waiting`` images of this priority or a higher one wait already and this one would have to be computed,
        too, the ticket raises :class:`imgtool.errors.QueueFull`.

        A file that cannot be read, or is no image, is a result with ``error``, not an exception.

        Raises:
            imgtool.errors.QueueFull: ``queue_limit`` or ``queue_bytes`` is reached.
            imgtool.errors.EngineClosed: the engine was closed.
            imgtool.errors.SourceProblem: ``source`` is of no kind that is taken.
            imgtool.errors.UsageProblem: ``tasks`` names one that this engine does not answer, or another argument
                makes no sense.
        """
        inside = self._open()
        wanted = self._wanted(tasks)
        _check(page, name, priority, deadline, caller)
        found = read_source(source, name)
        size = len(found.content or b"")
        inside.admit(size, self._queue_limit, self._queue_bytes)
        ticket, on_done = inside.ticket(self, size)
        request = PageRequest(
            name=found.name,
            tasks=wanted,
            on_done=on_done,
            on_part=ticket.on_part,
            tally=inside.tally,
            content=found.content,
            content_size=size if found.content is not None else None,
            page=operator.index(page),
            priority=priority,
            caller=caller,
            deadline=None if deadline is None else time.monotonic() + deadline,
            error=found.problem,
            most_waiting=most_waiting,
        )
        if found.content is not None and size <= _HASHED_AT_ONCE:
            import hashlib

            request.sha256 = hashlib.sha256(found.content).hexdigest()
        ticket.begin(request)
        inside.scheduler.submit((request,))
        return ticket

    def look_up(
        self, sha256: str, tasks: Iterable[Task | str] | None = None, *, page: int = 0, name: str | None = None
    ) -> Ticket:
        """Ask for what is kept about the image with this hash (64 hexadecimal digits), without the image.

        ``name`` stands as ``path`` in the result. Nothing is computed: where an answer to one of ``tasks`` is not kept,
        the ticket raises :class:`imgtool.errors.NotKept`.

        Raises:
            imgtool.errors.QueueFull: ``queue_limit`` is reached.
            imgtool.errors.EngineClosed: the engine was closed.
            imgtool.errors.UsageProblem: ``tasks`` names one that this engine does not answer.
        """
        inside = self._open()
        wanted = self._wanted(tasks)
        inside.admit(0, self._queue_limit, self._queue_bytes)
        ticket, on_done = inside.ticket(self, 0)
        request = PageRequest(
            name=sha256 if name is None else name,
            tasks=wanted,
            on_done=on_done,
            tally=inside.tally,
            sha256=sha256,
            page=page,
            only_kept=True,
        )
        ticket.begin(request)
        inside.scheduler.submit((request,))
        return ticket

    def analyze(self, paths: str | os.PathLike[str] | Iterable[Named]) -> Analysis:
        """One result for each image under ``paths`` (files, folders, globs), in that order: for ``for`` and for ``async
        for``. A single path is one path.

        A file that cannot be answered is a result with ``error`` set, not an exception.

        Raises:
            imgtool.errors.EngineClosed: the engine was closed.
            imgtool.errors.SourceProblem: ``paths`` is neither a path nor several; of one among them it is raised once
                the results before it were taken.
        """
        inside = self._open()
        if isinstance(paths, bytes) or not isinstance(paths, str | os.PathLike | Iterable):
            text = f"{paths!r:.50} of type {type(paths).__name__} is no path"
            raise SourceProblem(text, "give paths as text or as Path; Engine.submit takes images")
        named = (paths,) if isinstance(paths, str | os.PathLike) else paths
        tally = Tally()
        tasks = self._wanted(None)
        stream = ResultStream(
            inside.scheduler, inside.identifier, self.options, tasks, named, self._reporter.observer, tally
        )
        inside.latest = tally
        self._reporter.follow(stream)
        if inside.begins_ahead:
            inside.begins_ahead = False
            inside.scheduler.call_soon(inside.scheduler.pool.begin)
        return Analysis(self.options, stream, tally, inside.result, self.figures_of)

    def warm_up(self) -> None:
        """Start the workers now and have each load its models and run them once, while you do something else.

        Raises:
            imgtool.errors.EngineClosed: the engine was closed.
        """
        self._open().scheduler.warm_up()

    @property
    def statistics(self) -> Statistics:
        """The figures of the latest ``analyze``; where there was none, of everything that was submitted."""
        inside = self._inside
        if inside is None:
            return Tally().statistics()
        return self.figures_of(inside.latest or inside.tally)

    @property
    def model_problems(self) -> dict[str, Problem]:
        """Tasks whose model could not be loaded, with the reason."""
        return dict(self._reporter.model_problems)

    @property
    def load(self) -> EngineLoad:
        """How much there is to do at this moment."""
        inside = self._inside
        if inside is None:
            return EngineLoad(waiting=0, in_hand=0, open=0)
        return EngineLoad(inside.scheduler.waiting, inside.scheduler.in_hand, inside.tickets)

    @property
    def nodes(self) -> dict[str, NodeStatistics]:
        """What the nodes of the cluster have done, by name; empty without one."""
        inside = self._inside
        return {} if inside is None else dict(inside.scheduler.pool.statistics.nodes)

    @property
    def submitted(self) -> Statistics:
        """The figures of everything that was submitted, of ``analyze`` nothing."""
        inside = self._inside
        return self.figures_of(Tally() if inside is None else inside.tally)

    def count(self, result: ImageResult) -> None:
        """Count a result from the cache in ``submitted`` that is given out once more, without being asked for here."""
        if self._inside is not None:
            self._inside.tally.result(result)

    @property
    def loaded_tasks(self) -> frozenset[str]:
        """Tasks that a worker has loaded a model for."""
        return frozenset(loaded.task for loaded in list(self._reporter.models))

    def figures_of(self, tally: Tally) -> Statistics:
        """The figures of a tally, with those of the engine's models, workers and cache."""
        inside = self._inside
        cache = CacheStatistics(enabled=False)
        if inside is not None and self.options.cache:
            store = inside.scheduler.store
            if store.local.enabled:
                entries, size = store.local.figures() or (None, None)
                root, limit = str(cache_root(self.options)), self.options.cache_size
                cache = CacheStatistics(enabled=True, directory=root, entries=entries, bytes=size, limit_bytes=limit)
            cache.shared = None if store.shared is None else store.shared.figures()
        workers = None if inside is None else inside.scheduler.pool.statistics
        return tally.statistics(self._reporter.models, workers, cache)

    def close(self) -> None:
        """End the workers and close the caches; what is open fails with :class:`imgtool.errors.EngineClosed`."""
        self._close(at_once=False)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close(at_once=kind is not None)

    def __reduce__(self) -> Any:
        raise TypeError("an Engine cannot be pickled or copied: make one in each process")

    # -- what is opened when it is needed

    def _close(self, *, at_once: bool) -> None:
        with self._lock:
            self._closed = True
            inside = self._inside
        if inside is not None:
            with trace.span("close", "parent"):
                inside.close(at_once=at_once)

    def _wanted(self, tasks: Iterable[Task | str] | None) -> tuple[str, ...]:
        chosen = self.plan.chosen
        if tasks is None:
            return tuple(chosen)
        if not isinstance(tasks, Iterable):
            raise _refusal("tasks", tasks, "the names of tasks")
        names = [tasks] if isinstance(tasks, str) else [str(task) for task in tasks]
        if unknown := [name for name in names if name not in {task.value for task in Task} & chosen.keys()]:
            answered = ", ".join(task.value for task in Task if task.value in chosen)
            raise UsageProblem(f"this engine does not answer {unknown[0]!r}", f"it answers {answered}")
        if not names:
            raise UsageProblem("no task is asked for", "leave tasks out to ask for all of the engine's")
        return tuple(task for task in chosen if task in names)

    def _open(self) -> _Inside:
        with self._lock:
            if self._closed:
                raise EngineClosed("the engine is closed", "make another one")
            if self._inside is None:
                try:
                    self._inside = _Inside(self.options, self.plan, self._reporter, self._echo_worker, self._gradual)
                except RuntimeError as error:
                    raise _no_threads(error) from error
                weakref.finalize(self, self._inside.close, at_once=True)
            return self._inside

    def forget(self) -> None:
        """In a forked child: begin afresh, and let go of what belongs to the parent."""
        self._lock = threading.Lock()
        # Nobody takes the results of the parent's analyses here, and their locks may be held for ever.
        self._reporter.follow(None)
        inside, self._inside = self._inside, None
        if inside is not None:
            _inherited.append(inside)
            inside.forget()


class _Inside:
    """What an open engine consists of. Knows nothing of the engine, so that one that is dropped can be closed."""

    def __init__(
        self, options: EngineOptions, plan: Plan, reporter: _Reporter, echo_worker: bool, gradual: bool
    ) -> None:
        self._options = options
        self._plan = plan
        self._reporter = reporter
        self._echo_worker = echo_worker
        self._gradual = gradual
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._tickets = 0
        self._bytes = 0
        self.tally = Tally()
        self.latest: Tally | None = None
        self.begins_ahead = start_process.is_ahead() and options.isolate and options.cluster is None
        root = cache_root(options) if options.cache else None
        warn = reporter.notice

        def open_tier() -> Tier:
            if root is None:
                return MemoryTier()
            return ResultStore(root, size_limit=options.cache_size, ttl=options.cache_ttl, warn=warn)

        def open_index() -> Identity:
            assert root is not None
            return Identity(root, rehash=options.rehash, warn=warn)

        def make_store(call_soon: CallSoon) -> TieredStore:
            local = BackgroundStore(open_tier, call_soon, warn)
            if options.shared_url is None:
                return TieredStore(local)
            from imgtool.engine.cache.shared.store import SharedStore

            url, ttl, oldest = options.shared_url, options.shared_ttl, options.cache_ttl
            return TieredStore(local, SharedStore(url, ttl=ttl, max_age=oldest, call_soon=call_soon, warn=warn))

        self.identifier = Identifier(open_index if root is not None else None, options.timeout, warn)
        self.scheduler = Scheduler(
            plan, self.identifier, make_store, self._make_pool, reporter, patience=max(options.timeout, 10.0)
        )

    def admit(self, size: int, most_tickets: int, most_bytes: int) -> None:
        """Let one more ticket in.

        Raises:
            QueueFull: there are too many.
        """
        with self._lock:
            if self._tickets >= most_tickets:
                text = f"{self._tickets:,} images are waiting already"
                raise QueueFull(text, "ask again later, or raise queue_limit")
            if self._tickets and self._bytes + size > most_bytes:
                raise QueueFull(f"{self._bytes:,} bytes are waiting already", "ask again later, or raise queue_bytes")
            self._tickets += 1
            self._bytes += size

    def ticket(self, engine: Engine, size: int) -> tuple[Ticket, Callable[[PageRequest], None]]:
        """A ticket for an image of so many bytes that was let in, and what its request calls when it is done."""
        ticket = Ticket(engine, self.scheduler.cancel, self.part)

        def on_done(request: PageRequest) -> None:
            with self._lock:
                self._tickets -= 1
                self._bytes -= size
            if request.cancelled:
                ticket.on_done(None, Cancelled("this was cancelled before it was answered", "submit it again"))
            elif request.failure is not None:
                ticket.on_done(None, request.failure)
            else:
                try:
                    result = self.result(request)
                except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
                    ticket.on_done(None, error)
                    return
                self.tally.result(result, from_shared=request.from_shared)
                ticket.on_done(result, None)

        return ticket, on_done

    @property
    def tickets(self) -> int:
        """How many tickets are open."""
        return self._tickets

    def result(self, request: PageRequest) -> ImageResult:
        """A request as the result that is given out."""
        return request.result(self._plan, cache_enabled=self._cache_enabled)

    def part(self, request: PageRequest, task: str) -> Any:
        """One task of a request."""
        return request.task_result(task, self._plan, self._cache_enabled)

    @property
    def _cache_enabled(self) -> bool:
        return self._options.cache and self.scheduler.store.enabled

    def close(self, *, at_once: bool) -> None:
        """End everything."""
        if self._process == os.getpid():
            self.scheduler.close(at_once=at_once)

    def forget(self) -> None:
        """In a forked child: let go of the parent's pipes."""
        self.scheduler.pool.forget()

    def _make_pool(self, call_soon: CallSoon) -> ItemPool:
        """A pool starts nothing before it has work."""
        options = self._options
        if options.cluster is not None:
            from imgtool.cluster.pool import pool_of_nodes

            return pool_of_nodes(options, self._plan, call_soon, every_worker=not self._gradual)
        return LocalPool(
            options,
            self._plan,
            call_soon,
            gradual=self._gradual,
            awaited=self.begins_ahead,
            echo_worker=self._echo_worker,
        )


class _Reporter:
    """Passes what happens on to the observer: in the thread that takes the results of an analysis, where there is one,
    else in whatever thread it happens."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.models: list[ModelLoaded] = []
        self.model_problems: dict[str, Problem] = {}
        self._stream: weakref.ref[ResultStream] | None = None

    def follow(self, stream: ResultStream | None) -> None:
        """Tell by way of this analysis, from now on; ``None``: directly."""
        self._stream = None if stream is None else weakref.ref(stream)

    def notice(self, text: str) -> None:
        """Something the user should know once."""
        self._tell(lambda observer: observer.notice(text))

    def model_loaded(self, loaded: ModelLoaded) -> None:
        """A worker has loaded a model."""
        self.models.append(loaded)
        self._tell(lambda observer: observer.model_loaded(loaded))

    def model_failed(self, task: str, problem: Problem) -> None:
        """A model could not be loaded, and nothing stands in for it."""
        if task not in self.model_problems:
            self.model_problems[task] = problem
            remedy = f" ({problem.remedy})" if problem.remedy else ""
            self.notice(f"{task} is left out: {problem.message}{remedy}")

    def _tell(self, news: Callable[[Observer], None]) -> None:
        stream = None if self._stream is None else self._stream()
        if stream is None or not stream.observe(news):
            news(self.observer)


def _require_sandbox(options: EngineOptions) -> None:
    from imgtool.ground.sandbox import support

    remedy = "use --sandbox auto, which goes on without it, or another machine"
    if not options.isolate:
        raise SandboxUnavailable("--no-isolate has no worker that could be restricted", "leave one of the two out")
    if lacking := support().lacking:
        raise SandboxUnavailable(f"workers cannot be restricted here: {lacking}", remedy)


def _check(page: object, name: object, priority: object, deadline: object, caller: object) -> None:
    """Refuse arguments of ``submit`` that the scheduler, which serves all callers, would stumble over."""
    if not isinstance(page, _WHOLE) or not 0 <= operator.index(page) < _PAGES:
        raise _refusal("page", page, "a whole number, from 0")
    if name is not None and not isinstance(name, str):
        raise _refusal("name", name, "text")
    if not isinstance(priority, int):
        raise _refusal("priority", priority, "a whole number")
    if deadline is not None and (not isinstance(deadline, _NUMBER) or math.isnan(deadline)):
        raise _refusal("deadline", deadline, "seconds")
    try:
        hash(caller)
    except TypeError as error:
        raise _refusal("caller", caller, "something hashable, as text") from error


def _refusal(name: str, given: object, wanted: str) -> UsageProblem:
    return UsageProblem(f"{name} cannot be {given!r:.50}", f"give {wanted}")


def _no_threads(error: RuntimeError) -> WorkerUnusable:
    return WorkerUnusable(f"the engine cannot be started: {error}", "allow more processes and threads: ulimit -u")


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_inherited: list[_Inside] = []
"""What a forked child has inherited: databases and locks that must be neither used nor closed there."""


def _begin_afresh() -> None:
    for engine in list(_engines):
        engine.forget()
    start_process.forget()


os.register_at_fork(after_in_child=_begin_afresh)
