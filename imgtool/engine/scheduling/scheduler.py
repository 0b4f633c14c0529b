"""The scheduler: one thread through which everything goes that anybody asks of an engine.

It owns the pool, the result store and the state of all requests; callers, threads that identify files, the store's
thread and the workers only post calls to it. A request is identified, looked up together with the others of its moment,
and done, or it joins the flight that computes what it misses: one for each content and task, however many ask. Flights
wait in a queue by priority, callers in turn, until the pool has room.

Just before a flight is given to the pool it is claimed in the store: what another process that shares the cache has
found by then is taken over, and what that is computing waits for its answer, while others are computed here.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from imgtool import trace
from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.cache.answer_values import decode_answer
from imgtool.engine.cache.records import ImageFacts, Record, Update
from imgtool.engine.cache.tiers import Records, TieredStore
from imgtool.engine.files.identify import Identified, Identifier
from imgtool.engine.plan import Plan
from imgtool.engine.scheduling.flight import Flight
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.scheduling.work_queue import WorkQueue
from imgtool.errors import EngineClosed, ImgtoolError, NotKept, QueueFull
from imgtool.runtime.interface import FewerWorkers, ItemPool, NodeNotice, PoolEvent
from imgtool.runtime.protocol import Answered, Decoded, ItemEvent, ItemFinished, LoadRetried, ModelFailed, ModelLoaded
from imgtool.types import Problem

if TYPE_CHECKING:
    from imgtool.engine.cache.shared.answers import Question

Told = TypeVar("Told")

_LULL_SECONDS = 0.002
"""How long nothing must happen before sources are asked for what they have gathered: known files come by the thousand,
and in chunks they cost less."""

_IDLE_SECONDS = 0.05
_LONGEST_WAIT = 3600.0
"""Seconds. No clock of the system takes what people mean by for ever."""
_DEADLINES_KEPT = 1000
_CLOSE_SECONDS = 20.0

_ELSEWHERE_SECONDS = 0.2
"""How often to see what has become of images that another process computes."""


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
        make_store: Callable[[Callable[[Callable[[], None]], None]], TieredStore],
        make_pool: Callable[[Callable[[Callable[[], None]], None]], ItemPool],
        watcher: Watcher,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 120.0,
    ) -> None:
        """``patience`` is how many seconds other processes may go without answering any of the images that are left to
        them."""
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
        self._claiming = self._is_shared = False
        self._elsewhere: list[Flight] = []
        """What other processes compute."""
        self._look_elsewhere_at = self._heard_from_elsewhere = 0.0
        self._patience = patience
        self._deadlines: list[tuple[float, int, weakref.ref[PageRequest]]] = []
        """Most requests are answered long before, and with their answers they would be kept until then."""
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
        """Have the pool load all models, and the shared cache connected."""
        self._inbox.put(self.pool.warm_up)
        if self.store.shared is not None:
            self._inbox.put(self.store.shared.begin)

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
            self._look_elsewhere_at - self._clock() if self._elsewhere and not self._claiming else None,
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
            self._deadlines = [entry for entry in self._deadlines if entry[2]() in self._open]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (deadline, next(self._numbers), weakref.ref(request)))

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
        self.store.look_up(
            sorted(keys),
            lambda records: self._lacking(requests, records),
            lambda records, shared: self._looked_up(requests, records, shared, began),
        )

    def _lacking(self, requests: list[PageRequest], records: Records) -> list[Question]:
        """The answers that requests ask for and their records do not have."""
        from imgtool.engine.cache.shared.answers import Question

        lacking: dict[Question, None] = {}
        for request in requests:
            for task in () if request.done else request.tasks:
                key = request.thumbnail_key if task == THUMBNAIL else request.key
                record, fingerprint = records.get(key), self._plan.chosen[task].fingerprint
                if record is None or record.image is None or fingerprint not in record.answers:
                    lacking[Question(key, task, fingerprint)] = None
        return list(lacking)

    def _looked_up(
        self, requests: list[PageRequest], records: Records, shared: frozenset[Question], began: float
    ) -> None:
        chosen = self._plan.chosen
        from_shared = {question.record for question in shared}
        seconds = (time.perf_counter() - began) / len(requests)
        for request in requests:
            if request.done:
                continue
            record = records.get(request.key)
            whole = record is None or request.fill(record, [chosen[t] for t in request.tasks if t != THUMBNAIL])
            if THUMBNAIL in request.tasks and (pictures := records.get(request.thumbnail_key)) is not None:
                whole &= request.fill(pictures, [chosen[THUMBNAIL]])
            request.from_shared = request.key in from_shared
            # It would have waited for these, had it come a moment sooner.
            for landed in self._landed.get(request.key, ()):
                landed.give(request)
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
        for task in flight.give(request):
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
            request = heapq.heappop(self._deadlines)[2]()
            if request is None or request.done:
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
        """Claim what the pool has room for, and see from time to time what became of what others had claimed."""
        if self._elsewhere and not self._claiming and self._look_elsewhere_at <= self._clock():
            self._look_elsewhere()
        more = bool(self._to_look_up) or self.store.busy or any(source.more_coming for source in self._sources)
        while not self._claiming and (room := self.pool.room(len(self._queue), more_coming=more)):
            # Less at a time towards the end, so that no process is left with a batch while others have nothing.
            flights = self._queue.take(min(room, -(-len(self._queue) // 4)) if self._is_shared else room)
            self._claim(flights, partial(self._claimed, flights))

    def _claim(self, flights: Iterable[Flight], then: Callable[[dict[str, Record], set[str]], None]) -> None:
        images: dict[str, list[str]] = {}
        for flight in flights:
            images.setdefault(flight.key, []).extend(flight.record_keys())
        self._claiming = True
        self.store.claim(images, then)

    def _claimed(self, flights: list[Flight], records: dict[str, Record], taken: set[str]) -> None:
        """Give the pool those that nobody else computes or has computed."""
        self._claiming = False
        ready, elsewhere = self._left_of(flights, records, taken)
        if elsewhere and not self._elsewhere:
            self._look_elsewhere_at = self._clock() + _ELSEWHERE_SECONDS
            self._heard_from_elsewhere = self._clock()
        self._elsewhere += elsewhere
        self._is_shared |= bool(elsewhere)
        self._release({flight.key for flight in flights} - {flight.key for flight in ready})
        for flight in ready:
            flight.in_hand = True
        if ready:
            self.pool.submit([flight.item() for flight in ready])
            self._take_pool_events()

    def _look_elsewhere(self) -> None:
        flights = [flight for flight in self._elsewhere if flight.number in self._by_number]
        if self._clock() - self._heard_from_elsewhere <= self._patience:
            self._claim(flights, partial(self._looked_elsewhere, flights))
            return
        self._elsewhere = []
        some = f"{len(flights)} image{'s' if len(flights) != 1 else ''}"
        self._watcher.notice(
            f"another process is at work on {some}, and has answered none for {self._patience:g} s: computed here, too"
        )
        for flight in flights:
            flight.alone = True
            self._queue.add(flight, flight.priority(), flight.caller)

    def _looked_elsewhere(self, flights: list[Flight], records: dict[str, Record], taken: set[str]) -> None:
        """What nobody computes any more waits for its turn here."""
        self._claiming = False
        left, self._elsewhere = self._left_of(flights, records, taken)
        self._release({flight.key for flight in flights} - taken)
        for flight in left:
            self._queue.add(flight, flight.priority(), flight.caller)
        self._look_elsewhere_at = self._clock() + _ELSEWHERE_SECONDS
        if len(self._elsewhere) < len(flights):
            self._heard_from_elsewhere = self._clock()

    def _left_of(
        self, flights: list[Flight], records: dict[str, Record], taken: set[str]
    ) -> tuple[list[Flight], list[Flight]]:
        """Those of ``flights`` that are left to compute here, and elsewhere."""
        here: list[Flight] = []
        elsewhere: list[Flight] = []
        for flight in flights:
            if flight.number not in self._by_number:  # cancelled meanwhile
                continue
            if flight.key in taken and not flight.alone:
                elsewhere.append(flight)
            elif not self._land_from(flight, records):
                here.append(flight)
        return here, elsewhere

    def _land_from(self, flight: Flight, records: dict[str, Record]) -> bool:
        """Give those who wait for a flight what another process has found, if that is all of it."""
        found = [records.get(key) for key in flight.record_keys()]
        choices = [self._plan.chosen[task] for task in flight.tasks]
        known = {fingerprint for record in found if record is not None for fingerprint in record.answers}
        if any(choice.fingerprint not in known for choice in choices) or found[0] is None or found[0].image is None:
            return False
        if not all(request.fill(record, choices) for request in flight.requests for record in found if record):
            return False
        self._forget(flight)
        for request in list(flight.requests):
            for task in flight.tasks:
                if task in request.tasks:
                    self._tell_part(request, task)
            request.flights -= 1
            if not request.flights:
                self._finish(request)
        return True

    def _release(self, keys: Iterable[str]) -> None:
        if released := list(keys):
            self.store.merge((), release=released)

    def _take_pool_events(self) -> None:
        try:
            events = self.pool.events()
        except ImgtoolError as error:  # nothing can be computed here, now; what comes later may try again
            flights = list(self._by_number.values())
            self._queue = WorkQueue()
            self._release(flight.key for flight in flights if flight.in_hand)
            for flight in flights:
                self._forget(flight)
                for request in flight.requests:
                    self._finish(request, failure=error)
            return
        updates = [update for event in events for update in self._on_event(event)]
        if updates:
            self.store.merge(updates, release=[update.key for update in updates])

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
        elif isinstance(event, NodeNotice):
            self._watcher.notice(event.text)
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
            flight.give(request)
            if number == 0:
                request.seconds += finished.seconds
            request.flights -= 1
            if not request.flights:
                self._finish(request)


def _with_remedy(problem: Problem) -> str:
    return problem.message + (f" ({problem.remedy})" if problem.remedy else "")
