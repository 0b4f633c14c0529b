"""A request that was accepted, for whoever made it: its result, its parts as they are ready, and giving it up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.errors import Cancelled, EngineClosed
from imgtool.types import AnyTaskResult, ImageResult, Task

Part = tuple[Task, AnyTaskResult]
"""A task that is settled, and its result."""


class Ticket:
    """What :meth:`imgtool.Engine.submit` gives. All methods may be called from any thread and any event loop.

    ::

        ticket = engine.submit(upload, name="receipt.png")
        result = ticket.result(timeout=30)  # or, in a coroutine: result = await ticket
    """

    def __init__(
        self,
        engine: object,
        cancel: Callable[[PageRequest], None],
        find_part: Callable[[PageRequest, str], AnyTaskResult],
    ) -> None:
        """Made by the engine."""
        # An engine that nobody refers to is closed: not while somebody waits for it.
        self._engine: object = engine
        self._cancel = cancel
        self._find_part = find_part
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Ticket], None]] = []
        self._listeners: list[Callable[[], None]] = []
        self.settled: list[str] = []
        """The tasks that are settled, in the order in which that happened."""
        self._request: PageRequest | None = None
        self._result: ImageResult | None = None
        self._failure: BaseException | None = None
        self._done = False

    def result(self, timeout: float | None = None) -> ImageResult:
        """Wait for the result, at most ``timeout`` seconds.

        An image that cannot be answered, in time or at all, is a result with ``error``, or with an error in its tasks.

        Raises:
            TimeoutError: it is not there yet; the request goes on.
            imgtool.errors.Cancelled: it was cancelled.
            imgtool.errors.EngineClosed: the engine was closed before it was answered.
            imgtool.errors.WorkerUnusable: the worker process cannot be started at all.
        """
        self.wait(lambda: self._done, timeout)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, ImageResult]:
        """The result, in a coroutine. Where that is cancelled, so is the request."""
        if not self._done:
            try:
                yield from self.changed_in_loop(lambda: self._done).__await__()
            except BaseException:
                self.cancel()
                raise
        return self._outcome()

    def parts(self, timeout: float | None = None) -> Parts:
        """Each task as it is settled, in the order in which that happens: for ``for`` and for ``async for``.

        ``timeout`` is seconds for each part. Ends when the result is there; then raises what :meth:`result` raises.
        """
        return Parts(self, timeout)

    def cancel(self) -> bool:
        """Give the request up; whether it was not done yet. What waits is not computed, unless somebody else asks for
        it, too; what has begun is finished and kept."""
        request = self._request
        if self._done or request is None:
            return False
        self._cancel(request)
        return True

    def done(self) -> bool:
        """Whether there is a result, or something to raise."""
        return self._done

    def cancelled(self) -> bool:
        """Whether it was cancelled before it was answered."""
        return isinstance(self._failure, Cancelled)

    def add_done_callback(self, callback: Callable[[Ticket], None]) -> None:
        """Have ``callback`` called once it is done: in the scheduler's thread, so it must neither take long nor wait
        for another ticket. At once, where it is done already."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    @property
    def stored_at(self) -> float | None:
        """When the oldest of the answers was computed, in seconds since 1970; ``None`` where there is none yet."""
        return None if self._request is None else self._request.stored_at

    # -- from the scheduler

    def begin(self, request: PageRequest) -> None:
        """The request that this is the ticket of."""
        self._request = request

    def on_part(self, task: str) -> None:
        """A task is settled."""
        if task == THUMBNAIL:
            return
        with self._lock:
            self.settled.append(task)
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def on_done(self, result: ImageResult | None, failure: BaseException | None) -> None:
        """There is a result, or something to raise."""
        with self._lock:
            self._result, self._failure, self._done = result, failure, True
            callbacks, self._callbacks = self._callbacks, []
            listeners, self._listeners = self._listeners, []
            self._engine = None
        for listener in listeners:
            listener()
        raised: BaseException | None = None
        for callback in callbacks:
            try:
                callback(self)
            except BaseException as error:  # noqa: BLE001 - the others are called all the same
                raised = error
        if raised is not None:
            raise raised

    def part(self, task: Task) -> AnyTaskResult:
        """What is known of one task that is settled."""
        assert self._request is not None
        return self._find_part(self._request, task.value)

    # -- waiting

    def _outcome(self) -> ImageResult:
        if self._failure is not None:
            raise self._failure
        assert self._result is not None
        return self._result

    def _listen(self, ready: Callable[[], bool], listener: Callable[[], None]) -> bool:
        """Have ``listener`` called at the next change; not where it is ``ready`` already."""
        if self._process != os.getpid() and not self._done:
            raise EngineClosed("this ticket belongs to the process that was forked", "submit it again in this one")
        with self._lock:
            if ready():
                return False
            self._listeners.append(listener)
            return True

    def wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        """Wait until it is ``ready``, at most ``timeout`` seconds.

        Raises:
            TimeoutError: it is not.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not ready():
            gate = threading.Lock()
            gate.acquire()
            if not self._listen(ready, gate.release):
                return
            left = -1.0 if deadline is None else min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
            if not gate.acquire(timeout=left):
                raise TimeoutError(f"not answered within {timeout:g} s")

    async def changed_in_loop(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ``ready``, in a coroutine."""
        import asyncio

        loop = asyncio.get_running_loop()
        while not ready():
            changed = loop.create_future()

            def tell(changed: asyncio.Future[None] = changed) -> None:
                def set_it() -> None:
                    if not changed.done():
                        changed.set_result(None)

                with suppress(RuntimeError):  # the loop was closed
                    loop.call_soon_threadsafe(set_it)

            if not self._listen(ready, tell):
                return
            await changed


class Parts(Iterator[Part], AsyncIterator[Part]):
    """The parts of one ticket. See :meth:`Ticket.parts`."""

    def __init__(self, ticket: Ticket, timeout: float | None) -> None:
        self._ticket = ticket
        self._timeout = timeout
        self._seen = 0
        self._given: set[Task] = set()

    def __iter__(self) -> Parts:
        return self

    def __next__(self) -> Part:
        while True:
            self._ticket.wait(self._ready, self._timeout)
            if (part := self._take()) is not None:
                return part
            if self._ready() and self._ticket.done():
                raise StopIteration

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> Part:
        import asyncio

        while True:
            async with asyncio.timeout(self._timeout):
                await self._ticket.changed_in_loop(self._ready)
            if (part := self._take()) is not None:
                return part
            if self._ready() and self._ticket.done():
                raise StopAsyncIteration

    def _ready(self) -> bool:
        return self._ticket.done() or len(self._ticket.settled) > self._seen

    def _take(self) -> Part | None:
        """The next part that is there. Raises what the result would, once there are no more."""
        while len(self._ticket.settled) > self._seen:
            task = Task(self._ticket.settled[self._seen])
            self._seen += 1
            if task not in self._given:
                self._given.add(task)
                return task, self._ticket.part(task)
        if self._ticket.done():
            for task, answer in self._ticket.result().tasks.items():
                if task not in self._given:
                    self._given.add(task)
                    return task, answer
        return None
