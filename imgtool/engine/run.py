"""One run: every found file through look-up, work and store, results in the order the files were named.

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
from imgtool.engine.files.discover import ImageRef, Refused
from imgtool.engine.files.identity import Identity
from imgtool.engine.files.intake import Exhausted, Found, Intake, IntakeEvent, Unreadable
from imgtool.engine.files.refusals import shown
from imgtool.engine.files.turns import Turns
from imgtool.engine.observer import Observer
from imgtool.engine.plan import Plan
from imgtool.engine.slot import Slot, thumbnail_key
from imgtool.engine.statistics import Tally
from imgtool.errors import TooManyFailures
from imgtool.options import EngineOptions, Pages
from imgtool.runtime.pool import FewerWorkers, Outcome, Pool
from imgtool.runtime.protocol import Answered, Decoded, Failed, Finished, LoadRetried, ModelFailed, ModelLoaded
from imgtool.types import ImageResult, Problem

_IDLE_SECONDS = 0.05
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
        self._slots: dict[int, Slot] = {}
        self._next_seq = 0
        self._in_order: deque[Slot] = deque()
        self._items: dict[int, Slot] = {}
        self._same_content: dict[str, list[Slot]] = {}
        self._item_ids = itertools.count()
        self._updates: list[Update] = []
        self._turns: Turns[Found | Unreadable] = Turns()
        self._listed: int | None = None
        self._found = 0
        self.model_problems: dict[str, Problem] = {}

    def results(self, source: Iterable[ImageRef | Refused], identity: Identity) -> Iterator[ImageResult]:
        """Yield one result a page, in order. Raises what ended the listing, and :class:`TooManyFailures`."""
        window = max(64, 4 * self._options.batch_size * self._options.workers)
        intake = Intake(source, identity, self._events.put, window)
        try:
            while not self._is_over():
                self._take_in(intake)
                self._store_updates()
                yield from self._ready(intake)
        finally:
            intake.stop()
            self._store_updates()

    # -- taking events in

    def _is_over(self) -> bool:
        return self._listed is not None and self._next_seq >= self._listed and not self._in_order

    def _take_in(self, intake: Intake) -> None:
        """Take in whatever has happened; wait for something where nothing has."""
        waited = self._wait(intake)
        while waited is not None:
            self._on_event(waited)
            waited = None if self._events.empty() else self._events.get()
        if self._turns.held_seconds() >= _IDLE_SECONDS:
            self._begin_files(self._turns.let_go())
        self._apply(self._pool.tick())
        self._pool.dispatch(more_coming=self._listed is None)

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

    def _on_event(self, event: Any) -> None:
        if isinstance(event, list):
            for found in event:
                self._on_intake(found)
        else:
            worker, message = event
            self._apply(self._pool.handle(worker, message))

    def _on_intake(self, event: IntakeEvent) -> None:
        if isinstance(event, Exhausted):
            self._listed = event.count
            self._observer.found(event.count, complete=True)
            if event.error is not None:
                raise event.error
            return
        self._found += 1
        self._observer.found(self._found, complete=False)
        self._begin_files(self._turns.add(event.seq, event))

    def _begin_files(self, events: Iterable[Found | Unreadable]) -> None:
        for event in events:
            if isinstance(event, Unreadable):
                self._slots[event.seq] = Slot(event.path, error=event.problem, done=True)
            else:
                slot = self._slots[event.seq] = Slot(event.ref.path, event.ref, event.sha256)
                self._begin(slot)

    # -- look up, ask

    def _begin(self, slot: Slot) -> None:
        began = time.perf_counter()
        if (same := self._same_content.get(slot.key)) is not None:
            same.append(slot)
            return
        with trace.span("look up", "parent"):
            failed_before = self._look_up(slot)
        missing = slot.missing(self._plan)
        if self._options.retry_failed and not failed_before:
            slot.skipped = slot.done = True
        elif missing:
            self._ask(slot, missing)
            return
        slot.seconds = time.perf_counter() - began
        slot.done = True
        self._expand(slot)

    def _look_up(self, slot: Slot) -> bool:
        """Fill in what the store knows; says whether something of this run's plan failed before."""
        chosen = self._plan.chosen
        record = self._store.get(slot.key)
        if record is not None:
            slot.fill(record, (c for c in chosen.values() if c.task != THUMBNAIL))
        if THUMBNAIL in chosen and (pictures := self._store.get(thumbnail_key(slot.key))) is not None:
            slot.fill(pictures, (chosen[THUMBNAIL],))
        asked = {DECODE_FAILURE, *(c.fingerprint for c in chosen.values())}
        return record is not None and not asked.isdisjoint(record.failures)

    def _ask(self, slot: Slot, missing: tuple[str, ...]) -> None:
        number = next(self._item_ids)
        self._items[number] = slot
        self._same_content[slot.key] = []
        for task in missing:
            slot.answers.pop(task, None)
        self._apply(self._pool.submit(slot.item(number, missing, self._plan)))

    # -- what the pool says

    def _apply(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, ModelLoaded):
                self._tally.model(outcome)
                self._observer.model_loaded(outcome)
            elif isinstance(outcome, LoadRetried):
                self._observer.notice(_retry_line(outcome))
            elif isinstance(outcome, ModelFailed):
                self._on_model_failed(outcome)
            elif isinstance(outcome, FewerWorkers):
                self._observer.notice(_fewer_line(outcome))
            elif (slot := self._items.get(outcome.item)) is not None:
                self._on_item(slot, outcome)

    def _on_model_failed(self, failed: ModelFailed) -> None:
        remedy = f" ({failed.problem.remedy})" if failed.problem.remedy else ""
        if failed.stand_in is not None:
            what = f"{failed.stand_in} stands in for {failed.analyzer}"
        elif failed.task not in self.model_problems:
            self.model_problems[failed.task] = failed.problem
            what = f"{failed.task} is left out"
        else:
            return
        self._observer.notice(f"{what}: {failed.problem.message}{remedy}")

    def _on_item(self, slot: Slot, outcome: Decoded | Answered | Failed | Finished) -> None:
        if isinstance(outcome, Decoded):
            self._tally.decoded(outcome.seconds)
            slot.image = ImageFacts(
                format=outcome.format,
                width=outcome.width,
                height=outcome.height,
                pages=outcome.pages,
                file_size=outcome.file_size,
            )
        elif isinstance(outcome, Answered):
            self._on_answer(slot, outcome)
        elif isinstance(outcome, Failed):
            self._on_failure(slot, outcome)
        else:
            self._on_finished(slot, outcome)

    def _on_answer(self, slot: Slot, answered: Answered) -> None:
        chosen = self._plan.chosen[answered.task].who(answered.analyzer)
        if answered.task != THUMBNAIL:
            self._tally.inference(answered.task, answered.seconds)
        slot.fresh[answered.task] = chosen
        slot.failures.pop(answered.task, None)
        slot.answers[answered.task] = StoredAnswer(
            value=answered.value,
            engine=chosen.spec.name,
            model=chosen.probe.model,
            model_version=chosen.probe.model_version,
            backend=chosen.spec.backend,
            seconds=round(answered.seconds, 6),
            stored_at=time.time(),
            notice=chosen.notice,
        )

    @staticmethod
    def _on_failure(slot: Slot, failed: Failed) -> None:
        if failed.task is None:
            slot.error, slot.pages = failed.problem, max(slot.pages, failed.pages)
        else:
            slot.failures[failed.task] = failed.problem

    def _on_finished(self, slot: Slot, finished: Finished) -> None:
        del self._items[finished.item]
        slot.seconds += finished.seconds
        slot.done = True
        self._tally.busy(finished.answering_seconds)
        self._updates.extend(slot.updates(self._plan, time.time()))
        self._expand(slot)
        for other in self._same_content.pop(slot.key):
            slot.share(other)
            self._expand(other)

    def _expand(self, slot: Slot) -> None:
        """With ``--pages all``, the first page's answer says how many more there are."""
        if self._options.pages is not Pages.ALL or slot.page:
            return
        pages = slot.image.pages if slot.image is not None else slot.pages
        for page in range(1, pages):
            follower = Slot(slot.path, slot.ref, slot.sha256, page, pages)
            slot.followers.append(follower)
            self._begin(follower)

    # -- giving out

    def _store_updates(self) -> None:
        if self._updates:
            updates, self._updates = self._updates, []
            with trace.span("store", "parent"):
                self._store.merge(updates)

    def _ready(self, intake: Intake) -> Iterator[ImageResult]:
        """Finished slots at the head of the line."""
        while True:
            if not self._in_order:
                if (slot := self._slots.pop(self._next_seq, None)) is None:
                    return
                self._next_seq += 1
                intake.release(1)
                self._in_order.append(slot)
            if not self._in_order[0].done:
                return
            slot = self._in_order.popleft()
            self._in_order.extendleft(reversed(slot.followers))
            if not slot.skipped:
                yield self._give_out(slot)
                self._stop_if_too_bad(slot)

    def _give_out(self, slot: Slot) -> ImageResult:
        result = slot.result(self._plan, cache_enabled=self._options.cache and self._store.enabled)
        self._tally.result(result)
        return result

    def _stop_if_too_bad(self, slot: Slot) -> None:
        figures = self._tally.figures
        bad = figures.images - figures.answered
        if self._options.fail_fast and bad:
            raise TooManyFailures(
                f"stopped at the first failure, {shown(slot.path)}",
                "leave --fail-fast out to go on past failures",
            )
        rate = self._options.max_failure_rate
        if rate is not None and figures.images >= _RATE_NEEDS and bad > rate * figures.images:
            raise TooManyFailures(
                f"stopped: {bad} of {figures.images} images failed, more than --max-failure-rate {rate:g}",
                "the failed images are listed in the output; --retry-failed runs only them",
            )


def _fewer_line(fewer: FewerWorkers) -> str:
    remedy = f" ({fewer.problem.remedy})" if fewer.problem.remedy else ""
    return f"{fewer.problem.message}{remedy}: going on with {fewer.left} worker{'s' if fewer.left > 1 else ''}"


def _retry_line(retried: LoadRetried) -> str:
    return (
        f"{retried.task}: loading {retried.analyzer} failed ({retried.cause}), "
        f"attempt {retried.attempt} of {retried.attempts}"
    )
