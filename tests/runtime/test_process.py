"""The parent's handle of a worker, with real processes that behave and that do not."""

from __future__ import annotations

import errno
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from imgtool.runtime.process import Died, Worker, WorkerProcess, describe_exit
from imgtool.runtime.protocol import Batch, BatchDone, FromWorker, Ready, Setup, Stop
from tests.fakes.worker_process import start_doing
from tests.fakes.workers import item

SETUP = Setup(plans=(), max_pixels=1, batch_pixels=1, threads=1)
Events = queue.SimpleQueue[FromWorker | Died]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[WorkerProcess, Events]]:
    def one(what: str, *, echo: bool = False) -> tuple[WorkerProcess, Events]:
        monkeypatch.setattr("imgtool.runtime.process.start", lambda _: start_doing(what))
        events: Events = queue.SimpleQueue()

        def post(_: Worker, event: FromWorker | Died) -> None:
            events.put(event)

        return WorkerProcess(lambda: SETUP, post, echo_stderr=echo), events

    return one


Start = Callable[..., tuple[WorkerProcess, Events]]


def died(events: Events) -> Died:
    while not isinstance(event := events.get(timeout=20), Died):
        pass
    return event


def test_messages_go_both_ways_and_a_wanted_end_is_an_end(start: Start) -> None:
    worker, events = start("work")
    assert isinstance(events.get(timeout=20), Ready)
    worker.send(Batch(id=7, items=(item(1),)))
    assert events.get(timeout=20) == BatchDone(batch=7, rss_bytes=1)
    worker.send(Stop())
    assert worker.join(10)
    assert died(events).description == "exited with code 0"


def test_one_that_does_not_leave_when_asked_is_seen_and_can_be_killed(start: Start) -> None:
    worker, events = start("stay")
    events.get(timeout=20)
    worker.send(Stop())
    assert not worker.join(0.2)
    worker.kill()
    assert "SIGKILL" in died(events).description


def test_killing_waits_for_nothing_and_may_come_before_the_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, events = start("ignore")
    began = time.monotonic()
    worker.kill()
    assert time.monotonic() - began < 0.1
    assert "SIGKILL" in died(events).description


def test_one_in_a_sleep_that_no_signal_ends_keeps_nobody_waiting(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a process in uninterruptible sleep looks like from outside: signals change nothing, and wait does not return.
    worker, events = start("work")
    events.get(timeout=20)
    process = worker._process
    assert process is not None
    monkeypatch.setattr("imgtool.runtime.process._REAP_SECONDS", 0.1)
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    real_wait = process.wait
    never = threading.Event()

    def wait(timeout: float | None = None) -> int:
        if not never.wait(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return real_wait()

    monkeypatch.setattr(process, "wait", wait)
    began = time.monotonic()
    worker.kill()
    assert not worker.join(0.1)
    assert time.monotonic() - began < 1
    process.stdin.close()  # type: ignore[union-attr]
    assert died(events).description == "stopped answering and cannot be killed"
    monkeypatch.undo()
    process.kill()
    process.wait(10)


def test_what_cannot_be_started_is_a_death_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> subprocess.Popen[bytes]:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("imgtool.runtime.process.start", fail)
    events: Events = queue.SimpleQueue()
    WorkerProcess(lambda: SETUP, lambda _, event: events.put(event))
    assert "could not be started: BlockingIOError" in died(events).description

    def no_setup() -> Setup:
        raise ValueError("planted")

    WorkerProcess(no_setup, lambda _, event: events.put(event))
    assert died(events).description == "could not be started: ValueError: planted"


def test_a_thread_that_cannot_be_started_is_a_death_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    events: Events = queue.SimpleQueue()
    WorkerProcess(lambda: SETUP, lambda _, event: events.put(event))
    assert "can't start new thread" in died(events).description


def test_a_message_that_cannot_be_sent_ends_the_worker(start: Start) -> None:
    worker, events = start("work")
    events.get(timeout=20)
    worker.send(object())  # type: ignore[arg-type]
    end = died(events)
    assert "SIGKILL" in end.description
    assert "cannot be sent" in end.stderr_tail


def test_one_that_closes_its_channel_and_stays_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.runtime.process._REAP_SECONDS", 0.2)
    _, events = start("deaf")
    assert "SIGKILL" in died(events).description


def test_a_crash_is_told_in_words(start: Start) -> None:
    _, events = start("die")
    assert died(events).description == "was killed by SIGSEGV (segmentation fault)"


def test_killing_takes_what_the_worker_had_started(start: Start) -> None:
    worker, events = start("child")
    events.get(timeout=20)
    deadline = time.monotonic() + 20
    while not worker._tail and time.monotonic() < deadline:
        time.sleep(0.01)
    child = int(worker._tail[0])
    worker.kill()
    assert "SIGKILL" in died(events).description
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("what", ["garbage", "huge"])
def test_garbage_on_the_channel_ends_the_worker(start: Start, what: str) -> None:
    worker, events = start(what)
    if what == "huge":
        # It is believed until the rest does not come.
        assert not worker.join(0.3)
        worker.kill()
        assert "SIGKILL" in died(events).description
        return
    end = died(events)
    assert "SIGKILL" in end.description
    assert "unreadable message" in end.stderr_tail


def test_the_last_lines_of_stderr_come_with_the_end(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    worker, events = start("talk", echo=True)
    worker.send(Stop())
    tail = died(events).stderr_tail.splitlines()
    assert len(tail) == 20
    assert tail[-2:] == ["line 29", "no � UTF-8"]
    assert "line 0\n" in capsys.readouterr().err


def test_a_worker_that_reads_nothing_does_not_block_who_sends(start: Start) -> None:
    worker, events = start("ignore")
    long = Batch(id=1, items=tuple(item(number) for number in range(5_000)))
    began = time.monotonic()
    for _ in range(20):
        worker.send(long)
    assert time.monotonic() - began < 1
    worker.kill()
    assert "SIGKILL" in died(events).description


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-signal.SIGKILL, "was killed by SIGKILL (killed)"),
        (-signal.SIGSEGV, "was killed by SIGSEGV (segmentation fault)"),
        (-99, "was killed by signal 99"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_the_pipes_are_closed_when_it_is_over(start: Start) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    worker, events = start("work")
    worker.send(Stop())
    died(events)
    deadline = time.monotonic() + 10
    while len(list(Path("/proc/self/fd").iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
