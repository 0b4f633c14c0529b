"""Repeating work that failed for a reason that may pass, with growing pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently: pauses grow from ``first_wait`` by doubling, up to ``longest_wait`` (seconds).

    Up to ``jitter`` seconds are added to each, so that many machines do not come back at once. An error that says how
    long to wait (``retry_after``, seconds) is obeyed, up to ``longest_asked`` seconds.
    """

    attempts: int = 3
    first_wait: float = 0.5
    longest_wait: float = 8.0
    jitter: float = 0.5
    longest_asked: float = 60.0


def with_retries(
    work: Callable[[], T],
    policy: RetryPolicy,
    may_pass: Callable[[BaseException], bool],
    on_retry: Callable[[int, BaseException, float], None],
) -> T:
    """``work()``, again after each error that ``may_pass``, until the attempts are used up.

    ``on_retry`` gets the number of the attempt that failed, its error, and the seconds until the next.

    Raises:
        BaseException: what the last attempt raised, or the first that will not pass.
    """
    # Imported here: runs that neither fetch nor load anything save the milliseconds.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

    backoff = wait_exponential(multiplier=policy.first_wait, max=policy.longest_wait) + wait_random(0, policy.jitter)

    def wait(state: RetryCallState) -> float:
        asked = getattr(state.outcome and state.outcome.exception(), "retry_after", None)
        return max(backoff(state), min(asked or 0.0, policy.longest_asked))

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        assert error is not None
        on_retry(state.attempt_number, error, state.next_action.sleep if state.next_action else 0.0)

    return Retrying(
        stop=stop_after_attempt(policy.attempts),
        wait=wait,
        retry=retry_if_exception(may_pass),
        before_sleep=tell,
        reraise=True,
    )(work)
