"""Workers that do what the test says, and keep what they were sent."""

from __future__ import annotations

from collections.abc import Callable

from imgtool.runtime.pool import Post
from imgtool.runtime.protocol import Batch, Item, Stop, TaskPlan, ToWorker, WarmUp


class FakeWorker:
    """Keeps what it is sent; says nothing by itself. ``leaves`` says whether it ends when it is asked to."""

    def __init__(self, plans: tuple[TaskPlan, ...], one_by_one: bool, leaves: bool) -> None:
        self.plans = plans
        self.one_by_one = one_by_one
        self.leaves = leaves
        self.sent: list[ToWorker] = []
        self.killed = False
        self.forgotten = False

    def send(self, message: ToWorker) -> None:
        self.sent.append(message)

    def kill(self) -> None:
        self.killed = True

    def join(self, seconds: float) -> bool:
        return self.killed or (self.leaves and self.asked_to_leave)

    def forget(self) -> None:
        self.forgotten = True

    @property
    def batches(self) -> list[Batch]:
        return [message for message in self.sent if isinstance(message, Batch)]

    @property
    def given(self) -> list[list[int]]:
        """The ids of the items of each batch."""
        return [[item.id for item in batch.items] for batch in self.batches]

    @property
    def warmed_up(self) -> bool:
        return any(isinstance(message, WarmUp) for message in self.sent)

    @property
    def asked_to_leave(self) -> bool:
        return any(isinstance(message, Stop) for message in self.sent)


class FakeWorkers:
    """Starts fake workers, as a pool asks for them."""

    def __init__(self) -> None:
        self.started: list[FakeWorker] = []
        self.leave = True

    def __call__(self, post: Post, plans: Callable[[], tuple[TaskPlan, ...]], one_by_one: bool) -> FakeWorker:
        self.started.append(FakeWorker(plans(), one_by_one, self.leave))
        return self.started[-1]

    def __getitem__(self, number: int) -> FakeWorker:
        return self.started[number]

    def __len__(self) -> int:
        return len(self.started)


def item(number: int, *tasks: str) -> Item:
    """An item that asks for ``tasks``, or for a caption."""
    return Item(id=number, path=b"/photo.png", page=0, size=1, mtime_ns=1, tasks=tasks or ("caption",))


def plan(task: str = "caption", *names: str) -> TaskPlan:
    """The first of ``names`` answers ``task``; the others stand in."""
    plans = [TaskPlan(task=task, analyzer=name, target=f"tests.planted:{name}", parameters={}) for name in names]
    first = plans[0] if plans else TaskPlan(task=task, analyzer="Fake", target="tests.planted:Hazard", parameters={})
    return TaskPlan(task=task, analyzer=first.analyzer, target=first.target, parameters={}, stand_ins=tuple(plans[1:]))
