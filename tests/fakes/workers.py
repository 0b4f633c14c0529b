"""Workers that do what the test says, and keep what they were sent."""

from __future__ import annotations

from imgtool.runtime.process import Post
from imgtool.runtime.protocol import Batch, Item, Stop, TaskPlan, ToWorker, WarmUp


class FakeWorker:
    """Keeps what it is sent; says nothing by itself."""

    def __init__(self, plans: tuple[TaskPlan, ...], one_by_one: bool) -> None:
        self.plans = plans
        self.one_by_one = one_by_one
        self.sent: list[ToWorker] = []
        self.killed = False
        self.stopped: float | None = None

    def send(self, message: ToWorker) -> None:
        self.sent.append(message)

    def kill(self) -> None:
        self.killed = True

    def stop(self, grace_seconds: float) -> None:
        self.stopped = grace_seconds

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

    def __call__(self, post: Post, plans: tuple[TaskPlan, ...], one_by_one: bool) -> FakeWorker:
        self.started.append(FakeWorker(plans, one_by_one))
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
