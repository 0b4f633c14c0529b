"""``--no-isolate``: the worker as a thread of this process, for debuggers and profilers.

Faster to start by one interpreter, but a crash in native code ends the run and a hang cannot be stopped.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

from imgtool.runtime.process import Died, Worker
from imgtool.runtime.protocol import Batch, FromWorker, Ready, Setup, Stop, ToWorker
from imgtool.runtime.worker.batch_runner import BatchRunner, LockedSend
from imgtool.runtime.worker.main import serve


class WorkerThread:
    """A worker in a thread of this process."""

    def __init__(self, find_setup: Callable[[], Setup], post: Callable[[Worker, FromWorker | Died], None]) -> None:
        self._find_setup = find_setup
        self._post = post
        self._dropped = False
        self._gone = threading.Event()
        self._lock = threading.Lock()
        self._runner: BatchRunner | None = None
        self._inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
        try:
            threading.Thread(target=self._run, name="worker", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._gone.set()
            post(self, Died(f"could not be started: {error}", ""))

    def send(self, message: ToWorker) -> None:
        """Post a message."""
        with self._lock:
            if self._runner is not None and isinstance(message, Batch):
                self._runner.expect(message)
            self._inbox.put(message)

    def kill(self) -> None:
        """Stop listening to it. A thread cannot be killed: what it computes goes nowhere."""
        self._dropped = True
        self._inbox.put(Stop())
        self._gone.set()

    def join(self, seconds: float) -> bool:
        """Wait until it has ended or was given up, at most so long; whether it has."""
        return self._gone.wait(seconds)

    def forget(self) -> None:
        """A forked child has no copy of a thread."""

    def _say(self, message: FromWorker | Died) -> None:
        if not self._dropped:
            self._post(self, message)

    def _run(self) -> None:
        description = "left"
        try:
            runner = BatchRunner(self._find_setup(), LockedSend(self._say))
            with self._lock:
                self._runner = runner
                waiting = [self._inbox.get() for _ in range(self._inbox.qsize())]
                for message in waiting:
                    if isinstance(message, Batch):
                        runner.expect(message)
                    self._inbox.put(message)
            self._say(Ready(pid=os.getpid()))
            serve(self._inbox, runner)
        except BaseException as error:  # noqa: BLE001 - also an exit: a thread that ends without a word is waited for
            description = f"ended with {type(error).__name__}: {error}"
        self._gone.set()
        self._say(Died(description, ""))
