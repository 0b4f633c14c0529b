"""Retries: how often, how long the pauses are, and what is not tried again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tenacity

from imgtool.ground.retry import RetryPolicy, with_retries


class Busy(Exception):
    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none is kept."""
    pauses: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", pauses.append)
    return pauses


def failing(*errors: BaseException) -> Callable[[], str]:
    """Raises each of ``errors`` once, then answers."""
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


def is_busy(error: BaseException) -> bool:
    return isinstance(error, Busy)


def test_errors_that_pass_are_told_and_tried_again(slept: list[float]) -> None:
    told: list[tuple[int, float]] = []
    policy = RetryPolicy(attempts=4, first_wait=1.0, longest_wait=3.0, jitter=0.0)
    answer = with_retries(
        failing(Busy(), Busy(), Busy()), policy, is_busy, lambda failed, _, pause: told.append((failed, pause))
    )
    assert answer == "done"
    assert told == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert slept == [1.0, 2.0, 3.0]


def test_the_last_attempt_s_error_is_raised_as_it_is(slept: list[float]) -> None:
    last = Busy()
    with pytest.raises(Busy) as caught:
        with_retries(failing(Busy(), last, Busy()), RetryPolicy(attempts=2), is_busy, lambda *_: None)
    assert caught.value is last
    assert len(slept) == 1


def test_other_errors_are_raised_at_once(slept: list[float]) -> None:
    with pytest.raises(ValueError, match="wrong"):
        with_retries(failing(ValueError("wrong")), RetryPolicy(), is_busy, lambda *_: pytest.fail("told"))
    assert slept == []


@pytest.mark.parametrize(("asked", "pause"), [(30.0, 30.0), (500.0, 60.0), (0.1, 2.0)])
def test_the_pause_that_an_error_asks_for_is_kept_within_bounds(slept: list[float], asked: float, pause: float) -> None:
    policy = RetryPolicy(first_wait=2.0, longest_wait=2.0, jitter=0.0)
    with_retries(failing(Busy(asked)), policy, is_busy, lambda *_: None)
    assert slept == [pause]


def test_pauses_differ_by_the_jitter_at_most(slept: list[float]) -> None:
    policy = RetryPolicy(attempts=20, first_wait=1.0, longest_wait=1.0, jitter=0.5)
    with_retries(failing(*[Busy()] * 19), policy, is_busy, lambda *_: None)
    assert all(1.0 <= pause <= 1.5 for pause in slept)
    assert len(set(slept)) > 1
