"""The scheduler: one thread through which everything goes that anybody asks of an engine.

It owns the pool, the result store and the state of all requests; callers, threads that identify files, the store's
thread and the workers only post calls to it. A request is identified, looked up together with the others of its moment,
and done, or it joins the flight that computes what it misses: one for each content and task, however many ask. Flights
wait in a queue by priority, callers in turn, until the pool has room.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from imgtool import trace
from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.cache.background import BackgroundStore
from imgtool.engine.cache.records import ImageFacts, Record, Update
from imgtool.engine.files.identify import Identified, Identifier
from imgtool.engine.plan import Plan
from imgtool.engine.scheduling.flight import Flight
from imgtool.engine.scheduling.page_request import PageRequest, decode_answer
from imgtool.engine.scheduling.work_queue import WorkQueue
from imgtool.errors import EngineClosed, ImgtoolError, NotKept, QueueFull
from imgtool.runtime.interface import FewerWorkers, ItemPool, PoolEvent
from imgtool.runtime.protocol import Answered, Decoded, ItemEvent, ItemFinished, LoadRetried, ModelFailed, ModelLoaded
from imgtool.types import Problem

Told = TypeVar("Told")

_LULL_SECONDS = 0.002
"""How long nothing must happen before sources are asked for what they have gathered: known files come by the thousand,
and in chunks they cost less."""

_IDLE_SECONDS = 0.05
_LONGEST_WAIT = 3600.0
"""Seconds. No clock of the system takes what people mean by for ever."""
_DEADLINES_KEPT = 1000
_CLOSE_SECONDS = 20.0


class Source(Protocol):
    """Who submits many requests and gathers them: an analysis of folders."""

    def tick(self) -> None:
        """Submit what was gathered, and give up what stands still. Called in the scheduler's thread when it is idle."""

    def fail(self, error: BaseException) -> None:
        """The scheduler has ended. What was not submitted will not be answered."""

    @property
    def more_coming(self) -> bool:
        """Whether it has requests that are not submitted yet."""


class Watcher(Protocol):
    """What the scheduler tells about models and workers, from its own thread."""

    def notice(self, text: str) -> None:
        """Something the user should know once."""

    def model_loaded(self, loaded: ModelLoaded) -> None:
        """A worker has loaded a model."""

    def model_failed(self, task: str, problem: Problem) -> None:
        """A model could not be loaded, and nothing stands in for it."""


class Scheduler:
    """See the module's docstring. ``submit``, ``cancel``, ``call_soon``, ``attach``, ``detach``, ``warm_up`` and
    ``close`` may be called from any thread; everything else is its own."""

    def __init__(
        self,
        plan: Plan,
        identifier: Identifier,
        make_store: Callable[[Callable[[Callable[[], None]], None]], BackgroundStore],
        make_pool: Callable[[Callable[[Callable[[], None]], None]], ItemPool],
        watcher: Watcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._identifier = identifier
        self._watcher = watcher
        self._clock = clock
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.store = make_store(self.call_soon)
        self.pool = make_pool(self.call_soon)
        self._open: dict[PageRequest, None] = {}
        self._to_look_up: list[PageRequest] = []
        self._flights: dict[str, list[Flight]] = {}
        self._by_number: dict[int, Flight] = {}
        self._numbers = itertools.count()
        self._landed: dict[str, list[Flight]] = {}
        """Flights that ended while a look-up was under way, which does not see what they have found."""
        self._queue: WorkQueue[Flight] = WorkQueue()
        self._deadlines: list[tuple[float, int, PageRequest]] = []
        self._sources: list[Source] = []
        self._warned_of_garbage = False
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    # -- from any thread

    @property
    def waiting(self) -> int:
        """How many images wait to be computed."""
        return len(self._queue)

    @property
    def in_hand(self) -> int:
        """How many images the workers have been given."""
        return max(0, len(self._by_number) - len(self._queue))

    def call_soon(self, call: Callable[[], None]) -> None:
        """Have ``call`` called in the scheduler's thread."""
        self._inbox.put(call)

    def submit(self, requests: Sequence[PageRequest]) -> None:
        """Begin with requests. Each is ``done`` at some time, with an answer, an error or a failure."""
        self._inbox.put(partial(self._begin, requests))
        if self._ended.is_set():
            # It may have ended before it read this.
            self._reject_what_is_left()

    def cancel(self, request: PageRequest) -> None:
        """Give a request up: what nobody else waits for is not computed, unless that has begun."""
        self._inbox.put(partial(self._cancel, request))

    def attach(self, source: Source) -> None:
        """Ask ``source`` for what it has gathered, from now on."""
        self._inbox.put(partial(self._attach, source))
        if self._ended.is_set():
            self._reject_what_is_left()

    def detach(self, source: Source) -> None:
        """Ask ``source`` no more."""
        self._inbox.put(lambda: self._sources.remove(source) if source in self._sources else None)

    def warm_up(self) -> None:
        """Have the pool load all models."""
        self._inbox.put(self.pool.warm_up)

    def close(self, *, at_once: bool = False) -> None:
        """End it, and what it owns; requests that are open fail. ``at_once`` without waiting for what workers do."""
        self._inbox.put(partial(self._close, at_once))
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=_CLOSE_SECONDS)

    # -- the loop

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                for call in self._wait():
                    call()
                if not self._ended.is_set():
                    self._identifier.tick()
                    self.store.tick()
                    self._take_pool_events()
                    self._look_up()
                    self._dispatch()
                    self._expire()
        except BaseException as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            self._failure = error
            self._fail_all(error)
            self._close(at_once=True)
        self._reject_what_is_left()

    def _wait(self) -> list[Callable[[], None]]:
        """Everything that was posted; waits for something where nothing was, until something else is due."""
        calls: list[Callable[[], None]] = []
        try:
            calls.append(self._inbox.get(timeout=_LULL_SECONDS) if self._sources else self._inbox.get_nowait())
        except queue.Empty:
            for source in list(self._sources):
                source.tick()
            try:
                with trace.span("wait", "wait"):
                    calls.append(self._inbox.get(timeout=self._seconds_to_deadline()))
            except queue.Empty:
                return calls
        while not self._inbox.empty() and len(calls) < 1000:
            calls.append(self._inbox.get())
        return calls

    def _seconds_to_deadline(self) -> float | None:
        due = [
            self.pool.seconds_to_deadline(),
            self.store.seconds_to_deadline(),
            self._identifier.seconds_to_deadline(),
            self._deadlines[0][0] - self._clock() if self._deadlines else None,
            _IDLE_SECONDS if any(source.more_coming for source in self._sources) else None,
        ]
        soonest = min((seconds for seconds in due if seconds is not None), default=None)
        return None if soonest is None else min(max(0.0, soonest) + 0.001, _LONGEST_WAIT)

    def _close(self, at_once: bool) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        closed = EngineClosed("the engine was closed before this was answered", "submit it to another engine")
        self._fail_all(closed)
        for source in list(self._sources):
            source.fail(self._failure or closed)
        for end in (partial(self.pool.close, at_once=at_once), self.store.close, self._identifier.close):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - the others are to be ended, too
                self._watcher.notice(f"an engine was closed with trouble: {type(error).__name__}: {error}")

    def _fail_all(self, error: BaseException) -> None:
        self._flights.clear()
        self._by_number.clear()
        self._queue = WorkQueue()
        self._to_look_up.clear()
        for request in list(self._open):
            self._finish(request, failure=error)

    def _reject_what_is_left(self) -> None:
        """Fail what was posted after the end."""
        error = self._failure or EngineClosed("the engine is closed", "make another one")
        while True:
            try:
                call = self._inbox.get_nowait()
            except queue.Empty:
                return
            if not isinstance(call, partial):
                continue
            if call.func == self._attach:
                call.args[0].fail(error)
            elif call.func == self._begin:
                for request in call.args[0]:
                    request.failure, request.done = error, True
                    request.on_done(request)

    # -- requests

    def _attach(self, source: Source) -> None:
        self._sources.append(source)

    def _begin(self, requests: Iterable[PageRequest]) -> None:
        for request in requests:
            self._open[request] = None
            if request.deadline is not None:
                self._note_deadline(request, request.deadline)
            if request.error is not None:
                self._finish(request)
            elif request.sha256 is not None:
                self._to_look_up.append(request)
            else:
                then = partial(self._on_identified, request)
                if request.content is not None:
                    self._identifier.identify_bytes(request.content, then)
                elif request.ref is not None:
                    self._identifier.identify(request.ref, then)
                else:
                    self._identifier.identify_path(request.name, then)

    def _note_deadline(self, request: PageRequest, deadline: float) -> None:
        if len(self._deadlines) > _DEADLINES_KEPT + 2 * len(self._open):
            # What is done long before its deadline must not be kept until then.
            self._deadlines = [entry for entry in self._deadlines if not entry[2].done]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (deadline, next(self._numbers), request))

    def _on_identified(self, request: PageRequest, found: Identified) -> None:
        # In the thread of the identifier.
        self.call_soon(partial(self._identified, request, found))

    def _identified(self, request: PageRequest, found: Identified) -> None:
        if request.done:
            return
        request.ref, request.sha256, request.error = found.ref or request.ref, found.sha256, found.problem
        if request.error is not None:
            self._finish(request)
        else:
            self._to_look_up.append(request)

    def _look_up(self) -> None:
        """Ask the store about all requests of this moment at once, one window after the other."""
        if not self._to_look_up or self.store.busy:
            return
        requests, self._to_look_up = self._to_look_up, []
        began = time.perf_counter()
        keys = {request.key for request in requests}
        keys |= {request.thumbnail_key for request in requests if THUMBNAIL in request.tasks}
        self.store.look_up(sorted(keys), lambda records: self._looked_up(requests, records, began))

    def _looked_up(self, requests: list[PageRequest], records: dict[str, Record], began: float) -> None:
        chosen = self._plan.chosen
        seconds = (time.perf_counter() - began) / len(requests)
        for request in requests:
            if request.done:
                continue
            record = records.get(request.key)
            whole = record is None or request.fill(record, [chosen[t] for t in request.tasks if t != THUMBNAIL])
            if THUMBNAIL in request.tasks and (pictures := records.get(request.thumbnail_key)) is not None:
                whole &= request.fill(pictures, [chosen[THUMBNAIL]])
            for landed in self._landed.get(request.key, ()):
                self._share(landed, request)
            if not (whole or self._warned_of_garbage):
                self._warned_of_garbage = True
                self._watcher.notice(
                    "the result cache holds answers of another shape, which are computed again "
                    "(`imgtool cache prune --engine NAME` removes those of an engine)"
                )
            settled = request.failures.keys() if request.error is None else request.tasks
            missing = tuple(task for task in request.missing() if task not in settled)
            if request.only_failed and not request.failed_before(record, self._plan):
                request.skipped = True
                self._finish(request)
            elif missing and request.only_kept:
                text = f"no answer to {missing[0]} is kept for this image"
                self._finish(request, failure=NotKept(text, "submit the image itself"))
            elif missing:
                self._join(request, missing)
            else:
                request.seconds += seconds
                self._finish(request)
        self._landed.clear()

    def _join(self, request: PageRequest, missing: tuple[str, ...]) -> None:
        """Wait for the flights that compute what a request misses, and begin one for what none computes."""
        wanted = set(missing)
        if request.image is None:
            request.answers.clear()
            request.values.clear()
        flights = self._flights.setdefault(request.key, [])
        for flight in flights:
            if wanted & set(flight.tasks):
                self._board(request, flight)
                wanted -= set(flight.tasks)
        if not wanted:
            return
        waiting = self._queue.count(request.priority)
        if request.most_waiting is not None and waiting >= request.most_waiting:
            self._leave(request)
            if not flights:
                self._flights.pop(request.key, None)
            self._finish(request, failure=QueueFull(f"{waiting:,} images are waiting already", "ask again later"))
            return
        # A task that reads another's answer must find it, known or computed in the same flight.
        reads = {earlier.value for task in wanted for earlier in self._plan.chosen[task].spec.after}
        wanted |= {earlier for earlier in reads & self._plan.chosen.keys() if earlier not in request.answers}
        flight = Flight(
            number=next(self._numbers),
            key=request.key,
            thumbnail_key=request.thumbnail_key,
            ref=request.ref,
            content=request.content,
            page=request.page,
            tasks=tuple(task for task in self._plan.chosen if task in wanted),
            known={task: answer for task, answer in request.answers.items() if task in reads},
            caller=request.caller,
            tally=request.tally,
        )
        flights.append(flight)
        self._by_number[flight.number] = flight
        self._queue.add(flight, request.priority, request.caller)
        self._board(request, flight)

    def _board(self, request: PageRequest, flight: Flight) -> None:
        """Have a request wait for a flight, and give it what that has found already."""
        flight.requests.append(request)
        request.flights += 1
        if flight in self._queue and self._queue.priority(flight) < request.priority:
            self._queue.add(flight, request.priority, flight.caller)
        request.image = request.image or flight.image
        for task, answer in flight.answers.items():
            if task in request.tasks:
                request.take(task, answer)
                self._tell_part(request, task)
        for task, problem in flight.failures.items():
            if task in request.tasks and task not in request.answers:
                request.failures[task] = problem
                self._tell_part(request, task)

    def _leave(self, request: PageRequest) -> None:
        """Have a request wait for nothing any more. A flight that nobody waits for is not begun; one that has begun
        goes on, and what it finds is kept."""
        flights = self._flights.get(request.key, [])
        for flight in list(flights):
            if request in flight.requests:
                flight.requests.remove(request)
                if not flight.requests and not flight.in_hand:
                    self._queue.remove(flight)
                    self._forget(flight)

    def _forget(self, flight: Flight) -> None:
        del self._by_number[flight.number]
        flights = self._flights[flight.key]
        flights.remove(flight)
        if not flights:
            del self._flights[flight.key]

    def _cancel(self, request: PageRequest) -> None:
        if not request.done:
            request.cancelled = True
            self._leave(request)
            self._finish(request)

    def _expire(self) -> None:
        """End what has passed its deadline, with the answers that are there."""
        while self._deadlines and self._deadlines[0][0] <= self._clock():
            request = heapq.heappop(self._deadlines)[2]
            if request.done:
                continue
            late = Problem("deadline_exceeded", "this was not answered before its deadline", "allow more time")
            for task in request.missing():
                request.failures.setdefault(task, late)
            self._leave(request)
            self._finish(request)

    def _finish(self, request: PageRequest, failure: BaseException | None = None) -> None:
        if request.done:
            return
        request.failure = failure
        request.done = True
        request.content = None
        self._open.pop(request, None)
        self._call(request.on_done, request)

    def _tell_part(self, request: PageRequest, task: str) -> None:
        if request.on_part is not None:
            self._call(request.on_part, task)

    def _call(self, function: Callable[[Told], None], argument: Told) -> None:
        """What a caller's own function raises is said, and does not end the scheduler."""
        try:
            function(argument)
        except BaseException as error:  # noqa: BLE001 - somebody else's code
            self._watcher.notice(f"a function that was to be called raised {type(error).__name__}: {error}")

    # -- what is computed

    def _dispatch(self) -> None:
        """Give the pool what it has room for."""
        more = bool(self._to_look_up) or self.store.busy or any(source.more_coming for source in self._sources)
        while room := self.pool.room(len(self._queue), more_coming=more):
            flights = self._queue.take(room)
            for flight in flights:
                flight.in_hand = True
            self.pool.submit([flight.item() for flight in flights])
            self._take_pool_events()

    def _take_pool_events(self) -> None:
        try:
            events = self.pool.events()
        except ImgtoolError as error:  # nothing can be computed here, now; what comes later may try again
            flights = list(self._by_number.values())
            self._queue = WorkQueue()
            for flight in flights:
                self._forget(flight)
                for request in flight.requests:
                    self._finish(request, failure=error)
            return
        updates = [update for event in events for update in self._on_event(event)]
        if updates:
            self.store.merge(updates)

    def _on_event(self, event: PoolEvent) -> list[Update]:
        if isinstance(event, ModelLoaded):
            self._watcher.model_loaded(event)
        elif isinstance(event, LoadRetried):
            what = f"{event.task}: loading {event.analyzer} failed ({event.cause}), "
            self._watcher.notice(f"{what}attempt {event.attempt} of {event.attempts}")
        elif isinstance(event, ModelFailed) and event.stand_in is not None:
            what = f"{event.stand_in} stands in for {event.analyzer}"
            self._watcher.notice(f"{what}: {_with_remedy(event.problem)}")
        elif isinstance(event, ModelFailed):
            self._watcher.model_failed(event.task, event.problem)
        elif isinstance(event, FewerWorkers):
            workers = f"{event.left} worker{'s' if event.left > 1 else ''}"
            self._watcher.notice(f"{_with_remedy(event.problem)}: going on with {workers}")
        elif (flight := self._by_number.get(event.item)) is not None:
            return self._on_flight(flight, event)
        return []

    def _on_flight(self, flight: Flight, event: ItemEvent) -> list[Update]:
        """Take in what has become of a flight; what the store should learn when it is over."""
        if isinstance(event, Decoded):
            flight.tally.figures.decode_seconds_total += event.seconds
            flight.image = ImageFacts(
                format=event.format,
                width=event.width,
                height=event.height,
                pages=event.pages,
                file_size=event.file_size,
                shown=event.shown,
                notice=event.notice,
            )
            for request in flight.requests:
                request.image = flight.image
        elif isinstance(event, Answered):
            self._on_answer(flight, event)
        elif isinstance(event, ItemFinished):
            self._land(flight, event)
            return flight.updates(self._plan)
        elif event.task is None:
            flight.error, flight.pages = event.problem, max(flight.pages, event.pages)
        else:
            self._on_failure(flight, event.task, event.problem)
        return []

    def _on_answer(self, flight: Flight, answered: Answered) -> None:
        task = answered.task
        try:
            value = decode_answer(task, answered.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"{answered.analyzer} gave an answer that is none to {task}: {error}"
            self._on_failure(flight, task, Problem("model_failed", text, "report it to who wrote the engine"))
            return
        answer = flight.take(answered, self._plan.chosen[task].who(answered.analyzer))
        if task != THUMBNAIL:
            flight.tally.inference(task, answered.seconds)
        for number, request in enumerate(flight.requests):
            if task in request.tasks:
                request.answers[task], request.values[task] = answer, value
                request.failures.pop(task, None)
                if number == 0:
                    request.fresh[task] = flight.fresh[task]
                self._tell_part(request, task)

    def _on_failure(self, flight: Flight, task: str, problem: Problem) -> None:
        flight.failures[task] = problem
        for request in flight.requests:
            if task in request.tasks:
                request.failures[task] = problem
                self._tell_part(request, task)

    def _land(self, flight: Flight, finished: ItemFinished) -> None:
        self._forget(flight)
        if self.store.busy:
            self._landed.setdefault(flight.key, []).append(flight)
        flight.tally.busy_seconds += finished.answering_seconds
        for number, request in enumerate(list(flight.requests)):
            request.image = request.image or flight.image
            request.pages = max(request.pages, flight.pages)
            request.error = request.error or flight.error
            if number == 0:
                request.seconds += finished.seconds
            request.flights -= 1
            if not request.flights:
                self._finish(request)

    def _share(self, flight: Flight, request: PageRequest) -> None:
        """Give a request what a flight has found that it would have waited for, had it come a moment sooner."""
        request.image = request.image or flight.image
        request.pages = max(request.pages, flight.pages)
        request.error = request.error or flight.error
        for task in request.tasks:
            if task in flight.answers and task not in request.answers:
                request.take(task, flight.answers[task])
            elif task in flight.failures:
                request.failures[task] = flight.failures[task]


def _with_remedy(problem: Problem) -> str:
    return problem.message + (f" ({problem.remedy})" if problem.remedy else "")
