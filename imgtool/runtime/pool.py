"""The pool of this machine: gives items to workers, watches their deadlines, and finds the one image that kills.

All of it runs in the thread that calls it; workers post events there. What the death of a worker means:

* every step a worker begins is announced before it is taken, so the images in hand are known when it dies;
* these suspects run again *isolated* (alone in a worker, one step at a time), the others as if nothing had happened;
* a batch that dies isolated is halved; an image that dies alone and isolated is guilty, and fails as a value. Where the
  worker was killed by a signal that comes from outside, that takes three times.

So a worker that is killed from outside costs no image, and a guilty image costs only itself. A step that passes its
deadline is stopped; where it concerned one image, that image is guilty without a second run. A worker has a deadline
from its start to its end: to get ready, for every step, for the silence between two steps, and to leave when asked.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from imgtool.errors import WorkerUnusable
from imgtool.runtime.failures import crash, crash_in_load, late, late_load, silent
from imgtool.runtime.interface import FewerWorkers, PoolEvent, WorkerStatistics
from imgtool.runtime.process import Died, Worker
from imgtool.runtime.protocol import (
    DECODE,
    LOAD,
    Answered,
    Batch,
    BatchDone,
    Failed,
    FromWorker,
    Item,
    ItemFinished,
    ModelFailed,
    ModelLoaded,
    Ready,
    StepBegan,
    StepEnded,
    Stop,
    TaskPlan,
    WarmUp,
)
from imgtool.runtime.scratch import remove as remove_scratch
from imgtool.types import Problem

Step = tuple[str, tuple[int, ...]]
Post = Callable[[Worker, FromWorker | Died], None]
Start = Callable[[Post, Callable[[], tuple[TaskPlan, ...]], bool], Worker]
"""Makes a worker that answers by these plans, which it asks for in a thread of its own, and posts its events from any
thread; the flag asks for models to be loaded one by one."""

_BATCHES_AHEAD = 2
_STARTS_TO_GIVE_UP = 3
_KILLS_TO_BLAME = 3
_GRACE_SECONDS = 2.0
_LEAVING_SECONDS = 10.0
"""How long a worker that is replaced may take to leave, with nothing to do."""


class PoolLimits(Struct, frozen=True):
    """What bounds the pool. Seconds and bytes. ``gradual``: workers after the first start once that one has answered an
    image, so that its start has the machine for itself."""

    workers: int
    batch_size: int
    timeout: float
    load_timeout: float
    max_worker_memory: int
    gradual: bool = False


class Seat(Struct, eq=False):
    """A worker and what it has been given. Times are those of the pool's clock."""

    worker: Worker
    started: float
    heard: float
    ready: bool = False
    isolated: bool = False
    retiring: bool = False
    batches: dict[int, set[int]] = {}
    deadlines: dict[Step, float] = {}

    @property
    def open_items(self) -> list[int]:
        """Ids of the items given and not finished, in the order they were given."""
        return [item for batch in self.batches.values() for item in sorted(batch)]

    def next_deadline(self, load_timeout: float) -> float:
        """When it is late: to be ready, with a step, or in saying what it does with what it has."""
        if not self.ready:
            return self.started + load_timeout
        quiet = self.heard + load_timeout if self.batches and not self.deadlines else float("inf")
        return min(self.deadlines.values(), default=quiet)


class Pool:
    """See the module's docstring. An :class:`imgtool.runtime.interface.ItemPool`."""

    def __init__(
        self,
        start: Start,
        plans: Callable[[], Iterable[TaskPlan]],
        call_soon: Callable[[Callable[[], None]], None],
        limits: PoolLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``plans`` is asked when the first worker starts: who stands in for whom is not looked up before somebody
        needs it. ``call_soon`` has something called in the pool's thread, and may be called from any."""
        self._start = start
        self._find_plans = plans
        self._plans: dict[str, TaskPlan] | None = None
        self._call_soon = call_soon
        self._limits = limits
        self._clock = clock
        self._seats: list[Seat] = []
        self._leaving: dict[Worker, float] = {}
        self._open: dict[int, Item] = {}
        self._returned: deque[int] = deque()
        self._suspects: deque[tuple[int, ...]] = deque()
        self._dead_tasks: dict[str, Problem] = {}
        self._deaths: Counter[int | str] = Counter()
        """How often an item, or the load of a model, alone in an isolated worker, was its last step."""
        self._batch_ids = itertools.count()
        self._failed_starts = 0
        self._most_workers = 1 if limits.gradual else limits.workers
        self._a_load_killed = False
        self._events: list[PoolEvent] = []
        self._unusable: WorkerUnusable | None = None
        self.statistics = WorkerStatistics(allowed=limits.workers)

    # -- what the scheduler calls

    def room(self, waiting: int, *, more_coming: bool) -> int:
        """How many of so many ``waiting`` items it would take now: a batch for an idle worker, or one ahead."""
        if self._suspects or self._returned or not waiting:
            return 0
        # Less at a time towards the end, so that no worker is left with a batch while others have nothing.
        shares = _BATCHES_AHEAD * self._most_workers if self._most_workers > 1 else 1
        size = 1 if self._limits.gradual else min(self._limits.batch_size, -(-waiting // shares))
        if self._idle_seat() is not None or len(self._seats) < self._most_workers:
            return size
        hold_out = more_coming and waiting < self._limits.batch_size
        return 0 if hold_out or self._busy_seat() is None else size

    def submit(self, items: Sequence[Item]) -> None:
        """Give a batch to a worker. Tasks whose model is known to be unusable fail at once."""
        ids = []
        for item in items:
            for task in item.tasks:
                if task in self._dead_tasks:
                    self._events.append(Failed(item=item.id, task=task, problem=self._dead_tasks[task]))
            left = tuple(task for task in item.tasks if task not in self._dead_tasks)
            if left:
                self._open[item.id] = msgspec.structs.replace(item, tasks=left)
                ids.append(item.id)
            else:
                self._events.append(ItemFinished(item=item.id))
        if ids and (seat := self._idle_seat() or self._spawned() or self._busy_seat()) is not None:
            self._send(seat, tuple(ids), isolated=False)
        else:
            self._returned.extend(ids)

    def events(self) -> list[PoolEvent]:
        """What has become of the items since the last call. Stops what has passed its deadline, and gives out again
        what was in the hands of workers that were lost.

        Raises:
            WorkerUnusable: no worker can be started. All items are dropped.
        """
        now = self._clock()
        for seat in list(self._seats):
            if seat.next_deadline(self._limits.load_timeout) <= now:
                self._on_late(seat, now)
        for worker, deadline in list(self._leaving.items()):
            if deadline <= now:
                worker.kill()
                del self._leaving[worker]
        if (unusable := self._unusable) is not None:
            self._unusable, self._failed_starts = None, 0
            self._returned.clear()
            self._suspects.clear()
            in_hand = {item for seat in self._seats for item in seat.open_items}
            self._open = {number: item for number, item in self._open.items() if number in in_hand}
            self._events.clear()
            raise unusable
        self._give_again()
        events, self._events = self._events, []
        return events

    def seconds_to_deadline(self) -> float | None:
        """How long until ``events`` has something to stop, or ``None`` when nothing is running."""
        deadlines = [seat.next_deadline(self._limits.load_timeout) for seat in self._seats]
        deadline = min([*deadlines, *self._leaving.values()], default=float("inf"))
        return None if deadline == float("inf") else max(0.0, deadline - self._clock())

    def begin(self) -> None:
        """Start a worker now: there will be work."""
        if not self._seats:
            self._spawned()

    def warm_up(self) -> None:
        """Start the workers and have each load all models."""
        self._allow_all()
        while self._spawned() is not None:
            pass
        for seat in self._seats:
            seat.worker.send(WarmUp())

    def close(self, *, at_once: bool = False) -> None:
        """End all workers; ``at_once`` also those that have nothing to do, without asking them to leave."""
        # Nobody waits any more for what is in hand.
        polite = [] if at_once else [seat.worker for seat in self._seats if seat.ready and not seat.open_items]
        workers = [*(seat.worker for seat in self._seats), *self._leaving]
        self._seats, self._leaving = [], {}
        any_was = bool(workers)
        for worker in workers:
            if worker in polite:
                worker.send(Stop())
            else:
                worker.kill()
        for _ in range(2):
            deadline = time.monotonic() + _GRACE_SECONDS
            workers = [worker for worker in workers if not worker.join(max(0.0, deadline - time.monotonic()))]
            for worker in workers:
                worker.kill()
        if any_was:
            remove_scratch()

    def forget(self) -> None:
        """In a forked child: close the parent's pipes, so that workers see when the parent itself is gone."""
        for worker in [*(seat.worker for seat in self._seats), *self._leaving]:
            worker.forget()

    # -- seats

    def _allow_all(self) -> None:
        if self._limits.gradual:
            self._limits = msgspec.structs.replace(self._limits, gradual=False)
            self._most_workers = self._limits.workers

    def _worker_plans(self) -> tuple[TaskPlan, ...]:
        """Called in the thread of a worker that starts: looking for models may take long, or not come back."""
        if self._plans is None:
            self._plans = {plan.task: plan for plan in self._find_plans()}
        return tuple(self._plans.values())

    def _spawned(self) -> Seat | None:
        """A new worker's seat, if there may be one more."""
        if len(self._seats) >= self._most_workers:
            return None
        now = self._clock()
        seat = Seat(self._start(self._post, self._worker_plans, self._a_load_killed), started=now, heard=now)
        self._seats.append(seat)
        self.statistics.started += 1
        return seat

    def _post(self, worker: Worker, event: FromWorker | Died) -> None:
        self._call_soon(partial(self.handle, worker, event))

    def _idle_seat(self) -> Seat | None:
        return next((seat for seat in self._seats if not seat.batches and not seat.retiring), None)

    def _busy_seat(self) -> Seat | None:
        ready = [s for s in self._seats if len(s.batches) < _BATCHES_AHEAD and not s.isolated and not s.retiring]
        return min(ready, key=lambda seat: len(seat.batches), default=None)

    def _give_again(self) -> None:
        """Suspects go first and alone; then what other workers had in hand when they were lost."""
        while self._suspects and (seat := self._idle_seat() or self._spawned()) is not None:
            group = tuple(item for item in self._suspects.popleft() if item in self._open)
            if group:
                self._send(seat, group, isolated=True)
        while self._returned and not self._suspects:
            if (seat := self._idle_seat() or self._spawned() or self._busy_seat()) is None:
                return
            size = min(self._limits.batch_size, len(self._returned))
            ids = tuple(self._returned.popleft() for _ in range(size))
            self._send(seat, tuple(number for number in ids if number in self._open), isolated=False)

    def _send(self, seat: Seat, ids: tuple[int, ...], *, isolated: bool) -> None:
        if ids:
            batch = Batch(id=next(self._batch_ids), items=tuple(self._open[i] for i in ids), isolated=isolated)
            seat.isolated = isolated
            seat.heard = self._clock()
            seat.batches[batch.id] = set(ids)
            seat.worker.send(batch)

    # -- messages

    def handle(self, worker: Worker, event: FromWorker | Died) -> None:
        """Take in what a worker posted; nothing of one that was ended is heard."""
        seat = next((seat for seat in self._seats if seat.worker is worker), None)
        if isinstance(event, Died):
            self._leaving.pop(worker, None)
        if seat is None:
            return
        seat.heard = self._clock()
        if isinstance(event, Died):
            self._on_death(seat, event)
        else:
            self._on_message(seat, event)

    def _on_message(self, seat: Seat, event: FromWorker) -> None:
        if isinstance(event, StepBegan):
            limits = self._limits
            loads = event.step.startswith(LOAD)
            allowance = limits.load_timeout if loads else limits.timeout * max(1, len(event.items))
            seat.deadlines[event.step, event.items] = self._clock() + allowance
        elif isinstance(event, StepEnded):
            seat.deadlines.pop((event.step, event.items), None)
        elif isinstance(event, Ready):
            seat.ready = True
            self._failed_starts = 0
        elif isinstance(event, BatchDone):
            self._on_batch_done(seat, event)
        elif isinstance(event, ModelFailed):
            self._on_model_failed(seat, event)
        else:
            self._events.append(event)
            self._on_progress(seat, event)

    def _on_progress(self, seat: Seat, event: PoolEvent) -> None:
        if isinstance(event, Answered):
            self._take_off(event.item, event.task, event.value)
        elif isinstance(event, Failed) and event.task is not None:
            self._take_off(event.item, event.task, None)
        elif isinstance(event, ItemFinished):
            self._open.pop(event.item, None)
            self._deaths.pop(event.item, None)
            for batch in seat.batches.values():
                batch.discard(event.item)
        elif isinstance(event, ModelLoaded):
            self._deaths.pop(f"{LOAD}{event.task}:{event.analyzer}", None)

    def _on_model_failed(self, seat: Seat, failed: ModelFailed) -> None:
        others = [other for other in self._seats if other is not seat and not other.retiring]
        if failed.stand_in is None and failed.task not in self._dead_tasks and others:
            # There may be room for one less (memory, descriptors): the task is dead when the last one fails.
            self._most_workers = len(others)
            self._put_back(self._lose(seat))
            self._events.append(FewerWorkers(len(others), failed.problem))
            return
        self._do_without(failed.task, failed.analyzer, failed.problem)

    def _take_off(self, item_id: int, task: str, value: bytes | None) -> None:
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
            self.statistics.recycled += 1
            self._seats.remove(seat)
            self._leaving[seat.worker] = self._clock() + _LEAVING_SECONDS
            seat.worker.send(Stop())

    # -- deaths and hangs

    def _lose(self, seat: Seat) -> list[int]:
        """End a worker; the items it had in hand."""
        self._seats.remove(seat)
        seat.worker.kill()
        return seat.open_items

    def _on_death(self, seat: Seat, died: Died) -> None:
        self._seats.remove(seat)
        self.statistics.died += 1
        in_hand = seat.open_items
        if not seat.ready:
            # Before it was ready it cannot have looked at an image.
            self._put_back(in_hand)
            tail = f":\n{died.stderr_tail}" if died.stderr_tail else ""
            self._on_failed_start(f"{died.description} before it was ready", tail)
            return
        loads = [step for step, _ in seat.deadlines if step.startswith(LOAD)]
        self._a_load_killed |= bool(loads)
        if not (seat.isolated and len(in_hand) == 1):
            self._suspect(seat, in_hand)
            return
        suspect = loads[0] if loads else in_hand[0]
        self._deaths[suspect] += 1
        if self._deaths[suspect] < (_KILLS_TO_BLAME if died.from_outside else 1):
            self._suspects.append(tuple(in_hand))
        elif loads:
            self._suspects.append(tuple(in_hand))
            self._fail_model(loads[0], crash_in_load(loads[0], died))
        else:
            step = next((step for step, items in seat.deadlines if items), None)
            self._convict(in_hand[0], step, crash(died, step, times=1 + self._deaths[suspect]))

    def _suspect(self, seat: Seat, in_hand: list[int]) -> None:
        begun = {item for _, items in seat.deadlines for item in items}
        # Nothing announced (it was lost between two steps, or in a load): the first one not finished is as good as any.
        suspects = [item for item in in_hand if item in begun] or in_hand[:1]
        self._put_back(item for item in in_hand if item not in suspects)
        self._suspects.extend(_halves(suspects))

    def _on_failed_start(self, what: str, detail: str = "") -> None:
        self._failed_starts += 1
        if self._failed_starts >= _STARTS_TO_GIVE_UP:
            self._unusable = WorkerUnusable(
                f"the worker process {what}, {self._failed_starts} times{detail}",
                "check the installation with `imgtool models`, or run with --no-isolate to see the error itself",
            )

    def _on_late(self, seat: Seat, now: float) -> None:
        self.statistics.timed_out += 1
        in_hand = self._lose(seat)
        name, items = next((step for step, deadline in seat.deadlines.items() if deadline <= now), ("", ()))
        if not seat.ready:
            self._put_back(in_hand)
            self._on_failed_start(f"was not ready within {self._limits.load_timeout:g} s")
        elif name.startswith(LOAD):
            self._put_back(in_hand)
            self._fail_model(name, late_load(name, self._limits.load_timeout))
        elif not name and seat.isolated and len(in_hand) == 1:
            self._convict(in_hand[0], None, silent(self._limits.load_timeout))
        elif not name:
            self._suspect(seat, in_hand)
        else:
            self._put_back(item for item in in_hand if item not in items)
            if len(items) == 1:
                self._convict(items[0], name, late(name, self._limits.timeout))
            else:
                self._suspects.extend(_halves([item for item in in_hand if item in items]))

    def _put_back(self, items: Iterable[int]) -> None:
        self._returned.extendleft(reversed([item for item in items if item in self._open]))

    def _convict(self, item_id: int, step: str | None, problem: Problem) -> None:
        """Fail what an image was guilty of; its other tasks get another chance, isolated."""
        if item_id not in self._open:
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
        plans = self._plans or {}
        plan = plans.pop(task, None)
        left = [each for each in (plan, *plan.stand_ins) if each.analyzer != engine] if plan else []
        if left:
            plans[task] = msgspec.structs.replace(left[0], stand_ins=tuple(left[1:]))
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
                self._returned = deque(other for other in self._returned if other != item.id)
                self._events.append(ItemFinished(item=item.id))


def _halves(items: list[int]) -> list[tuple[int, ...]]:
    middle = (len(items) + 1) // 2
    return [tuple(half) for half in (items[:middle], items[middle:]) if half]
