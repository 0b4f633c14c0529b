"""What a worker does with a batch: decode once, run the tasks in waves, report each answer as it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from imgtool import trace
from imgtool.analyzers.interface import THUMBNAIL, Analyzer
from imgtool.errors import ImgtoolError
from imgtool.inference.picture import Picture
from imgtool.options import LoadPolicy
from imgtool.runtime.protocol import (
    DECODE,
    Answered,
    Batch,
    BatchDone,
    Began,
    Decoded,
    Ended,
    Failed,
    Finished,
    FromWorker,
    Item,
    Setup,
)
from imgtool.runtime.worker.decode_ahead import Arrival, DecodeAhead, Refused
from imgtool.runtime.worker.models import Models
from imgtool.types import VALUE_TYPES, Problem, Task

if TYPE_CHECKING:
    from imgtool.runtime.worker.decode import Decoded as Pixels

Send = Callable[[FromWorker], None]


@dataclass
class Job:
    """A decoded item on its way through the tasks."""

    arrival: Arrival
    pixels: Pixels
    began: float
    answers: dict[Task, Any] = field(default_factory=dict)

    @property
    def item(self) -> Item:
        """The item that was asked for."""
        return self.arrival.item

    def picture(self) -> Picture:
        """What an analyzer sees of it."""
        decoded = self.pixels
        return Picture(decoded.pixels, decoded.width, decoded.height, decoded.format, self.answers)


class Work:
    """The worker's side of the protocol, without the process around it (``--no-isolate`` runs it in a thread)."""

    def __init__(self, setup: Setup, send: Send) -> None:
        from imgtool.runtime.worker.decode import Decoder

        self._send = send
        self._setup = setup
        self._models = Models(setup.plans, setup.threads, send)
        self._decoder = Decoder(max_pixels=setup.max_pixels)
        self._ahead = DecodeAhead(self._decode, budget=2 * setup.batch_pixels)
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(setup.plans)), thread_name_prefix="task")
        self._first = True

    def expect(self, batch: Batch) -> None:
        """Begin decoding a batch that ``run`` will be called with later. May be called from another thread."""
        self._ahead.add(batch.items)

    def run(self, batch: Batch) -> None:
        """Answer every item of a batch that was announced with ``expect``."""
        left = len(batch.items)
        while left:
            group = self._take_group(left, batch)
            left -= len(group)
            self._run_group(group, side_by_side=not batch.isolated)
        rss = int(psutil.Process().memory_info().rss)
        self._send(BatchDone(batch=batch.id, rss_bytes=rss))

    def prepare(self) -> None:
        """Load what ``Setup.load`` wants loaded before the first image."""
        if self._setup.load is not LoadPolicy.LAZY:
            self._models.load_all(self._threads if self._setup.load is LoadPolicy.PARALLEL else None)
        elif self._setup.awaited:
            # Its first use is certain. Not so with torch: who asked for lazy loading asked for not importing it.
            self._models.load(self._models.without_torch(), self._threads)

    def warm_up(self) -> None:
        """Load every model and run each once on a made-up image."""
        self._models.load_all(self._threads, warm_up=True)

    def unload_idle(self) -> float | None:
        """Free the models that have been without work for ``Setup.idle_ttl``; seconds until it is time to look again,
        or ``None``. Call it between batches."""
        ttl = self._setup.idle_ttl
        return None if ttl is None else self._models.unload_idle(ttl)

    def close(self) -> None:
        """Stop decoding and free the models."""
        self._ahead.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._models.close()
        self._decoder.close()

    def _decode(self, item: Item) -> Pixels | Refused:
        from imgtool.runtime.worker.decode import DecodeError

        self._send(Began(step=DECODE, items=(item.id,)))
        try:
            with trace.span("decode", "decode"):
                return self._decoder.decode(item.path, item.page, (item.size, item.mtime_ns))
        except DecodeError as error:
            return Refused(error.problem, error.pages)
        finally:
            self._send(Ended(step=DECODE, items=(item.id,)))

    def _take_group(self, left: int, batch: Batch) -> list[Arrival]:
        """As many images as are worth running together: one, unless an analyzer gains from more."""
        group = [self._ahead.take()]
        pixels = group[0].pixels
        # The first image goes alone: its answer is the one somebody waits for.
        together = not self._first and self._models.any_batched(batch.items[0].tasks)
        self._first = False
        while together and len(group) < left and pixels < self._setup.batch_pixels:
            group.append(self._ahead.take())
            pixels += group[-1].pixels
        return group

    def _run_group(self, group: list[Arrival], *, side_by_side: bool) -> None:
        began = time.perf_counter()
        jobs = [job for arrival in group if (job := self._accept(arrival, began)) is not None]
        tasks = {task for job in jobs for task in job.item.tasks}
        self._models.load(tasks, self._threads if side_by_side else None)
        loaded = time.perf_counter()
        for wave in self._models.waves(tasks):
            self._run_wave(wave, jobs, side_by_side)
        done = time.perf_counter()
        seconds, answering = (done - began) / len(group), (done - loaded) / len(group)
        for arrival in group:
            self._send(Finished(item=arrival.item.id, seconds=arrival.seconds + seconds, answering_seconds=answering))
        jobs.clear()
        for arrival in group:
            self._ahead.release(arrival)

    def _accept(self, arrival: Arrival, began: float) -> Job | None:
        item, outcome = arrival.item, arrival.outcome
        if isinstance(outcome, Refused):
            self._send(Failed(item=item.id, task=None, problem=outcome.problem, pages=outcome.pages))
            return None
        self._send(
            Decoded(
                item=item.id,
                format=outcome.format,
                width=outcome.width,
                height=outcome.height,
                pages=outcome.pages,
                file_size=outcome.file_size,
                seconds=arrival.seconds,
            )
        )
        known = {Task(task): msgspec.json.decode(raw, type=VALUE_TYPES[Task(task)]) for task, raw in item.known.items()}
        return Job(arrival, outcome, began, known)

    def _run_wave(self, wave: list[str], jobs: list[Job], side_by_side: bool) -> None:
        if side_by_side and len(wave) > 1:
            list(self._threads.map(lambda task: self._run_task(task, jobs), wave))
        else:
            for task in wave:
                self._run_task(task, jobs)

    def _run_task(self, task: str, jobs: Sequence[Job]) -> None:
        wanted = [job for job in jobs if task in job.item.tasks]
        model = self._models[task]
        analyzer = model.get()
        if isinstance(analyzer, Problem):
            for job in wanted:
                self._send(Failed(item=job.item.id, task=task, problem=analyzer))
        elif analyzer.spec.batched:
            self._run_on(task, analyzer, wanted)
        else:
            for job in wanted:
                self._run_on(task, analyzer, [job])
        model.used()

    def _run_on(self, task: str, analyzer: Analyzer, jobs: list[Job]) -> None:
        ids = tuple(job.item.id for job in jobs)
        self._send(Began(step=task, items=ids))
        began = time.perf_counter()
        with trace.span(task, "task", engine=analyzer.spec.name, images=len(jobs)):
            answers = _run_guarded(analyzer, [job.picture() for job in jobs])
        seconds = (time.perf_counter() - began) / max(1, len(jobs))
        for job, answer in zip(jobs, answers, strict=True):
            self._report(task, job, answer, seconds)
        self._send(Ended(step=task, items=ids))

    def _report(self, task: str, job: Job, answer: Any, seconds: float) -> None:
        if isinstance(answer, Problem):
            self._send(Failed(item=job.item.id, task=task, problem=answer))
            return
        if task != THUMBNAIL:
            job.answers[Task(task)] = answer
        value = msgspec.Raw(msgspec.json.encode(answer))
        engine = self._models[task].analyzer.label
        self._send(Answered(item=job.item.id, task=task, analyzer=engine, value=value, seconds=seconds))


def _run_guarded(analyzer: Analyzer, pictures: list[Picture]) -> list[Any]:
    """Run an analyzer; an exception that fails a group is narrowed down to the pictures that cause it."""
    try:
        answers = analyzer.run(pictures)
        if len(answers) != len(pictures):
            raise RuntimeError(f"gave {len(answers)} answers for {len(pictures)} images")
        return answers
    except Exception as error:  # noqa: BLE001 - one image must not take the others, whatever a library raises
        if len(pictures) > 1:
            return [answer for picture in pictures for answer in _run_guarded(analyzer, [picture])]
        return [run_problem(analyzer.spec.name, error)]


def run_problem(analyzer: str, error: Exception) -> Problem:
    """A failed run as a value."""
    if isinstance(error, MemoryError):
        return Problem(
            "out_of_memory", f"{analyzer} ran out of memory on this image", "lower --max-pixels or free memory"
        )
    if isinstance(error, ImgtoolError):
        return Problem("model_failed", f"{analyzer}: {error}", error.remedy)
    return Problem(
        "model_failed", f"{analyzer} failed on this image: {type(error).__name__}: {error}", "run again with --verbose"
    )


class LockedSend:
    """Serialises messages of several threads onto one channel."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()

    def __call__(self, message: FromWorker) -> None:
        """Send one message; blocks while another thread sends."""
        with self._lock:
            self._send(message)
