"""A server that failed is left alone, then tried once, then trusted."""

from __future__ import annotations

import random

import pytest

from imgtool.engine.cache.shared.circuit_breaker import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    CircuitBreaker,
)
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(clock, random_=lambda: 0.5)


def test_it_begins_closed_and_opens_at_the_first_failure(clock: FakeClock) -> None:
    it = breaker(clock)
    assert not it.is_open
    it.fail()
    assert it.is_open
    assert not it.begin_trial()


def test_after_the_pause_there_is_one_trial(clock: FakeClock) -> None:
    it = breaker(clock)
    it.fail()
    clock.advance(FIRST_PAUSE_SECONDS)
    assert [it.begin_trial(), it.begin_trial()] == [True, False]
    assert it.is_open, "nothing is asked before the trial is over"
    it.pass_trial()
    assert not it.is_open


def test_the_pause_doubles_with_each_failed_trial_up_to_a_limit(clock: FakeClock) -> None:
    it, pauses = breaker(clock), []
    it.fail()
    for _ in range(8):
        began = clock.now
        while not it.begin_trial():
            clock.advance(0.5)
        pauses.append(clock.now - began)
        it.fail()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_a_server_that_passes_trials_and_answers_nothing_is_tried_less_and_less(clock: FakeClock) -> None:
    it, pauses = breaker(clock), []
    for _ in range(4):
        it.fail()
        began = clock.now
        while not it.begin_trial():
            clock.advance(0.5)
        pauses.append(clock.now - began)
        it.pass_trial()
    assert pauses == [1, 2, 4, 8]
    it.succeed()
    it.fail()
    clock.advance(FIRST_PAUSE_SECONDS)
    assert it.begin_trial()


def test_failures_of_what_was_asked_before_it_opened_do_not_lengthen_the_pause(clock: FakeClock) -> None:
    it = breaker(clock)
    for _ in range(5):
        it.fail()
    clock.advance(FIRST_PAUSE_SECONDS)
    assert it.begin_trial()


def test_a_late_success_does_not_close_it(clock: FakeClock) -> None:
    it = breaker(clock)
    it.fail()
    it.succeed()
    assert it.is_open


def test_many_do_not_come_back_in_one_moment(clock: FakeClock) -> None:
    seconds = set()
    for seed in range(20):
        it = CircuitBreaker(clock, random.Random(seed).random)
        it.fail()
        began = clock.now
        while not it.begin_trial():
            clock.advance(0.01)
        seconds.add(round(clock.now - began, 2))
    assert len(seconds) > 10
    assert 0.8 <= min(seconds) < max(seconds) <= 1.21
