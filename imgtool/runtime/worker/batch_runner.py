"""What a worker does with a batch: decode once, run the tasks in waves, report each answer as soon as it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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
    Decoded,
    Failed,
    FromWorker,
    Item,
    ItemFinished,
    Setup,
    StepBegan,
    StepEnded,
)
from imgtool.runtime.worker.decode_ahead import Arrival, DecodeAhead, Undecodable
from imgtool.runtime.worker.models import Models
from imgtool.types import VALUE_TYPES, Problem, Task, TextLine

if TYPE_CHECKING:
    from imgtool.runtime.worker.decode import DecodedPage

Send = Callable[[FromWorker], None]


@dataclass
class DecodedItem:
    """A decoded item on its way through the tasks."""

    item: Item
    page: DecodedPage
    answers: dict[Task, Any] = field(default_factory=dict)


class BatchRunner:
    """The worker's side of the protocol, without the process around it (``--no-isolate`` runs it in a thread)."""

    def __init__(self, setup: Setup, send: Send) -> None:
        from imgtool.runtime.worker.decode import Decoder

        self._send = send
        self._setup = setup
        self._models = Models(setup.plans, setup.threads, send)
        self._decoder = Decoder(
            setup.max_pixels,
            accept_truncated=setup.accept_truncated,
            pdf_dpi=setup.pdf_dpi,
            max_pages=setup.max_pages,
            max_frames=setup.max_frames,
            max_growth=setup.max_growth,
        )
        # Where images are answered one by one, the next few are enough: each is decoded faster than answered.
        batches = 2 if self._models.any_batched(plan.task for plan in setup.plans) else 0.5
        self._ahead = DecodeAhead(self._decode, budget=int(batches * setup.batch_pixels))
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(setup.plans)), thread_name_prefix="task")
        self._first = True

    def expect(self, batch: Batch) -> None:
        """Begin decoding a batch that ``run`` will be called with later. May be called from another thread."""
        self._ahead.add(batch.items)

    def run(self, batch: Batch) -> None:
        """Answer every item of a batch that was announced with ``expect``."""
        left = len(batch.items)
        while left:
            # As many images as are worth running together: one, unless an analyzer gains from more. The very first
            # image goes alone: its answer is the one somebody waits for.
            group = [self._ahead.take()]
            together = not self._first and self._models.any_batched(batch.items[0].tasks)
            self._first = False
            while together and len(group) < left and sum(a.pixels for a in group) < self._setup.batch_pixels:
                group.append(self._ahead.take())
            left -= len(group)
            self._run_group(group, side_by_side=not batch.isolated)
        self._send(BatchDone(batch=batch.id, rss_bytes=int(psutil.Process().memory_info().rss)))

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

    def _decode(self, item: Item) -> DecodedPage | Undecodable:
        from imgtool.runtime.worker.decode import DecodeError

        self._send(StepBegan(step=DECODE, items=(item.id,)))
        try:
            with trace.span("decode", "decode"):
                if item.content is not None:
                    return self._decoder.decode_bytes(item.content, item.page)
                state = (item.size, item.mtime_ns)
                return self._decoder.decode(item.path, item.page, state, item.sha256 if item.just_changed else "")
        except DecodeError as error:
            return Undecodable(error.problem, error.pages)
        finally:
            self._send(StepEnded(step=DECODE, items=(item.id,)))

    def _run_group(self, group: list[Arrival], *, side_by_side: bool) -> None:
        began = time.perf_counter()
        decoded = [each for arrival in group if (each := self._report_decode(arrival)) is not None]
        tasks = {task for each in decoded for task in each.item.tasks}
        self._models.load(tasks, self._threads if side_by_side else None)
        loaded = time.perf_counter()
        for wave in self._models.waves(tasks):
            if side_by_side and len(wave) > 1:
                list(self._threads.map(lambda task: self._run_task(task, decoded), wave))
            else:
                for task in wave:
                    self._run_task(task, decoded)
        done = time.perf_counter()
        seconds, answering = (done - began) / len(group), (done - loaded) / len(group)
        for arrival in group:
            took = arrival.seconds + seconds
            self._send(ItemFinished(item=arrival.item.id, seconds=took, answering_seconds=answering))
        decoded.clear()
        for arrival in group:
            self._ahead.release(arrival)

    def _report_decode(self, arrival: Arrival) -> DecodedItem | None:
        item, page = arrival.item, arrival.outcome
        if isinstance(page, Undecodable):
            self._send(Failed(item=item.id, task=None, problem=page.problem, pages=page.pages))
            return None
        self._send(
            Decoded(
                item=item.id,
                format=page.format,
                width=page.width,
                height=page.height,
                pages=page.pages,
                file_size=page.file_size,
                seconds=arrival.seconds,
                shown=page.shown,
                notice=page.notice,
            )
        )
        known = {Task(task): msgspec.json.decode(raw, type=VALUE_TYPES[Task(task)]) for task, raw in item.known.items()}
        return DecodedItem(item, page, known)

    def _run_task(self, task: str, decoded: list[DecodedItem]) -> None:
        wanted = [each for each in decoded if task in each.item.tasks]
        model = self._models[task]
        analyzer = model.get()
        if isinstance(analyzer, Problem):
            for each in wanted:
                self._send(Failed(item=each.item.id, task=task, problem=analyzer))
        elif analyzer.spec.batched:
            self._run_on(task, analyzer, wanted)
        else:
            for each in wanted:
                self._run_on(task, analyzer, [each])
        model.used()

    def _run_on(self, task: str, analyzer: Analyzer, together: list[DecodedItem]) -> None:
        ids = tuple(each.item.id for each in together)
        self._send(StepBegan(step=task, items=ids))
        began = time.perf_counter()
        with trace.span(task, "task", engine=analyzer.spec.name, images=len(together)):
            pages = [(each.page, each.answers) for each in together]
            answers = _run_guarded(
                analyzer, [Picture(p.pixels, p.width, p.height, p.format, known, p.clear) for p, known in pages]
            )
            if task == Task.TEXT:
                for number, (page, known) in enumerate(pages):
                    if page.text:
                        answers[number] = page.text
                    if page.other is not None and not isinstance(answers[number], Problem):
                        other = Picture(page.other, page.width, page.height, page.format, known, page.clear)
                        (more,) = _run_guarded(analyzer, [other])
                        answers[number] = (
                            answers[number] if isinstance(more, Problem) else joined(answers[number], more)
                        )
        seconds = (time.perf_counter() - began) / max(1, len(together))
        for each, answer in zip(together, answers, strict=True):
            if isinstance(answer, Problem):
                self._send(Failed(item=each.item.id, task=task, problem=answer))
                continue
            if task != THUMBNAIL:
                each.answers[Task(task)] = answer
            value, label = msgspec.json.encode(answer), analyzer.label
            self._send(Answered(item=each.item.id, task=task, analyzer=label, value=value, seconds=seconds))
        self._send(StepEnded(step=task, items=ids))


def _run_guarded(analyzer: Analyzer, pictures: list[Picture]) -> list[Any]:
    """Run an analyzer; an exception that fails a group is narrowed down to the pictures that cause it."""
    try:
        answers = analyzer.run(pictures)
        if len(answers) != len(pictures):
            raise RuntimeError(f"gave {len(answers)} answers for {len(pictures)} images")
        kind = bytes if analyzer.spec.task == THUMBNAIL else VALUE_TYPES[Task(analyzer.spec.task)]
        # Numbers of numpy and lists where tuples are meant, but nothing else: what is sent is also what is kept.
        return [each if isinstance(each, Problem) else msgspec.convert(each, kind) for each in answers]
    except Exception as error:  # noqa: BLE001 - one image must not take the others, whatever a library raises
        if len(pictures) > 1:
            return [answer for picture in pictures for answer in _run_guarded(analyzer, [picture])]
        name = analyzer.spec.name
        if isinstance(error, MemoryError):
            return [
                Problem("out_of_memory", f"{name} ran out of memory on this image", "lower --max-pixels or free memory")
            ]
        if isinstance(error, ImgtoolError):
            return [Problem("model_failed", f"{name}: {error}", error.remedy)]
        text = f"{name} failed on this image: {type(error).__name__}: {error}"
        return [Problem("model_failed", text, "run again with --verbose")]


def joined(lines: tuple[TextLine, ...], others: tuple[TextLine, ...]) -> tuple[TextLine, ...]:
    """The lines of one picture on two grounds, those at one place once: the more certain one."""
    kept = list(lines)
    for other in others:
        same = [each for each in kept if _at_one_place(each, other)]
        if all(each.confidence < other.confidence for each in same):
            kept = [each for each in kept if each not in same] + [other]
    if kept == list(lines):
        return lines
    return tuple(sorted(kept, key=lambda line: min(y for _, y in line.box)))


def _at_one_place(one: TextLine, other: TextLine) -> bool:
    (left, right), (top, bottom) = ([min(axis), max(axis)] for axis in zip(*one.box, strict=True))
    x, y = (sum(axis) / len(other.box) for axis in zip(*other.box, strict=True))
    return left <= x <= right and top <= y <= bottom


class LockedSend:
    """Serialises messages of several threads onto one channel."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()

    def __call__(self, message: FromWorker) -> None:
        """Send one message; blocks while another thread sends."""
        with self._lock:
            self._send(message)
