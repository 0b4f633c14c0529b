"""Numbered things in the order of their numbers, as far as that keeps nobody waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class ReorderBuffer(Generic[Thing]):
    """Holds back what comes before its turn, until those before it are there or :meth:`let_go` is called.

    Files that are hashed side by side overtake each other by a hair. Were the second asked about first, the answer
    to the first, which is given out first, would take twice as long.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0
        self._held: dict[int, Thing] = {}
        self._since = 0.0

    def held_seconds(self) -> float:
        """For how long something has been held back."""
        return self._clock() - self._since if self._held else 0.0

    def add(self, number: int, thing: Thing) -> list[Thing]:
        """What can go on now that ``thing`` is there. A number is given once, counted from zero."""
        if number < self._next:
            return [thing]
        if not self._held:
            self._since = self._clock()
        self._held[number] = thing
        found = []
        while self._next in self._held:
            found.append(self._held.pop(self._next))
            self._next += 1
        return found

    def let_go(self) -> list[Thing]:
        """Everything that is held back, in order; a number that was skipped goes on as soon as it arrives."""
        held, self._held = self._held, {}
        self._next = max(held, default=self._next - 1) + 1
        return [held[number] for number in sorted(held)]
