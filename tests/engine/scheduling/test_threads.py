"""Threads for calls to the system that may not come back."""

from __future__ import annotations

import threading
import time

from imgtool.engine.scheduling.threads import DaemonThreads, Job


def until(condition: threading.Event) -> None:
    assert condition.wait(10)


def plain(done: threading.Event, given_up: list[float], block: threading.Event | None = None) -> Job:
    def work(job: Job) -> None:
        if block is not None:
            block.wait(20)
        if job.settle():
            done.set()

    return Job(work, given_up.append)


def test_jobs_are_done_in_order_by_few_threads() -> None:
    threads = DaemonThreads("test", 2, patience=10)
    order: list[int] = []
    everything = threading.Event()

    def work(job: Job, number: int) -> None:
        order.append(number)
        job.settle()
        if len(order) == 50:
            everything.set()

    for number in range(50):
        threads.add(Job(lambda job, number=number: work(job, number), lambda _: None))
    until(everything)
    assert sorted(order) == list(range(50))
    assert sum(thread.name == "test" for thread in threading.enumerate()) <= 2
    threads.close()


def test_one_that_stands_still_is_given_up_once_and_the_others_go_on() -> None:
    threads = DaemonThreads("test", 1, patience=0.1)
    block, late, done = threading.Event(), threading.Event(), threading.Event()
    given_up: list[float] = []
    threads.add(plain(late, given_up, block))
    threads.add(plain(done, given_up))
    deadline = time.monotonic() + 10
    while not given_up and time.monotonic() < deadline:
        seconds = threads.seconds_to_deadline()
        assert seconds is None or seconds <= 0.1
        time.sleep(0.01)
        threads.tick()
    assert given_up == [0.1]
    until(done)
    block.set()
    time.sleep(0.1)
    assert not late.is_set(), "what was given up is not answered after all"
    threads.close()


def test_one_that_says_that_it_goes_on_is_not_given_up() -> None:
    threads = DaemonThreads("test", 1, patience=0.2)
    done = threading.Event()
    given_up: list[float] = []

    def work(job: Job) -> None:
        for _ in range(10):
            time.sleep(0.05)
            threads.alive(job)
        if job.settle():
            done.set()

    threads.add(Job(work, given_up.append))
    while not done.wait(0.02):
        threads.tick()
    assert given_up == []
    threads.close()


def test_nothing_begins_after_close_and_closing_waits_for_nothing() -> None:
    threads = DaemonThreads("test", 1, patience=10)
    block, done = threading.Event(), threading.Event()
    threads.add(plain(threading.Event(), [], block))
    began = time.monotonic()
    threads.close()
    assert time.monotonic() - began < 1
    threads.add(plain(done, []))
    assert not done.wait(0.1)
    block.set()
