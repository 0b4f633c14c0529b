"""What waits to be computed: by priority, and callers in turn within one."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

ThingT = TypeVar("ThingT", bound=Hashable)


class WorkQueue(Generic[ThingT]):
    """First the highest priority; within one priority each caller in turn, and a caller's things as they came.

    So a caller with ten thousand things keeps another with one waiting no longer than for a thing of its own. All
    operations take constant time, for a bounded number of priorities.
    """

    def __init__(self) -> None:
        self._callers: dict[int, OrderedDict[Hashable, OrderedDict[ThingT, None]]] = {}
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
        self._callers.setdefault(priority, OrderedDict()).setdefault(caller, OrderedDict())[thing] = None

    def priority(self, thing: ThingT) -> int:
        """Of a thing that is queued."""
        return self._place[thing][0]

    def remove(self, thing: ThingT) -> None:
        """Take a thing out, if it is queued."""
        if thing not in self._place:
            return
        priority, caller = self._place.pop(thing)
        self._counts[priority] -= 1
        callers = self._callers[priority]
        del callers[caller][thing]
        if not callers[caller]:
            del callers[caller]
        if not callers:
            del self._callers[priority], self._counts[priority]

    def count(self, priority: int) -> int:
        """How many are queued with this priority or a higher one."""
        return sum(count for of, count in self._counts.items() if of >= priority)

    def take(self, count: int) -> list[ThingT]:
        """The next things, at most so many."""
        taken: list[ThingT] = []
        while len(taken) < count and self._place:
            callers = self._callers[max(self._callers)]
            caller, things = next(iter(callers.items()))
            callers.move_to_end(caller)
            taken.append(next(iter(things)))
            self.remove(taken[-1])
        return taken
