"""One run: every listed file through look-up, work and store, results in the order the files were named.

Everything here happens in the thread that iterates over the results. Listing and hashing (``intake``) and the
workers (``pool``) post events to one queue; this loop takes them in, stores what is finished and gives it out.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from imgtool import trace
from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.cache.store import DECODE_FAILURE, ImageFacts, ResultStore, StoredAnswer, Update
from imgtool.engine.files.discover import ImageRef, RefusedPath
from imgtool.engine.files.identity import Identity
from imgtool.engine.files.intake import Exhausted, Identified, Intake
from imgtool.engine.files.problems import shown
from imgtool.engine.files.reorder import ReorderBuffer
from imgtool.engine.observer import Observer
from imgtool.engine.page_request import PageRequest
from imgtool.engine.plan import Plan
from imgtool.engine.statistics import Tally
from imgtool.errors import TooManyFailures
from imgtool.options import EngineOptions, Pages
from imgtool.runtime.pool import FewerWorkers, Pool
from imgtool.runtime.protocol import Answered, Decoded, ItemEvent, ItemFinished, LoadRetried, ModelFailed, ModelLoaded
from imgtool.types import ImageResult, Problem

_IDLE_SECONDS = 0.05
_COUNT_AHEAD = 100_000
"""Files that are listed ahead where somebody wants to know how many there are: some 30 MB."""
_RATE_NEEDS = 20
"""Images after which ``--max-failure-rate`` may stop a run: before, one bad image is too large a share."""


class Run:
    """See the module's docstring. ``results`` may be iterated once."""

    def __init__(
        self,
        options: EngineOptions,
        plan: Plan,
        store: ResultStore,
        pool: Pool,
        events: queue.SimpleQueue[Any],
        tally: Tally,
        observer: Observer,
    ) -> None:
        self._options = options
        self._plan = plan
        self._store = store
        self._pool = pool
        self._events = events
        self._tally = tally
        self._observer = observer
        self._begun: dict[int, PageRequest] = {}
        self._next_seq = 0
        self._in_order: deque[PageRequest] = deque()
        self._items: dict[int, PageRequest] = {}
        self._same_content: dict[str, list[PageRequest]] = {}
        self._item_ids = itertools.count()
        self._updates: list[Update] = []
        self._reorder: ReorderBuffer[Identified] = ReorderBuffer()
        self._listed: int | None = None
        self._found = 0
        self.model_problems: dict[str, Problem] = {}

    def results(self, source: Iterable[ImageRef | RefusedPath], identity: Identity) -> Iterator[ImageResult]:
        """Yield one result a page, in order. Raises what ended the listing, and :class:`TooManyFailures`."""
        window = max(64, 4 * self._options.batch_size * self._options.workers)
        ahead = _COUNT_AHEAD if self._observer.wants_total else 0
        intake = Intake(source, identity, self._events.put, window, ahead)
        try:
            while self._listed is None or self._next_seq < self._listed or self._in_order:
                self._take_in(intake)
                self._store_updates()
                yield from self._ready(intake)
        finally:
            intake.stop()
            self._store_updates()

    def _take_in(self, intake: Intake) -> None:
        """Take in whatever has happened; wait for something where nothing has."""
        event = self._wait(intake)
        while event is not None:
            if isinstance(event, list):
                for found in event:
                    self._on_intake(found)
            else:
                self._pool.handle(*event)
                self._on_pool_events()
            event = None if self._events.empty() else self._events.get()
        if self._reorder.held_seconds() >= _IDLE_SECONDS:
            self._begin_files(self._reorder.let_go())
        self._pool.tick()
        self._on_pool_events()
        self._pool.dispatch(more_coming=self._listed is None or self._found < self._listed)

    def _wait(self, intake: Intake) -> Any:
        try:
            return self._events.get_nowait()
        except queue.Empty:
            intake.flush()
        try:
            deadline = self._pool.seconds_to_deadline()
            # A listing that trickles in leaves events in a chunk that only an idle loop asks for.
            idle = _IDLE_SECONDS if self._listed is None else 1.0
            with trace.span("wait", "wait"):
                return self._events.get(timeout=idle if deadline is None else min(idle, deadline + 0.001))
        except queue.Empty:
            return None

    def _on_intake(self, event: Identified | Exhausted) -> None:
        if isinstance(event, Exhausted):
            self._listed = event.files
            self._observer.found(event.files, complete=True)
            if event.error is not None:
                raise event.error
            return
        self._found += 1
        if self._listed is None:
            self._observer.found(self._found, complete=False)
        self._begin_files(self._reorder.add(event.seq, event))

    def _begin_files(self, files: Iterable[Identified]) -> None:
        for seq, path, ref, sha256, problem in files:
            request = PageRequest(path, ref, sha256, error=problem, done=problem is not None)
            self._begun[seq] = request
            if problem is None:
                self._begin(request)

    def _begin(self, request: PageRequest) -> None:
        began = time.perf_counter()
        if (same := self._same_content.get(request.key)) is not None:
            same.append(request)
            return
        chosen = self._plan.chosen
        if any(update.key == request.key for update in self._updates):
            # The same content was answered in this very turn.
            self._store_updates()
        with trace.span("look up", "parent"):
            record = self._store.get(request.key)
            if record is not None:
                request.fill(record, (c for c in chosen.values() if c.task != THUMBNAIL))
            if THUMBNAIL in chosen and (pictures := self._store.get(request.thumbnail_key)) is not None:
                request.fill(pictures, (chosen[THUMBNAIL],))
        asked = {DECODE_FAILURE, *(c.fingerprint for c in chosen.values())}
        failed_before = record is not None and not asked.isdisjoint(record.failures)
        missing = request.missing(self._plan)
        if self._options.retry_failed and not failed_before:
            request.skipped = request.done = True
        elif missing:
            number = next(self._item_ids)
            self._items[number] = request
            self._same_content[request.key] = []
            for task in missing:
                request.answers.pop(task, None)
            self._pool.submit(request.item(number, missing, self._plan))
            self._on_pool_events()
            return
        request.seconds = time.perf_counter() - began
        request.done = True
        self._expand(request)

    def _on_pool_events(self) -> None:
        for event in self._pool.events():
            if isinstance(event, ModelLoaded):
                self._tally.model(event)
                self._observer.model_loaded(event)
            elif isinstance(event, LoadRetried):
                what = f"{event.task}: loading {event.analyzer} failed ({event.cause}), "
                self._observer.notice(f"{what}attempt {event.attempt} of {event.attempts}")
            elif isinstance(event, ModelFailed) and event.stand_in is not None:
                what = f"{event.stand_in} stands in for {event.analyzer}"
                self._observer.notice(f"{what}: {_with_remedy(event.problem)}")
            elif isinstance(event, ModelFailed):
                if event.task not in self.model_problems:
                    self.model_problems[event.task] = event.problem
                    self._observer.notice(f"{event.task} is left out: {_with_remedy(event.problem)}")
            elif isinstance(event, FewerWorkers):
                workers = f"{event.left} worker{'s' if event.left > 1 else ''}"
                self._observer.notice(f"{_with_remedy(event.problem)}: going on with {workers}")
            elif (request := self._items.get(event.item)) is not None:
                self._on_item(request, event)

    def _on_item(self, request: PageRequest, event: ItemEvent) -> None:
        if isinstance(event, Decoded):
            self._tally.figures.decode_seconds_total += event.seconds
            request.image = ImageFacts(
                format=event.format,
                width=event.width,
                height=event.height,
                pages=event.pages,
                file_size=event.file_size,
            )
        elif isinstance(event, Answered):
            self._on_answer(request, event)
        elif isinstance(event, ItemFinished):
            self._on_finished(request, event)
        elif event.task is None:
            request.error, request.pages = event.problem, max(request.pages, event.pages)
        else:
            request.failures[event.task] = event.problem

    def _on_answer(self, request: PageRequest, answered: Answered) -> None:
        chosen = self._plan.chosen[answered.task].who(answered.analyzer)
        if answered.task != THUMBNAIL:
            self._tally.inference(answered.task, answered.seconds)
        request.fresh[answered.task] = chosen
        request.failures.pop(answered.task, None)
        request.answers[answered.task] = StoredAnswer(
            value=answered.value,
            engine=chosen.spec.name,
            model=chosen.probe.model,
            model_version=chosen.probe.model_version,
            backend=chosen.spec.backend,
            seconds=round(answered.seconds, 6),
            stored_at=time.time(),
            notice=chosen.notice,
        )

    def _on_finished(self, request: PageRequest, finished: ItemFinished) -> None:
        del self._items[finished.item]
        request.seconds += finished.seconds
        request.done = True
        self._tally.busy_seconds += finished.answering_seconds
        self._updates.extend(request.updates(self._plan))
        self._expand(request)
        for other in self._same_content.pop(request.key):
            request.share(other)
            self._expand(other)

    def _expand(self, request: PageRequest) -> None:
        """With ``--pages all``, the first page's answer says how many more there are."""
        if self._options.pages is not Pages.ALL or request.page:
            return
        pages = request.image.pages if request.image is not None else request.pages
        for page in range(1, pages):
            follower = PageRequest(request.path, request.ref, request.sha256, page, pages)
            request.followers.append(follower)
            self._begin(follower)

    def _store_updates(self) -> None:
        if self._updates:
            updates, self._updates = self._updates, []
            with trace.span("store", "parent"):
                self._store.merge(updates)

    def _ready(self, intake: Intake) -> Iterator[ImageResult]:
        """Finished requests at the head of the line."""
        while True:
            if not self._in_order:
                if (request := self._begun.pop(self._next_seq, None)) is None:
                    return
                self._next_seq += 1
                intake.release(1)
                self._in_order.append(request)
            if not self._in_order[0].done:
                return
            request = self._in_order.popleft()
            self._in_order.extendleft(reversed(request.followers))
            if not request.skipped:
                result = request.result(self._plan, cache_enabled=self._options.cache and self._store.enabled)
                self._tally.result(result)
                yield result
                self._stop_if_too_bad(request)

    def _stop_if_too_bad(self, request: PageRequest) -> None:
        figures = self._tally.figures
        bad = figures.images - figures.answered
        if self._options.fail_fast and bad:
            raise TooManyFailures(
                f"stopped at the first failure, {shown(request.path)}",
                "leave --fail-fast out to go on past failures",
            )
        rate = self._options.max_failure_rate
        if rate is not None and figures.images >= _RATE_NEEDS and bad > rate * figures.images:
            raise TooManyFailures(
                f"stopped: {bad} of {figures.images} images failed, more than --max-failure-rate {rate:g}",
                "the failed images are listed in the output; --retry-failed runs only them",
            )


def _with_remedy(problem: Problem) -> str:
    return problem.message + (f" ({problem.remedy})" if problem.remedy else "")
