"""A pool without workers: what it was asked, and answers that the test gives."""

from __future__ import annotations

import queue
from typing import Any

import msgspec

from imgtool.runtime.pool import PoolEvent
from imgtool.runtime.protocol import Answered, Decoded, Failed, Item, ItemFinished
from imgtool.types import Problem


class FakePool:
    """Answers every item when it is dispatched, but for those whose page or path the test wants to fail."""

    def __init__(self, events: queue.SimpleQueue[Any]) -> None:
        self.asked: list[Item] = []
        self.failing: dict[bytes, Problem] = {}
        self.pages = 1
        self.reverse = False
        self._waiting: list[Item] = []
        self._events: list[PoolEvent] = []
        self._wake = events

    def submit(self, item: Item) -> None:
        self.asked.append(item)
        self._waiting.append(item)

    def dispatch(self, *, more_coming: bool) -> None:
        waiting, self._waiting = self._waiting, []
        for item in reversed(waiting) if self.reverse else waiting:
            self._answer(item)
        if waiting:
            self._wake.put((self, None))

    def events(self) -> list[PoolEvent]:
        events, self._events = self._events, []
        return events

    def handle(self, worker: object, event: object) -> None:
        """Only woken."""

    def tick(self) -> None:
        """Nothing is ever late."""

    def seconds_to_deadline(self) -> float | None:
        return None

    def _answer(self, item: Item) -> None:
        if (problem := self.failing.get(item.path)) is not None:
            self._events += [Failed(item=item.id, task=None, problem=problem), ItemFinished(item=item.id)]
            return
        self._events.append(
            Decoded(item=item.id, format="PNG", width=3, height=2, pages=self.pages, file_size=9, seconds=0.25)
        )
        for task in item.tasks:
            value = msgspec.Raw(b"[]" if task == "text" else b'"a caption"')
            self._events.append(Answered(item=item.id, task=task, analyzer="Hazard", value=value, seconds=0.5))
        self._events.append(ItemFinished(item=item.id, seconds=1.0, answering_seconds=0.5))
