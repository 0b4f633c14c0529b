"""What waits to be computed: priorities, callers in turn, nothing lost or given twice."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from imgtool.engine.scheduling.work_queue import WorkQueue


def filled(*entries: tuple[str, int, str]) -> WorkQueue[str]:
    queue: WorkQueue[str] = WorkQueue()
    for thing, priority, caller in entries:
        queue.add(thing, priority, caller)
    return queue


def test_a_caller_s_things_come_in_their_order() -> None:
    queue = filled(("a", 0, "x"), ("b", 0, "x"), ("c", 0, "x"))
    assert queue.take(2) == ["a", "b"]
    assert queue.take(5) == ["c"]
    assert len(queue) == 0


def test_the_highest_priority_comes_first() -> None:
    queue = filled(("low", -10, "x"), ("normal", 0, "y"), ("high", 10, "x"), ("odd", 3, "x"))
    assert queue.take(9) == ["high", "odd", "normal", "low"]


def test_callers_take_turns_however_much_one_of_them_wants() -> None:
    queue = filled(*((f"many{n}", 0, "many") for n in range(1000)), ("one", 0, "one"), ("two", 0, "two"))
    assert queue.take(4) == ["many0", "one", "two", "many1"]


def test_one_that_came_later_has_its_turn_at_once() -> None:
    queue = filled(*((f"many{n}", 0, "many") for n in range(1000)))
    assert queue.take(8) == [f"many{n}" for n in range(8)]
    queue.add("late", 0, "late")
    assert "late" in queue.take(2)


def test_what_is_removed_is_not_given_and_what_is_moved_is_given_once() -> None:
    queue = filled(("a", 0, "x"), ("b", 0, "x"), ("c", 0, "y"))
    queue.remove("a")
    queue.remove("never there")
    queue.add("c", 10, "y")
    assert len(queue) == 2
    assert queue.take(9) == ["c", "b"]
    queue.add("c", 0, "y")
    assert queue.take(9) == ["c"]


def test_what_is_removed_is_let_go_at_once() -> None:
    class Thing:
        pass

    queue: WorkQueue[Thing] = WorkQueue()
    things = [Thing() for _ in range(10)]
    for number, thing in enumerate(things):
        queue.add(thing, number % 2, number % 3)
    kept = weakref.WeakSet(things)
    for thing in things[:9]:
        queue.remove(thing)
    del things[:9], thing
    gc.collect()
    assert len(kept) == 1
    assert queue.take(9) == things


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from("xyz"), st.booleans()), max_size=60), st.integers(1, 7))
def test_everything_is_given_once_in_order_of_priority(entries: list[tuple[int, str, bool]], step: int) -> None:
    queue: WorkQueue[int] = WorkQueue()
    for number, (priority, caller, removed) in enumerate(entries):
        queue.add(number, priority, caller)
        if removed:
            queue.remove(number)
    left = [number for number, entry in enumerate(entries) if not entry[2]]
    taken: list[int] = []
    while queue:
        assert len(queue) == len(left) - len(taken)
        taken += queue.take(step)
    assert sorted(taken) == left
    priorities = [entries[number][0] for number in taken]
    assert priorities == sorted(priorities, reverse=True)
    for priority in set(priorities):
        for caller in "xyz":
            own = [n for n in taken if entries[n][:2] == (priority, caller)]
            assert own == sorted(own)


def test_things_are_counted_by_priority() -> None:
    queue = filled(("a", 0, "x"), ("b", 0, "y"), ("c", 10, "x"), ("d", -10, "x"))
    assert [queue.count(priority) for priority in (20, 10, 0, -10)] == [0, 1, 3, 4]
    queue.add("d", 10, "x")
    queue.remove("b")
    queue.remove("b")
    assert [queue.count(priority) for priority in (10, 0, -10)] == [2, 3, 3]
    assert len(queue.take(9)) == 3
    assert queue.count(-100) == 0
