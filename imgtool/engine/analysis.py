"""What ``Engine.analyze`` gives: one result after the other, for ``for`` and for ``async for``."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from imgtool.engine.files.problems import shown
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.scheduling.result_stream import ResultStream
from imgtool.engine.statistics import Statistics, Tally
from imgtool.errors import EngineClosed, TooManyFailures
from imgtool.options import EngineOptions
from imgtool.types import ImageResult

if TYPE_CHECKING:
    import asyncio

_RATE_NEEDS = 20
"""Images after which ``max_failure_rate`` may stop a run: before, one bad image is too large a share."""


class Analysis(Iterator[ImageResult], AsyncIterator[ImageResult]):
    """The results of :meth:`imgtool.Engine.analyze`, in order.

    Nothing is listed or computed before the first is asked for. Any number may run at once; each is iterated over by
    one thread, or by one task of an event loop. One that is dropped or closed is stopped.
    """

    def __init__(
        self,
        options: EngineOptions,
        stream: ResultStream,
        tally: Tally,
        to_result: Callable[[PageRequest], ImageResult],
        figures_of: Callable[[Tally], Statistics],
    ) -> None:
        """Made by the engine, whose method ``figures_of`` is: it is not closed while somebody refers to this."""
        self._options = options
        self._figures_of = figures_of
        self._stream = stream
        self._tally = tally
        self._to_result = to_result
        self._process = os.getpid()
        self._last = ""
        # Scheduler and threads know the stream alone: this end of it can be dropped.
        self._finalizer = weakref.finalize(self, _close_stream, stream, self._process)
        self._finalizer.atexit = False

    def __iter__(self) -> Analysis:
        return self

    def __next__(self) -> ImageResult:
        """The next result.

        Raises:
            imgtool.errors.TooManyFailures: ``fail_fast`` or ``max_failure_rate`` ended the run.
            imgtool.errors.WorkerUnusable: the worker process cannot be started at all.
            imgtool.errors.EngineClosed: the engine was closed meanwhile.
        """
        self._begin()
        try:
            while True:
                if (result := self._given_out(self._stream.wait())) is not None:
                    return result
        finally:
            self._stream.tell_news()

    def __aiter__(self) -> Analysis:
        return self

    async def __anext__(self) -> ImageResult:
        """The next result. Raises what :meth:`__next__` raises, and ``StopAsyncIteration`` at the end."""
        import asyncio

        loop = asyncio.get_running_loop()
        self._begin()
        try:
            while True:
                self._stream.tell_news()
                changed = loop.create_future()

                def tell(changed: asyncio.Future[None] = changed) -> None:
                    with suppress(RuntimeError):  # the loop was closed
                        loop.call_soon_threadsafe(_set, changed)

                request = self._stream.take(tell)
                if request is None:
                    self._stream.tell_waiting()
                    await changed
                elif (result := self._given_out(request)) is not None:
                    return result
        except StopIteration:
            raise StopAsyncIteration from None
        finally:
            self._stream.tell_news()

    def close(self) -> None:
        """Stop: what waits is not computed, what has begun is finished and kept."""
        self._finalizer()

    async def aclose(self) -> None:
        """The same, by the name that asynchronous iterators have for it."""
        self.close()

    @property
    def statistics(self) -> Statistics:
        """The figures of this analysis up to now."""
        return self._figures_of(self._tally)

    def _begin(self) -> None:
        if self._process != os.getpid():
            raise EngineClosed("this analysis belongs to the process that was forked", "begin another in this one")
        try:
            self._stop_if_too_bad()
        except TooManyFailures:
            self.close()
            raise
        if self._stream.begin():
            self._tally.begin()

    def _given_out(self, request: PageRequest) -> ImageResult | None:
        if request.failure is not None or request.cancelled:
            self.close()
            raise request.failure or EngineClosed("the analysis was closed", "begin another")
        if request.skipped:
            return None
        self._last = request.name
        result = self._to_result(request)
        self._tally.result(result, from_shared=request.from_shared)
        return result

    def _stop_if_too_bad(self) -> None:
        options, figures = self._options, self._tally.figures
        bad = figures.images - figures.answered
        if options.fail_fast and bad:
            raise TooManyFailures(
                f"stopped at the first failure, {shown(self._last)}", "leave --fail-fast out to go on past failures"
            )
        rate = options.max_failure_rate
        if rate is not None and figures.images >= _RATE_NEEDS and bad > rate * figures.images:
            raise TooManyFailures(
                f"stopped: {bad} of {figures.images} images failed, more than --max-failure-rate {rate:g}",
                "the failed images are listed in the output; --retry-failed runs only them",
            )


def _close_stream(stream: ResultStream, process: int) -> None:
    if process == os.getpid():
        stream.close()


def _set(changed: asyncio.Future[None]) -> None:
    if not changed.done():
        changed.set_result(None)
