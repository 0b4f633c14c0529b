"""Answers that were given a while ago, encoded as they are sent: given again, they cost no look-up and no encoding.

They are what the result store holds, and are forgotten when something is removed from it, by whatever process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from imgtool.engine.cache.removal import removals
from imgtool.types import ImageResult, TaskResults

LONGEST_BODY = 1 << 18
"""Bytes of an image that are hashed while everybody else waits: more than these are the engine's matter."""

_MOST_BYTES = 64_000_000
_OVERHEAD_BYTES = 2_000
_LOOK_SECONDS = 0.4
_TRUSTED_SECONDS = 1.0
"""What somebody else has removed is given out for at most this long, and nothing where the disk does not say."""

_TIME = b'"processing_time_ms":'


class Question(NamedTuple):
    """What is asked: the target of the request as it was sent, and the type and the SHA-256 of its body."""

    target: bytes
    media_type: bytes = b""
    sha256: str = ""


class RecentAnswer(Struct, frozen=True, eq=False, kw_only=True):
    """A result from the cache in JSON, in two parts: between them belongs the time that the request took.

    ``result`` is what it was without its values, for the figures. ``headers`` are lines with their ends. ``expires`` is
    the time, in seconds since 1970, from which on it counts as absent.
    """

    route: str
    result: ImageResult
    before: bytes
    after: bytes
    headers: bytes
    expires: float | None

    @property
    def length(self) -> int:
        """How long the JSON is, but for the time."""
        return len(self.before) + len(self.after)

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return self.length + len(self.headers) + _OVERHEAD_BYTES


class RecentAnswers:
    """The answers of one service, at most ``most_bytes`` of them: the ones that were used last. For the event loop."""

    def __init__(
        self,
        root: Path | None,
        ttl: float | None,
        *,
        most_bytes: int = _MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``root`` is the folder of the cache, ``None`` where there is none: then nothing is kept here either. Answers
        are given out until they are ``ttl`` seconds old."""
        self._root = root
        self._ttl = ttl
        self._most_bytes = most_bytes
        self._clock = clock
        self._answers: OrderedDict[Question, RecentAnswer] = OrderedDict()
        self._targets: Counter[bytes] = Counter()
        self._stamp: object = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self.size = 0
        self.generation = 0
        """Rises when something was removed. What was asked of the store before must not be kept after."""

    def __len__(self) -> int:
        return len(self._answers)

    def may_answer(self, target: bytes) -> bool:
        """Whether there is any answer to a request with this target."""
        return target in self._targets

    def find(self, question: Question) -> RecentAnswer | None:
        """The answer, where it is here and can be trusted."""
        answer = self._answers.get(question)
        if answer is None:
            return None
        age = self._clock() - self._looked_at
        if age > _LOOK_SECONDS:
            self._look()
            if age > _TRUSTED_SECONDS:
                return None
        if answer.expires is not None and answer.expires <= time.time():
            self._drop(question)
            return None
        self._answers.move_to_end(question)
        return answer

    def keep(
        self,
        question: Question,
        route: str,
        result: ImageResult,
        *,
        stored_at: float | None,
        generation: int,
        headers: bytes = b"",
    ) -> None:
        """Keep a result that came from the cache. ``stored_at`` is when the oldest of its answers was computed,
        ``generation`` what it was before the store was asked."""
        if self._root is None or not result.from_cache or stored_at is None or generation != self.generation:
            return
        before, name, after = msgspec.json.encode(result).rpartition(_TIME)
        # Behind the time there are no names that a client has given.
        time_end = after.index(b",")
        plain = {task.value: replace(answer, value=None) for task, answer in result.tasks.items()}
        self._drop(question)
        answer = self._answers[question] = RecentAnswer(
            route=route,
            result=replace(result, tasks=TaskResults(**plain)),  # type: ignore[arg-type]
            before=before + name,
            after=after[time_end:],
            headers=headers,
            expires=None if self._ttl is None else stored_at + self._ttl,
        )
        self._targets[question.target] += 1
        self.size += answer.size
        while self.size > self._most_bytes:
            self._drop(next(iter(self._answers)))
        if self._clock() - self._looked_at > _LOOK_SECONDS:
            self._look()

    def forget(self) -> None:
        """Forget all: something was removed from the cache."""
        self.generation += 1
        self._answers.clear()
        self._targets.clear()
        self.size = 0

    def _drop(self, question: Question) -> None:
        if (answer := self._answers.pop(question, None)) is not None:
            self.size -= answer.size
            self._targets[question.target] -= 1
            if not self._targets[question.target]:
                del self._targets[question.target]

    def _look(self) -> None:
        """Begin to see whether something was removed."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._find_removals())

    async def _find_removals(self) -> None:
        assert self._root is not None
        began = self._clock()
        stamp = await asyncio.to_thread(removals, self._root)
        if stamp is None or stamp != self._stamp:
            self._stamp = stamp
            self.forget()
        if stamp is not None:
            self._looked_at = began
