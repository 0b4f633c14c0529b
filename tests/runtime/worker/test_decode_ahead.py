"""Decoding ahead: in order, within a budget of pixels, and never more than that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from imgtool.runtime.protocol import Item
from imgtool.runtime.worker.decode import DecodedPage
from imgtool.runtime.worker.decode_ahead import DecodeAhead, Undecodable
from imgtool.types import Problem
from tests.fakes.clock import FakeClock
from tests.fakes.workers import item

PIXELS = 100


class Decodes:
    """Decodes at once, or when it is let; notes what it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[int] = []
        self.let = threading.Event()
        self.let.set()

    def __call__(self, item: Item) -> DecodedPage | Undecodable:
        self.asked.append(item.id)
        self.let.wait(10)
        self.clock.advance(2.5)
        if item.id == 13:
            return Undecodable(Problem("damaged", "planted"))
        side = 10 if item.id < 100 else 100
        pixels = np.zeros((side, side, 3), np.uint8)
        return DecodedPage(pixels, "PNG", side, side, 0, 1, 1)

    def waited_for(self, count: int) -> list[int]:
        """What was asked once that is ``count`` items, and no more for a moment."""
        deadline = time.monotonic() + 10
        while len(self.asked) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        return self.asked


@pytest.fixture
def decodes() -> Decodes:
    return Decodes(FakeClock())


@pytest.fixture
def make(decodes: Decodes) -> Iterator[Callable[[int], DecodeAhead]]:
    made: list[DecodeAhead] = []

    def one(budget: int) -> DecodeAhead:
        made.append(DecodeAhead(decodes, budget, decodes.clock))
        return made[-1]

    yield one
    for each in made:
        each.close()


def test_arrivals_come_in_the_order_of_the_items_with_the_seconds_they_took(
    make: Callable[[int], DecodeAhead], decodes: Decodes
) -> None:
    ahead = make(10 * PIXELS)
    ahead.add((item(3), item(1)))
    ahead.add((item(13),))
    arrivals = [ahead.take() for _ in range(3)]
    assert [(each.item.id, each.seconds, each.pixels) for each in arrivals] == [
        (3, 2.5, 100),
        (1, 2.5, 100),
        (13, 2.5, 0),
    ]
    assert isinstance(arrivals[2].outcome, Undecodable)


def test_no_more_is_held_than_the_budget_allows(make: Callable[[int], DecodeAhead], decodes: Decodes) -> None:
    ahead = make(2 * PIXELS)
    ahead.add(tuple(item(number) for number in range(5)))
    assert decodes.waited_for(2) == [0, 1]
    first = ahead.take()
    assert decodes.waited_for(2) == [0, 1], "taken is not given back"
    ahead.release(first)
    assert decodes.waited_for(3) == [0, 1, 2]


def test_one_that_is_larger_than_the_budget_is_decoded_alone(
    make: Callable[[int], DecodeAhead], decodes: Decodes
) -> None:
    ahead = make(2 * PIXELS)
    ahead.add((item(100), item(1)))
    assert decodes.waited_for(1) == [100]
    ahead.release(ahead.take())
    assert decodes.waited_for(2) == [100, 1]


def test_take_waits_for_what_is_not_there_yet(make: Callable[[int], DecodeAhead], decodes: Decodes) -> None:
    ahead = make(PIXELS)
    decodes.let.clear()
    ahead.add((item(7),))
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(ahead.take().item.id))
    thread.start()
    thread.join(0.05)
    assert taken == []
    decodes.let.set()
    thread.join(10)
    assert taken == [7]


def test_nothing_more_is_decoded_after_close(make: Callable[[int], DecodeAhead], decodes: Decodes) -> None:
    ahead = make(10 * PIXELS)
    decodes.let.clear()
    ahead.add((item(0), item(1)))
    assert decodes.waited_for(1) == [0]
    ahead.close()
    decodes.let.set()
    assert decodes.waited_for(1) == [0]
