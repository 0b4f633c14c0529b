"""Trying again where that can help: a lost connection, a busy server; never where the answer was no."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from imgtool.weights.errors import DownloadFailed

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
logger = logging.getLogger(__name__)

TRANSIENT_STATUS = frozenset({408, 425, 429})
"""HTTP statuses below 500 after which the same request may succeed."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently: waits grow from ``first_wait`` by doubling, up to ``longest_wait`` (seconds).

    Up to ``jitter`` seconds are added to each, so that many machines do not come back at once. A server that says
    how long to wait is obeyed, up to ``longest_asked`` seconds.
    """

    attempts: int = 3
    first_wait: float = 0.5
    longest_wait: float = 8.0
    jitter: float = 0.5
    longest_asked: float = 60.0


class Transient(Exception):
    """A failure that may not come again. ``retry_after`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def transient_status(status: int) -> bool:
    """Whether an HTTP ``status`` says that the same request may succeed later."""
    return status in TRANSIENT_STATUS or status >= 500


def seconds_asked(header: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header; ``None`` where it is absent or a date."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def with_retries(
    work: Callable[[], T], policy: RetryPolicy, what: str, on_retry: Callable[[int, str, float], None]
) -> T:
    """``work()``, again after each :class:`Transient` until the attempts are used up.

    ``on_retry`` gets the number of the attempt that failed, the reason, and the seconds until the next.

    Raises:
        DownloadFailed: the last attempt failed too; its ``__cause__`` is that failure.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        logger.info("%s: attempt %d of %d failed (%s)", what, state.attempt_number, policy.attempts, error)
        on_retry(state.attempt_number, str(error), wait)

    retrying = Retrying(
        stop=stop_after_attempt(policy.attempts),
        wait=lambda state: _wait(state, policy),
        retry=retry_if_exception_type(Transient),
        before_sleep=tell,
        reraise=True,
    )
    try:
        return retrying(work)
    except Transient as error:
        raise DownloadFailed(
            f"{what}: failed {policy.attempts} times, the last time because {error}",
            "check the network and the proxy settings (HTTPS_PROXY), or try later; `--from DIR` takes local files",
        ) from error


def _wait(state: RetryCallState, policy: RetryPolicy) -> float:
    from tenacity import wait_exponential, wait_random

    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Transient) else None
    backoff = wait_exponential(multiplier=policy.first_wait, max=policy.longest_wait) + wait_random(0, policy.jitter)
    return max(backoff(state), min(asked or 0.0, policy.longest_asked))
