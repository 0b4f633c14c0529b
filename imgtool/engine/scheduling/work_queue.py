"""What waits to be computed: by priority, and callers in turn within one."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

ThingT = TypeVar("ThingT", bound=Hashable)


class WorkQueue(Generic[ThingT]):
    """First the highest priority; within one priority each caller in turn, and a caller's things as they came.

    So a caller with ten thousand things keeps another with one waiting no longer than for a thing of its own. All
    operations take constant time, for a bounded number of priorities.
    """

    def __init__(self) -> None:
        self._callers: dict[int, OrderedDict[Hashable, deque[ThingT]]] = {}
        self._place: dict[ThingT, tuple[int, Hashable]] = {}
        self._counts: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, thing: ThingT) -> bool:
        return thing in self._place

    def add(self, thing: ThingT, priority: int, caller: Hashable) -> None:
        """Queue a thing, or move one that is queued to another priority."""
        self.remove(thing)
        self._place[thing] = (priority, caller)
        self._counts[priority] += 1
        self._callers.setdefault(priority, OrderedDict()).setdefault(caller, deque()).append(thing)

    def priority(self, thing: ThingT) -> int:
        """Of a thing that is queued."""
        return self._place[thing][0]

    def remove(self, thing: ThingT) -> None:
        """Take a thing out, if it is queued; its entry goes when its turn comes."""
        if (place := self._place.pop(thing, None)) is not None:
            self._counts[place[0]] -= 1

    def count(self, priority: int) -> int:
        """How many are queued with this priority or a higher one."""
        return sum(count for of, count in self._counts.items() if of >= priority)

    def take(self, count: int) -> list[ThingT]:
        """The next things, at most so many."""
        taken: list[ThingT] = []
        while len(taken) < count and self._place:
            priority = max(self._callers)
            callers = self._callers[priority]
            caller, things = next(iter(callers.items()))
            while things:
                thing = things.popleft()
                if self._place.get(thing) == (priority, caller):
                    self.remove(thing)
                    taken.append(thing)
                    break
            callers.move_to_end(caller)
            if not things:
                del callers[caller]
            if not callers:
                del self._callers[priority]
        if not self._place:
            self._callers.clear()
            self._counts.clear()
        return taken
