"""The only module that knows redis-py: a few commands over one connection, each with a time limit.

One thread uses a client. After any failure its connection is closed, so that a late reply is never read as the reply
to a later command. What goes wrong is a :class:`SharedCacheFailure`, which repeats nothing of the URL.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any

from msgspec import Struct
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from imgtool.engine.cache.shared.answers import PREFIX
from imgtool.errors import ExitCode, ImgtoolError

CONNECT_SECONDS = 0.05
ANSWER_SECONDS = 0.1

_EPOCH_KEY = f"{PREFIX}:epoch"
"""Its value stands in the key of every answer, so that changing it makes all of them unknown. It is a time, and not a
count from 0: where the key itself is lost, the next value is a new one, and no answer of before comes back."""

_EPOCH_DIGITS = 18


class Trouble(Enum):
    """Kinds of trouble: what is the matter, and what may help."""

    AWAY = "cannot be reached", "start the server, or correct --shared-cache"
    SLOW = "does not answer in time", "look at the server and the network"
    BUSY = "is loading its data", "wait until it has started"
    REFUSED = "refuses the user or the password", "correct --shared-cache"
    TLS = "cannot be reached with TLS", "check the certificate, or write redis:// where there is no TLS"
    FOREIGN = "does not answer as Redis does", "correct --shared-cache"
    EPOCH = "holds something else under imgtool's own key", "`imgtool cache clear --shared` sets it anew"
    FULL = "is full", "give it more memory, or set maxmemory-policy to allkeys-lru"
    NO_WRITES = "takes no answers", "name the primary server, with a user that may write"
    OTHER = "cannot be used", "look at the server, or leave out --shared-cache"

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy


class SharedCacheFailure(ImgtoolError):
    """The shared cache was asked in vain."""

    exit_code = ExitCode.NOT_WRITABLE

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        super().__init__(trouble.what + (f" ({detail})" if detail else ""), trouble.remedy)
        self.trouble = trouble


class ServerFigures(Struct, frozen=True):
    """A server in figures. ``epoch`` is when it was last cleared, in milliseconds since 1970; sizes are bytes."""

    epoch: int
    keys: int
    bytes: int | None
    limit_bytes: int | None


class RedisClient:
    """A server by its URL (:func:`imgtool.engine.cache.shared.url.check_url` has accepted it), not connected yet."""

    def __init__(
        self, url: str, connect_seconds: float = CONNECT_SECONDS, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._epoch: bytes | None = None
        with self._guarded():
            self._redis: Any = Redis.from_url(
                url,
                socket_connect_timeout=connect_seconds,
                socket_timeout=answer_seconds,
                # Others try again after a pause; here the answer would come too late.
                retry=Retry(NoBackoff(), 0),
                # Under protocol 3 the pool does not look whether a connection has something unread.
                protocol=2,
                max_connections=1,
            )

    def begin(self) -> None:
        """Connect and ask for the epoch.

        Raises:
            SharedCacheFailure: there is no such server, or it cannot be used.
        """
        with self._guarded():
            self._begin()

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        """The values that there are, in one round trip. Raises as :meth:`begin` does."""
        with self._guarded():
            for _ in range(2):
                epoch = self._epoch or self._begin()
                found = self._redis.mget([_EPOCH_KEY, *(_key(epoch, name) for name in names)])
                if found[0] == epoch:
                    return {name: data for name, data in zip(names, found[1:], strict=True) if data is not None}
                self._epoch = None  # it was cleared
        return {}

    def store(self, values: Sequence[tuple[str, bytes, int]]) -> tuple[int, SharedCacheFailure | None]:
        """Keep values, each with its name and how many milliseconds it is good for, in one round trip.

        Returns how many were taken, and why one of the others was not. Raises as :meth:`begin` does.
        """
        with self._guarded():
            epoch = self._epoch or self._begin()
            pipeline = self._redis.pipeline(transaction=False)
            for name, data, milliseconds in values:
                pipeline.set(_key(epoch, name), data, px=milliseconds)
            refusals = [each for each in pipeline.execute(raise_on_error=False) if isinstance(each, Exception)]
        return len(values) - len(refusals), _failure(refusals[0]) if refusals else None

    def clear(self) -> None:
        """Raise the epoch: all answers become unknown. Raises as :meth:`begin` does."""
        with self._guarded():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.set(_EPOCH_KEY, _now(), nx=True)
            pipeline.incr(_EPOCH_KEY)
            raised = pipeline.execute(raise_on_error=False)[1]
            if isinstance(raised, exceptions.ResponseError) and _failure(raised).trouble is Trouble.OTHER:
                self._redis.set(_EPOCH_KEY, _now())  # what stands there is no number
            elif isinstance(raised, Exception):
                raise raised
            self._epoch = None

    def forget(self, names: Sequence[str]) -> None:
        """Have values end now. Raises as :meth:`begin` does, and where the server refuses it."""
        # What may write answers may do this, too: a right to delete would be one more.
        _, refusal = self.store([(name, b"", 1) for name in names])
        if refusal is not None:
            raise refusal

    def figures(self) -> ServerFigures:
        """What ``imgtool cache stats`` shows. Raises as :meth:`begin` does."""
        with self._guarded():
            epoch, keys, memory = int(self._begin()), int(self._redis.dbsize()), {}
            with suppress(exceptions.NoPermissionError):
                memory = self._redis.info("memory")
            return ServerFigures(epoch, keys, memory.get("used_memory"), memory.get("maxmemory") or None)

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        self._epoch = None
        with suppress(exceptions.RedisError, OSError):
            self._redis.connection_pool.disconnect()

    def _begin(self) -> bytes:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(_EPOCH_KEY, _now(), nx=True)
        pipeline.get(_EPOCH_KEY)
        refused, epoch = pipeline.execute(raise_on_error=False)
        if epoch is None and isinstance(refused, Exception):
            raise refused
        if isinstance(epoch, exceptions.ResponseError) and "WRONGTYPE" in str(epoch):
            raise SharedCacheFailure(Trouble.EPOCH)
        if isinstance(epoch, Exception):
            raise epoch
        if not isinstance(epoch, bytes) or not (epoch.isdigit() and len(epoch) <= _EPOCH_DIGITS):
            raise SharedCacheFailure(Trouble.EPOCH)
        self._epoch = epoch
        return epoch

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a miss, and the connection is suspect
            if hasattr(self, "_redis"):
                self.close()
            # From nothing: what redis-py says may repeat the URL.
            raise (error if isinstance(error, SharedCacheFailure) else _failure(error)) from None


def _key(epoch: bytes, name: str) -> str:
    return f"{PREFIX}:{epoch.decode()}:{name}"


def _now() -> int:
    return time.time_ns() // 1_000_000


def _failure(error: Exception) -> SharedCacheFailure:
    word = (str(error).split() or [""])[0]
    links: list[BaseException] = [error]
    while (link := links[-1].__cause__ or links[-1].__context__) is not None and link not in links:
        links.append(link)
    if any(isinstance(link, ssl.SSLError) for link in links):
        return SharedCacheFailure(Trouble.TLS)
    kinds: tuple[tuple[Trouble, bool], ...] = (
        (Trouble.SLOW, isinstance(error, exceptions.TimeoutError)),
        (Trouble.BUSY, isinstance(error, exceptions.BusyLoadingError)),
        (Trouble.REFUSED, isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError))),
        (Trouble.REFUSED, word in ("NOAUTH", "WRONGPASS")),
        (Trouble.FULL, isinstance(error, exceptions.OutOfMemoryError) or word == "OOM"),
        (Trouble.NO_WRITES, isinstance(error, (exceptions.ReadOnlyError, exceptions.NoPermissionError))),
        (Trouble.NO_WRITES, word in ("MISCONF", "NOREPLICAS")),
        (Trouble.FOREIGN, isinstance(error, exceptions.InvalidResponse)),
        (Trouble.AWAY, isinstance(error, (exceptions.ConnectionError, OSError))),
    )
    trouble = next((trouble for trouble, is_it in kinds if is_it), Trouble.OTHER)
    # Redis's own errors begin with a word of capitals, such as CROSSSLOT.
    detail = word if word.isupper() and word.isalpha() else type(error).__name__
    return SharedCacheFailure(trouble, detail if trouble is Trouble.OTHER else "")
