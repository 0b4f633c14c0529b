"""How many requests a client may send: by key, or by address where there are no keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from imgtool.distribution import install_command
from imgtool.errors import MissingExtra, UsageProblem

if TYPE_CHECKING:
    from limits.storage import Storage

_REDIS_SECONDS = 0.1


class RateLimiter:
    """A moving window for each client, in memory or in Redis. Where Redis does not answer, nobody is limited."""

    def __init__(self, rate: str, storage: str | None, warn: Callable[[str], None]) -> None:
        """``rate`` is such as ``100/minute``; ``storage`` a ``redis://`` address, or ``None`` for memory.

        Raises:
            UsageProblem: ``rate`` or ``storage`` cannot be read.
            MissingExtra: Redis is named, and its client is not installed.
        """
        from limits import parse
        from limits.strategies import MovingWindowRateLimiter

        try:
            self._limit = parse(rate)
        except ValueError as error:
            remedy = "write it as 100/minute, 10/second or 5000/day"
            raise UsageProblem(f"--rate-limit: {rate!r} is no rate", remedy) from error
        self._window = MovingWindowRateLimiter(_open_storage(storage))
        self._in_memory = storage is None
        self._warn = warn
        self._failed_at: float | None = None
        self.policy = f'"default";q={self._limit.amount};w={self._limit.get_expiry()}'
        """The value of the header ``RateLimit-Policy``."""

    @property
    def blocks(self) -> bool:
        """Whether :meth:`hit` waits for another machine, and so belongs into a thread."""
        return not self._in_memory

    def hit(self, client: str) -> tuple[bool, int, int]:
        """Count a request: whether it may pass, how many more may, and seconds until the window has moved on."""
        now = time.time()
        if self._failed_at is not None and now - self._failed_at < 5:
            return True, self._limit.amount, 0
        try:
            allowed = self._window.hit(self._limit, client)
            stats = self._window.get_window_stats(self._limit, client)
        except Exception as error:  # noqa: BLE001 - whatever the client of Redis raises
            if self._failed_at is None:
                self._warn(f"the rate limit is not kept: {type(error).__name__}: {error}")
            self._failed_at = now
            return True, self._limit.amount, 0
        self._failed_at = None
        return allowed, max(0, stats.remaining), max(1, round(stats.reset_time - now + 0.5))


def _open_storage(address: str | None) -> Storage:
    from limits.errors import ConfigurationError
    from limits.storage import MemoryStorage, storage_from_string

    if address is None:
        return MemoryStorage()
    if not address.startswith(("redis://", "rediss://", "redis+unix://")):
        raise UsageProblem(f"--rate-limit-storage: {address!r} is no address of Redis", "redis://localhost:6379/0")
    options = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
    try:
        return storage_from_string(address, wrap_exceptions=True, **options)  # type: ignore[return-value]
    except ConfigurationError as error:
        raise MissingExtra("a rate limit in Redis needs its client", install_command("redis")) from error
