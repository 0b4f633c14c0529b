"""Memory of a process and all its descendants, anonymous and file-backed separately, sampled over time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from imgtool import trace

_SAMPLES_A_LISTING = 4
"""Listing the processes costs ten times what reading two of them does, and workers are started seldom."""


class TreeSampler:
    """Samples a process tree from a thread of this process. ``times`` are nanoseconds of the monotonic clock.

    A page of a file that several processes map is counted for each of them.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._stop = threading.Event()
        self.times: list[int] = []
        self.anon: list[int] = []
        self.file: list[int] = []

    @contextmanager
    def watch(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Sample ``process`` until the context ends. Nothing is sampled where there is no ``/proc``."""
        thread = threading.Thread(target=self._sample, args=(process.pid,), name="memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _sample(self, pid: int) -> None:
        members: list[int] = []
        for number in count():
            if self._stop.is_set():
                return
            began = time.monotonic_ns()
            if number % _SAMPLES_A_LISTING == 0:
                members = list(_tree(pid))
            sizes = [trace.memory(member) for member in members]
            if anon := sum(size.get("anon", 0) for size in sizes):
                self.times.append(began)
                self.anon.append(anon)
                self.file.append(sum(size.get("file", 0) for size in sizes))
            self._stop.wait(self._interval)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        # Children are listed under the thread that started them, and workers are started by any thread.
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return
    for child in {int(word) for text in lists for word in text.split()}:
        yield from _tree(child)
