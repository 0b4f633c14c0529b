"""Transient failures of transfers, such as a lost connection or a busy server: these are retried, refusals are not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from imgtool.ground.retry import RetryPolicy, with_retries
from imgtool.weights.errors import DownloadFailed

T = TypeVar("T")
logger = logging.getLogger(__name__)

_TRANSIENT_STATUS = frozenset({408, 425, 429})
"""HTTP statuses below 500 after which the same request may succeed."""


class Transient(Exception):
    """A failure that may pass. ``retry_after`` is the pause in seconds that the server asked for, ``remedy`` what to do
    beyond waiting."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.remedy = ""


def of_status(status: int, retry_after: str | None) -> Transient | None:
    """The failure for an HTTP ``status`` after which the same request may succeed later, else ``None``.

    ``retry_after`` is the header of that name: seconds, or a date, which is ignored.
    """
    if status not in _TRANSIENT_STATUS and status < 500:
        return None
    try:
        seconds = max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        seconds = None
    meaning = " (too many requests)" if status == 429 else ""
    asked = "" if seconds is None else f" and asks to wait {seconds:g} s"
    return Transient(f"the server answered {status}{meaning}{asked}", seconds)


def transferred(
    work: Callable[[], T], policy: RetryPolicy, what: str, on_retry: Callable[[int, str, float], None]
) -> T:
    """``work()``, again after each :class:`Transient` until the attempts are used up.

    ``on_retry`` gets the number of the attempt that failed, the reason, and the seconds until the next.

    Raises:
        DownloadFailed: the last attempt failed too; its ``__cause__`` is that failure.
    """

    def tell(attempt: int, error: BaseException, wait_seconds: float) -> None:
        logger.info("%s: attempt %d of %d failed (%s)", what, attempt, policy.attempts, error)
        on_retry(attempt, str(error), wait_seconds)

    def may_pass(error: BaseException) -> bool:
        # Nobody waits for an hour; who asks earlier than that is refused again.
        return isinstance(error, Transient) and (error.retry_after or 0.0) <= policy.longest_asked

    try:
        return with_retries(work, policy, may_pass, tell)
    except Transient as error:
        later = "try later"
        if error.retry_after is not None:
            later = f"try again in {error.retry_after:.0f} s"
        remedy = f"check the network and the proxy settings (HTTPS_PROXY), or {later}; `--from DIR` takes local files"
        if error.remedy:
            remedy = f"{error.remedy}, or {later}"
        tried = f"failed {policy.attempts} times, the last time" if may_pass(error) else "failed"
        raise DownloadFailed(f"{what}: {tried} because {error}", remedy) from error
