"""Threads for calls to the system that may take long, or not come back at all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class Job:
    """Something to do in one of the threads. What comes of it is told once: by ``settle``, or by being given up."""

    def __init__(self, work: Callable[[Job], None], given_up: Callable[[float], None]) -> None:
        self.alive_at: float | None = None
        self._work = work
        self._given_up = given_up
        self._settled = False
        self._lock = threading.Lock()

    def settle(self) -> bool:
        """Whether nobody has settled it yet. Who gets a yes tells what came of it."""
        with self._lock:
            first, self._settled = not self._settled, True
        return first

    def run(self) -> None:
        """Do it. ``work`` must settle it, whatever happens."""
        self._work(self)

    def give_up(self, seconds: float) -> None:
        """Say that nothing has come of it for so many seconds."""
        if self.settle():
            self._given_up(seconds)


class DaemonThreads:
    """A few threads that run jobs in order. One that stands still for longer than ``patience`` seconds is given up and
    replaced; none keeps the interpreter from ending."""

    def __init__(self, name: str, count: int, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._count = count
        self._patience = patience
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: dict[threading.Thread, Job | None] = {}
        self._closed = False

    def add(self, job: Job) -> None:
        """Have a job done; it begins at once, or after those that were added before it."""
        with self._changed:
            if self._closed:
                return
            self._waiting.append(job)
            idle = sum(job is None for job in self._running.values())
            if idle < len(self._waiting) and len(self._running) < self._count:
                self._start()
            self._changed.notify()
            if self._running:
                return
            self._waiting.remove(job)
        job.run()  # there are no more threads to be had: better here than not at all

    def alive(self, job: Job) -> None:
        """Say that a job goes on."""
        job.alive_at = self._clock()

    def tick(self) -> None:
        """Give up what stands still."""
        now = self._clock()
        with self._changed:
            stuck = {t: j for t, j in self._running.items() if j is not None and self._is_late(j, now)}
            for thread in stuck:
                del self._running[thread]
            if self._waiting and stuck and not self._closed:
                self._start()
        for job in stuck.values():
            job.give_up(self._patience)

    def seconds_to_deadline(self) -> float | None:
        """How long until ``tick`` has something to give up; ``None`` where nothing is running."""
        with self._changed:
            begun = [job.alive_at for job in self._running.values() if job is not None and job.alive_at is not None]
        return max(0.0, min(begun) + self._patience - self._clock()) if begun else None

    def close(self) -> None:
        """Begin nothing more. Returns at once: a call to the system cannot be interrupted."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._running[thread] = None
        try:
            thread.start()
        except RuntimeError:  # no more threads
            del self._running[thread]

    def _is_late(self, job: Job, now: float) -> bool:
        return job.alive_at is not None and now - job.alive_at >= self._patience

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                if me not in self._running:
                    return  # given up, and replaced
                self._running[me] = None
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    self._running.pop(me, None)
                    return
                job = self._waiting.popleft()
                job.alive_at = self._clock()
                self._running[me] = job
            job.run()
