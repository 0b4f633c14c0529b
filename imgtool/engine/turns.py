"""Numbered things in the order of their numbers, as far as that keeps nobody waiting."""

from __future__ import annotations

from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Holds back what comes before its turn, until those before it are there or :meth:`let_go` is called.

    Files that are hashed side by side overtake each other by a hair. Were the second asked about first, the answer
    to the first, which is given out first, would take twice as long.
    """

    def __init__(self) -> None:
        self._next = 0
        self._held: dict[int, Thing] = {}

    def __bool__(self) -> bool:
        """Whether anything is held back."""
        return bool(self._held)

    def add(self, number: int, thing: Thing) -> list[Thing]:
        """What can go on now that ``thing`` is there. A number is given once, counted from zero."""
        if number < self._next:
            return [thing]
        self._held[number] = thing
        found = []
        while self._next in self._held:
            found.append(self._held.pop(self._next))
            self._next += 1
        return found

    def let_go(self) -> list[Thing]:
        """Everything that is held back, in order; whom it was held back for goes on as soon as it comes."""
        if not self._held:
            return []
        self._next = max(self._held) + 1
        held, self._held = self._held, {}
        return [held[number] for number in sorted(held)]
