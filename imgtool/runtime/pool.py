"""The pool: gives items to workers, watches their deadlines, and finds the one image that kills a worker.

All of it runs in the thread that calls it; workers only post events. What the death of a worker means:

* every step a worker begins is announced before it is taken, so the images in hand are known when it dies;
* these suspects run again *isolated* (alone in a worker, one step at a time), the others as if nothing had happened;
* a batch that dies isolated is halved; an image that dies alone and isolated is guilty, and fails as a value.

So a worker that is killed from outside costs no image, and a guilty image costs only itself. A step that passes its
deadline is stopped; where it concerned one image, that image is guilty without a second run.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec

from imgtool.errors import WorkerUnusable
from imgtool.runtime.failures import crash, crash_in_load, late, late_load
from imgtool.runtime.process import Died, Post, Worker
from imgtool.runtime.protocol import (
    DECODE,
    LOAD,
    Answered,
    Batch,
    BatchDone,
    Failed,
    FromWorker,
    Item,
    ItemEvent,
    ItemFinished,
    ModelEvent,
    ModelFailed,
    Ready,
    StepBegan,
    StepEnded,
    Stop,
    TaskPlan,
    WarmUp,
)
from imgtool.types import Problem


@dataclass(frozen=True)
class FewerWorkers:
    """A worker could not load what others may have: it was ended, and is not replaced."""

    left: int
    problem: Problem


PoolEvent = ItemEvent | ModelEvent | FewerWorkers
"""What the pool tells the engine."""

Step = tuple[str, tuple[int, ...]]
Clock = Callable[[], float]
Start = Callable[[Post, tuple[TaskPlan, ...], bool], Worker]
"""Makes a worker that answers by these plans and posts its events; the flag asks for models to be loaded one by one."""

_BATCHES_AHEAD = 2
_STARTS_TO_GIVE_UP = 3
_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class PoolLimits:
    """What bounds the pool. Seconds and bytes. ``gradual``: workers after the first start once that one has answered an
    image, so that its start has the machine for itself."""

    workers: int
    batch_size: int
    timeout: float
    load_timeout: float
    max_worker_memory: int
    gradual: bool = False


@dataclass
class Seat:
    """A worker and what it has been given."""

    worker: Worker
    ready: bool = False
    isolated: bool = False
    retiring: bool = False
    batches: dict[int, set[int]] = field(default_factory=dict)
    deadlines: dict[Step, float] = field(default_factory=dict)

    @property
    def open_items(self) -> list[int]:
        """Ids of the items given and not finished, in the order they were given."""
        return [item for batch in self.batches.values() for item in sorted(batch)]


class WorkerStatistics(msgspec.Struct, kw_only=True):
    """How many worker processes there may be at once, and what happened to them."""

    allowed: int = 0
    started: int = 0
    died: int = 0
    timed_out: int = 0
    recycled: int = 0


class Pool:
    """See the module's docstring."""

    def __init__(
        self, start: Start, plans: Iterable[TaskPlan], post: Post, limits: PoolLimits, clock: Clock = time.monotonic
    ) -> None:
        self._start = start
        self._plans_given = plans
        self._post = post
        self._limits = limits
        self._clock = clock
        self._seats: list[Seat] = []
        self._leaving: list[Worker] = []
        self._open: dict[int, Item] = {}
        self._waiting: deque[int] = deque()
        self._suspects: deque[tuple[int, ...]] = deque()
        self._dead_tasks: dict[str, Problem] = {}
        self._batch_ids = itertools.count()
        self._failed_starts = 0
        self._most_workers = 1 if limits.gradual else limits.workers
        self._a_load_killed = False
        self._events: list[PoolEvent] = []
        self.counters = WorkerStatistics(allowed=limits.workers)

    # -- what the engine calls

    def submit(self, item: Item) -> None:
        """Queue an item. Tasks whose model is known to be unusable fail at once."""
        for task in item.tasks:
            if task in self._dead_tasks:
                self._events.append(Failed(item=item.id, task=task, problem=self._dead_tasks[task]))
        item = msgspec.structs.replace(item, tasks=tuple(t for t in item.tasks if t not in self._dead_tasks))
        if item.tasks:
            self._open[item.id] = item
            self._waiting.append(item.id)
        else:
            self._events.append(ItemFinished(item=item.id))

    def events(self) -> list[PoolEvent]:
        """What has become of the items since the last call. Ask after every other call."""
        events, self._events = self._events, []
        return events

    def dispatch(self, *, more_coming: bool) -> None:
        """Give workers what they can take. Partial batches wait for company only while ``more_coming``."""
        while self._suspects and (seat := self._idle_seat()) is not None:
            group = tuple(item for item in self._suspects.popleft() if item in self._open)
            if group:
                self._send(seat, group, isolated=True)
        if self._suspects:
            return
        while self._waiting and (seat := self._seat_for_batch(more_coming)) is not None:
            # Less at a time towards the end, so that no worker is left with a batch while others have nothing.
            shares = _BATCHES_AHEAD * self._most_workers if self._most_workers > 1 else 1
            fair = 1 if self._limits.gradual else -(-len(self._waiting) // shares)
            size = min(self._limits.batch_size, fair)
            self._send(seat, tuple(self._waiting.popleft() for _ in range(size)), isolated=False)

    def begin(self) -> None:
        """Start a worker now: there will be work."""
        if not self._seats:
            self._spawn()

    def warm_up(self) -> None:
        """Start the workers and have each load all models."""
        self._allow_all()
        while len(self._seats) < self._most_workers:
            self._spawn()
        for seat in self._seats:
            seat.worker.send(WarmUp())

    def handle(self, worker: Worker, event: FromWorker | Died) -> None:
        """Take in what a worker posted.

        Raises:
            WorkerUnusable: no worker can be started.
        """
        seat = next((seat for seat in self._seats if seat.worker is worker), None)
        if seat is None:
            return
        if isinstance(event, Died):
            self._on_death(seat, event)
        else:
            self._on_message(seat, event)

    def tick(self) -> None:
        """Stop every step that has passed its deadline."""
        now = self._clock()
        for seat in list(self._seats):
            late = [step for step, deadline in seat.deadlines.items() if deadline <= now]
            if late:
                self._on_hang(seat, late[0])

    def seconds_to_deadline(self) -> float | None:
        """How long until ``tick`` has something to do, or ``None`` when nothing is running."""
        deadlines = [deadline for seat in self._seats for deadline in seat.deadlines.values()]
        return max(0.0, min(deadlines) - self._clock()) if deadlines else None

    def close(self, *, at_once: bool = False) -> None:
        """End all workers; ``at_once`` without waiting for what they do."""
        workers = [seat.worker for seat in self._seats] + self._leaving
        self._seats, self._leaving = [], []
        for worker in workers:
            if at_once:
                worker.kill()
            else:
                worker.stop(_GRACE_SECONDS)

    # -- seats

    def _allow_all(self) -> None:
        if self._limits.gradual:
            self._limits = replace(self._limits, gradual=False)
            self._most_workers = self._limits.workers

    @cached_property
    def _plans(self) -> dict[str, TaskPlan]:
        # Taken when the first worker starts: who stands in for whom is not looked up before somebody needs it.
        return {plan.task: plan for plan in self._plans_given}

    def _spawn(self) -> Seat:
        seat = Seat(self._start(self._post, tuple(self._plans.values()), self._a_load_killed))
        self._seats.append(seat)
        self.counters.started += 1
        return seat

    def _idle_seat(self) -> Seat | None:
        for seat in self._seats:
            if not seat.batches and not seat.retiring:
                return seat
        return self._spawn() if len(self._seats) < self._most_workers else None

    def _seat_for_batch(self, more_coming: bool) -> Seat | None:
        idle = self._idle_seat()
        if idle is not None:
            return idle
        if more_coming and len(self._waiting) < self._limits.batch_size:
            return None
        ready = [s for s in self._seats if len(s.batches) < _BATCHES_AHEAD and not s.isolated and not s.retiring]
        return min(ready, key=lambda seat: len(seat.batches), default=None)

    def _send(self, seat: Seat, ids: tuple[int, ...], *, isolated: bool) -> None:
        batch = Batch(id=next(self._batch_ids), items=tuple(self._open[i] for i in ids), isolated=isolated)
        seat.isolated = isolated
        seat.batches[batch.id] = set(ids)
        seat.worker.send(batch)

    # -- messages

    def _on_message(self, seat: Seat, message: FromWorker) -> None:
        if isinstance(message, StepBegan):
            limits = self._limits
            loads = message.step.startswith(LOAD)
            allowance = limits.load_timeout if loads else limits.timeout * max(1, len(message.items))
            seat.deadlines[message.step, message.items] = self._clock() + allowance
        elif isinstance(message, StepEnded):
            seat.deadlines.pop((message.step, message.items), None)
        elif isinstance(message, Ready):
            seat.ready = True
            self._failed_starts = 0
        elif isinstance(message, BatchDone):
            self._on_batch_done(seat, message)
        elif isinstance(message, ModelFailed):
            self._on_model_failed(seat, message)
        else:
            if isinstance(message, Answered):
                self._take_off(message.item, message.task, message.value)
            elif isinstance(message, Failed) and message.task is not None:
                self._take_off(message.item, message.task, None)
            elif isinstance(message, ItemFinished):
                self._open.pop(message.item, None)
                for batch in seat.batches.values():
                    batch.discard(message.item)
            self._events.append(message)

    def _on_model_failed(self, seat: Seat, failed: ModelFailed) -> None:
        others = [other for other in self._seats if other is not seat and not other.retiring]
        if failed.stand_in is None and failed.task not in self._dead_tasks and others:
            # There may be room for one less (memory, descriptors): the task is dead when the last one fails.
            self._seats.remove(seat)
            self._most_workers = len(others)
            in_hand = seat.open_items
            seat.worker.kill()
            self._put_back(in_hand)
            self._events.append(FewerWorkers(len(others), failed.problem))
            return
        self._do_without(failed.task, failed.analyzer, failed.problem)

    def _take_off(self, item_id: int, task: str, value: msgspec.Raw | None) -> None:
        """Note that a task of an item is settled, so that a second run of the item does not repeat it."""
        item = self._open.get(item_id)
        if item is None:
            return
        known = item.known if value is None else {**item.known, task: value}
        left = tuple(other for other in item.tasks if other != task)
        self._open[item_id] = msgspec.structs.replace(item, tasks=left, known=known)

    def _on_batch_done(self, seat: Seat, done: BatchDone) -> None:
        seat.batches.pop(done.batch, None)
        self._allow_all()
        seat.isolated = seat.isolated and bool(seat.batches)
        if done.rss_bytes > self._limits.max_worker_memory:
            seat.retiring = True
        if seat.retiring and not seat.batches:
            self.counters.recycled += 1
            self._seats.remove(seat)
            self._leaving.append(seat.worker)
            seat.worker.send(Stop())

    # -- deaths and hangs

    def _on_death(self, seat: Seat, died: Died) -> None:
        self._seats.remove(seat)
        self.counters.died += 1
        if not seat.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS_TO_GIVE_UP:
                tail = f":\n{died.stderr_tail}" if died.stderr_tail else ""
                raise WorkerUnusable(
                    f"the worker process {died.description} before it was ready, {self._failed_starts} times{tail}",
                    "check the installation with `imgtool models`, or run with --no-isolate to see the error itself",
                )
        in_hand = seat.open_items
        loads = [step for step, _ in seat.deadlines if step.startswith(LOAD)]
        self._a_load_killed |= bool(loads)
        begun = {item for _, items in seat.deadlines for item in items}
        # Nothing announced (it died between two steps, or in a load): the first one not finished is as good as any.
        suspects = [item for item in in_hand if item in begun] or in_hand[:1]
        self._put_back(item for item in in_hand if item not in suspects)
        if seat.isolated and len(in_hand) == 1 and loads:
            self._fail_model(loads[0], crash_in_load(loads[0], died))
            self._suspects.append(tuple(suspects))
        elif seat.isolated and len(in_hand) == 1:
            step = next((step for step, items in seat.deadlines if items), None)
            self._convict(in_hand[0], step, crash(died, step))
        else:
            self._suspects.extend(_halves(suspects))

    def _on_hang(self, seat: Seat, step: Step) -> None:
        name, items = step
        self._seats.remove(seat)
        self.counters.timed_out += 1
        in_hand = seat.open_items
        seat.worker.kill()
        if name.startswith(LOAD):
            self._put_back(in_hand)
            self._fail_model(name, late_load(name, self._limits.load_timeout))
            return
        self._put_back(item for item in in_hand if item not in items)
        if len(items) == 1:
            self._convict(items[0], name, late(name, self._limits.timeout))
        else:
            self._suspects.extend(_halves([item for item in in_hand if item in items]))

    def _put_back(self, items: Iterable[int]) -> None:
        self._waiting.extendleft(reversed([item for item in items if item in self._open]))

    def _convict(self, item_id: int, step: str | None, problem: Problem) -> None:
        """Fail what an image was guilty of; its other tasks get another chance, isolated."""
        item = self._open.get(item_id)
        if item is None:
            return
        task = None if step in (None, DECODE) else step
        self._events.append(Failed(item=item_id, task=task, problem=problem))
        if task is not None:
            self._take_off(item_id, task, None)
        if task is None or not self._open[item_id].tasks:
            del self._open[item_id]
            self._events.append(ItemFinished(item=item_id))
        else:
            self._suspects.append((item_id,))

    def _fail_model(self, step: str, problem: Problem) -> None:
        """Do without a model that kills or hangs whoever loads it."""
        task, _, engine = step.removeprefix(LOAD).partition(":")
        self._do_without(task, engine, problem)

    def _do_without(self, task: str, engine: str, problem: Problem) -> None:
        """Leave an engine out of the plans of workers to come; without a stand-in the task is given up."""
        plan = self._plans.pop(task, None)
        left = [each for each in (plan, *plan.stand_ins) if each.analyzer != engine] if plan else []
        if left:
            self._plans[task] = msgspec.structs.replace(left[0], stand_ins=tuple(left[1:]))
            self._events.append(ModelFailed(task=task, analyzer=engine, problem=problem, stand_in=left[0].analyzer))
            return
        self._dead_tasks[task] = problem
        # Whoever was ended for this task's sake can come back: nobody loads it any more.
        self._most_workers = self._limits.workers
        self._events.append(ModelFailed(task=task, analyzer=engine, problem=problem))
        for item in [item for item in self._open.values() if task in item.tasks]:
            self._events.append(Failed(item=item.id, task=task, problem=problem))
            self._take_off(item.id, task, None)
            # One that is in a worker's hands is finished by that worker.
            if not self._open[item.id].tasks and not any(item.id in seat.open_items for seat in self._seats):
                del self._open[item.id]
                self._waiting = deque(other for other in self._waiting if other != item.id)
                self._events.append(ItemFinished(item=item.id))


def _halves(items: list[int]) -> list[tuple[int, ...]]:
    middle = (len(items) + 1) // 2
    return [tuple(half) for half in (items[:middle], items[middle:]) if half]
