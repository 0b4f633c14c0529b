"""Holding back what comes before its turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgtool.engine.files.reorder import ReorderBuffer


@given(st.permutations(range(12)))
def test_whatever_the_order_of_arrival_things_go_on_in_order(arrivals: list[int]) -> None:
    turns: ReorderBuffer[int] = ReorderBuffer()
    gone = [thing for number in arrivals for thing in turns.add(number, number)]
    assert gone == sorted(arrivals)
    assert turns.let_go() == []


@given(st.permutations(range(12)), st.integers(0, 12))
def test_letting_go_loses_and_repeats_nothing(arrivals: list[int], when: int) -> None:
    turns: ReorderBuffer[int] = ReorderBuffer()
    before = [thing for number in arrivals[:when] for thing in turns.add(number, number)]
    freed = turns.let_go()
    assert turns.let_go() == []
    assert freed == sorted(freed)
    after = [thing for number in arrivals[when:] for thing in turns.add(number, number)]
    assert sorted([*before, *freed, *after, *turns.let_go()]) == sorted(arrivals)


def test_how_long_something_is_held_back() -> None:
    now = [5.0]
    turns: ReorderBuffer[str] = ReorderBuffer(lambda: now[0])
    assert turns.held_seconds() == 0
    turns.add(1, "b")
    now[0] = 6.0
    turns.add(3, "d")
    now[0] = 7.5
    assert turns.held_seconds() == 2.5
    turns.let_go()
    assert turns.held_seconds() == 0
    turns.add(5, "f")
    now[0] = 8.0
    assert turns.held_seconds() == 0.5


def test_one_that_was_overtaken_goes_on_as_it_comes() -> None:
    turns: ReorderBuffer[str] = ReorderBuffer()
    assert turns.add(1, "b") == []
    assert turns.add(2, "c") == []
    assert turns.let_go() == ["b", "c"]
    assert turns.add(4, "e") == []
    assert turns.add(0, "a") == ["a"]
    assert turns.add(3, "d") == ["d", "e"]
