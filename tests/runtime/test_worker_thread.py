"""``--no-isolate``: a worker in a thread of this process."""

from __future__ import annotations

import os
import queue
import threading
import time
from pathlib import Path

import pytest

from imgtool.runtime.process import Died, Worker
from imgtool.runtime.protocol import Answered, Batch, BatchDone, FromWorker, Item, Ready, Setup, Stop
from imgtool.runtime.worker.batch_runner import BatchRunner
from imgtool.runtime.worker_thread import WorkerThread
from tests import pictures
from tests.fakes.workers import plan

SETUP = Setup(plans=(plan("caption", "Slow"),), max_pixels=1_000_000, batch_pixels=1_000_000, threads=1)
Events = queue.SimpleQueue[FromWorker | Died]


@pytest.fixture
def events() -> Events:
    return queue.SimpleQueue()


@pytest.fixture
def worker(events: Events) -> WorkerThread:
    def post(_: Worker, event: FromWorker | Died) -> None:
        events.put(event)

    return WorkerThread(lambda: SETUP, post)


def batch(path: Path) -> Batch:
    state = path.stat()
    item = Item(id=1, path=bytes(path), page=0, size=state.st_size, mtime_ns=state.st_mtime_ns, tasks=("caption",))
    return Batch(id=5, items=(item,))


def until(events: Events, kind: type) -> FromWorker | Died:
    while not isinstance(event := events.get(timeout=20), kind):
        pass
    return event


def test_it_answers_and_leaves_when_asked(worker: WorkerThread, events: Events, tmp_path: Path) -> None:
    assert events.get(timeout=20) == Ready(pid=os.getpid())
    worker.send(batch(pictures.flat(tmp_path / "a.png")))
    answered = until(events, Answered)
    assert isinstance(answered, Answered)
    assert bytes(answered.value) == b'"slow"'
    assert isinstance(until(events, BatchDone), BatchDone)
    worker.send(Stop())
    assert worker.join(10)
    assert until(events, Died) == Died("left", "")


def test_one_that_is_given_up_is_not_heard_any_more(worker: WorkerThread, events: Events, tmp_path: Path) -> None:
    events.get(timeout=20)
    worker.send(batch(pictures.flat(tmp_path / "a.png")))
    worker.kill()
    assert worker.join(0)
    while not events.empty():
        events.get()
    time.sleep(0.3)
    assert events.empty()


@pytest.mark.parametrize("error", [RuntimeError("planted"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_whatever_ends_it_is_said(events: Events, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(self: BatchRunner) -> None:
        raise error

    monkeypatch.setattr(BatchRunner, "prepare", fail)
    WorkerThread(lambda: SETUP, lambda _, event: events.put(event))
    end = until(events, Died)
    assert isinstance(end, Died)
    assert type(error).__name__ in end.description


def test_a_setup_that_cannot_be_found_is_said(events: Events) -> None:
    def no_setup() -> Setup:
        raise ValueError("planted")

    WorkerThread(no_setup, lambda _, event: events.put(event))
    assert until(events, Died) == Died("ended with ValueError: planted", "")


def test_batches_that_come_before_it_is_ready_are_answered(events: Events, tmp_path: Path) -> None:
    ready = threading.Event()

    def slowly() -> Setup:
        ready.wait(10)
        return SETUP

    worker = WorkerThread(slowly, lambda _, event: events.put(event))
    worker.send(batch(pictures.flat(tmp_path / "a.png")))
    ready.set()
    assert isinstance(until(events, BatchDone), BatchDone)
