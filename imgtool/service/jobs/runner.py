"""Runs jobs beside everything else: their images are computed when nobody waits for an answer."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from imgtool.engine.cache.records import DOCUMENTS
from imgtool.errors import EngineClosed, ImgtoolError
from imgtool.options import Pages
from imgtool.runtime.protocol import too_many_pages
from imgtool.service.events import EventStream
from imgtool.service.jobs.journal import Item, Job, JobState, Journal
from imgtool.types import ImageResult, Priority, Problem, Status, TaskResults

if TYPE_CHECKING:
    from imgtool.engine.engine import Engine
    from imgtool.service.jobs.paths import Root

_ON_A_CLUSTER = 1024
"""Images of a job that are under way at a time where a cluster computes."""

_CHUNK = 256
_TELL_SECONDS = 0.2


class Progress:
    """How far a job is, and how fast it goes in this process."""

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = job.total
        self.done = job.done
        self.failed = job.failed
        self._clock = clock
        self._recent: deque[float] = deque(maxlen=50)

    def note(self, *, failed: bool) -> None:
        """One more image is done."""
        self.done += 1
        self.failed += failed
        self._recent.append(self._clock())

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the pace of the last images; ``None`` where that is not known yet."""
        if len(self._recent) < 2:
            return None
        pace = (self._recent[-1] - self._recent[0]) / (len(self._recent) - 1)
        return round(pace * (self.total - self.done), 1)


class JobRunner:
    """Runs the jobs of a journal: all at the same time, image by image in turns. Used in the event loop alone."""

    def __init__(
        self, engine: Engine, journal: Journal, root: Root | None, on_result: Callable[[ImageResult], None]
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._root = root
        self._on_result = on_result
        self._running: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_ON_A_CLUSTER if engine.options.cluster else 2 * max(1, engine.options.workers))
        """What a worker has been given is not taken back: little at a time, so that who waits for an answer waits for
        no more than that."""
        self.progress: dict[str, Progress] = {}
        self.streams: dict[str, EventStream] = {}

    async def resume(self) -> int:
        """Go on with what an earlier process left; how many jobs that are."""
        jobs = await self._journal.open_jobs()
        for job in jobs:
            self.start(job)
        return len(jobs)

    def start(self, job: Job) -> None:
        """Run a job from now on."""
        self.progress[job.id] = Progress(job)
        # Rising over restarts, too.
        stream = EventStream(job.owner, first=int(time.time() * 1000), cumulative=True)
        self.streams[job.id] = stream
        stream.send("start", {"done": job.done, "total": job.total, "failed": job.failed})
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))

    async def cancel(self, job: str) -> bool:
        """End a job; whether it had not ended."""
        ended = await self._journal.end(job, JobState.CANCELLED)
        if (task := self._running.get(job)) is not None:
            task.cancel()
            await asyncio.wait({task})
        if ended:
            self._finish_stream(job, JobState.CANCELLED)
        return ended

    async def stop(self) -> None:
        """Let go of all jobs: the journal knows how far they are."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for stream in self.streams.values():
            stream.end()

    def forget(self, job: str) -> None:
        """A job has ended, and somebody has the news."""
        self.progress.pop(job, None)
        self.streams.pop(job, None)

    # -- one job

    async def _run(self, job: Job) -> None:
        try:
            await self._journal.begin(job.id)
            if not job.listed:
                await self._list(job)
            await self._answer_all(job)
        except asyncio.CancelledError:
            return  # the journal knows that; or the service stops, and the job goes on after that
        except Exception as raised:  # noqa: BLE001 - the job says why it failed
            error = raised.exceptions[0] if isinstance(raised, ExceptionGroup) else raised
            if isinstance(error, EngineClosed):
                return
            known = isinstance(error, ImgtoolError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            remedy = error.remedy if isinstance(error, ImgtoolError) else "report it"
            problem = Problem("job_failed" if known else "internal", text, remedy)
            if await self._journal.end(job.id, JobState.FAILED, problem):
                self._finish_stream(job.id, JobState.FAILED, problem)
        else:
            if await self._journal.end(job.id, JobState.DONE):
                self._finish_stream(job.id, JobState.DONE)

    async def _list(self, job: Job) -> None:
        """Find the images under the paths of a job; from the beginning, where that was interrupted."""
        assert self._root is not None
        await self._journal.forget_items(job.id)
        found = self._root.find(job.paths)
        total = 0
        while names := await asyncio.to_thread(lambda: list(islice(found, _CHUNK))):
            await self._journal.add_items(job.id, total, names)
            total += len(names)
            self.progress[job.id].total = total
        await self._journal.listed(job.id, total)

    async def _answer_all(self, job: Job) -> None:
        last = -1
        async with asyncio.TaskGroup() as group:
            while items := await self._journal.open_items(job.id, last, _CHUNK):
                for item in items:
                    await self._room.acquire()
                    group.create_task(self._answer_one(job, item))
                last = items[-1].number

    async def _answer_one(self, job: Job, item: Item) -> None:
        try:
            results = await self._results(job, item)
            kept = await self._journal.keep(job.id, item.number, results)
        finally:
            self._room.release()
        if not kept:
            return
        for result in results:
            self._on_result(result)
        progress, stream = self.progress[job.id], self.streams[job.id]
        progress.note(failed=all(result.status is Status.FAILED for result in results))
        now = time.monotonic()
        if now - stream.touched >= _TELL_SECONDS or progress.done == progress.total:
            figures = {"done": progress.done, "total": progress.total, "failed": progress.failed}
            stream.send("progress", {**figures, "eta_seconds": progress.eta_seconds})

    async def _results(self, job: Job, item: Item) -> list[ImageResult]:
        """What is said about one image: a result for each page of a document."""
        if job.paths:
            assert self._root is not None
            found = await asyncio.to_thread(self._root.resolve, item.name)
            if isinstance(found, Problem):
                return [_refused(item.name, found)]
            place = found
        else:
            place = str(self._journal.uploads(job.id) / str(item.number))
        first = await self._ask(job, place, 0)
        results = [first]
        wanted = self._engine.options.pages
        if first.pages > 1 and (wanted is Pages.ALL or (wanted is Pages.AUTO and first.format in DOCUMENTS)):
            most = self._engine.options.max_pages
            if first.pages > most:
                return [_refused(item.name, too_many_pages(first.format or "", first.pages, most))]
            for page in range(1, first.pages):
                results.append(await self._ask(job, place, page))
        return [msgspec.structs.replace(result, path=item.name) for result in results]

    async def _ask(self, job: Job, place: str, page: int) -> ImageResult:
        return await self._engine.submit(place, job.tasks, page=page, priority=Priority.LOW, caller=("job", job.id))

    def _finish_stream(self, job: str, state: JobState, problem: Problem | None = None) -> None:
        progress, stream = self.progress.get(job), self.streams.get(job)
        if progress is None or stream is None:
            return
        counts = {"done": progress.done, "total": progress.total, "failed": progress.failed}
        stream.send("complete", {"state": state, "counts": counts, "problem": problem})
        stream.end()
        asyncio.get_running_loop().call_later(60, self.forget, job)


def _refused(name: str, problem: Problem) -> ImageResult:
    """The result of a file that is not read."""
    return ImageResult(
        path=name,
        status=Status.FAILED,
        tasks=TaskResults(),
        error=problem,
        processing_time_ms=0.0,
        cache_enabled=False,
        from_cache=False,
    )
