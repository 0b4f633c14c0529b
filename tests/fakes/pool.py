"""A pool without workers: what it was asked, and answers that the test gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgtool.errors import WorkerUnusable
from imgtool.runtime.interface import PoolEvent, WorkerStatistics
from imgtool.runtime.protocol import Answered, Decoded, Failed, Item, ItemFinished
from imgtool.types import Problem

VALUES = {"caption": b'"a caption"', "text": b"[]", "thumbnail": b'"aGk="'}


class FakePool:
    """Holds items until the test lets it answer; ``capacity`` is how many at once."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], None], *, capacity: int = 100) -> None:
        self.statistics = WorkerStatistics()
        self.capacity = capacity
        self.asked: list[Item] = []
        self.in_hand: dict[int, Item] = {}
        self.failing: dict[str, Problem] = {}
        self.values = dict(VALUES)
        self.pages = 1
        self.unusable: WorkerUnusable | None = None
        self.answers_at_once = False
        self.begun = self.closed = self.warmed_up = False
        self._call_soon = call_soon
        self._events: list[PoolEvent] = []

    # -- what the test calls, from its own thread

    def answer(self, *numbers: int) -> None:
        """Answer these items, or all that are in hand."""
        self._call_soon(lambda: [self.answer_now(number) for number in numbers or list(self.in_hand)] and None)

    def say(self, *events: PoolEvent) -> None:
        """Have something happen."""
        self._call_soon(lambda: self._events.extend(events))

    def answer_now(self, number: int) -> None:
        item = self.in_hand.pop(number)
        name = item.path.decode()
        if (problem := self.failing.get(name.rpartition("/")[2])) is not None:
            self._events += [Failed(item=item.id, task=None, problem=problem, pages=self.pages)]
        else:
            self._events.append(
                Decoded(item=item.id, format="PNG", width=3, height=2, pages=self.pages, file_size=9, seconds=0.25)
            )
            for task in item.tasks:
                value = self.values[task]
                self._events.append(Answered(item=item.id, task=task, analyzer="hazard", value=value, seconds=0.5))
        self._events.append(ItemFinished(item=item.id, seconds=1.0, answering_seconds=0.5))

    # -- what a scheduler calls

    def room(self, waiting: int, *, more_coming: bool) -> int:
        return max(0, min(waiting, self.capacity - len(self.in_hand)))

    def submit(self, items: Sequence[Item]) -> None:
        for item in items:
            self.asked.append(item)
            self.in_hand[item.id] = item
            if self.answers_at_once:
                self.answer_now(item.id)

    def events(self) -> list[PoolEvent]:
        if self.unusable is not None:
            unusable, self.unusable = self.unusable, None
            self.in_hand.clear()
            raise unusable
        events, self._events = self._events, []
        return events

    def seconds_to_deadline(self) -> float | None:
        return None

    def begin(self) -> None:
        self.begun = True

    def warm_up(self) -> None:
        self.warmed_up = True

    def close(self, *, at_once: bool = False) -> None:
        self.closed = True

    def forget(self) -> None:
        """Nothing to let go of."""
