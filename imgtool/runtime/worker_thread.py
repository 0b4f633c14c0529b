"""``--no-isolate``: the worker as a thread of this process, for debuggers and profilers.

Faster to start by one interpreter, but a crash in native code ends the run and a hang cannot be cut short.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress

from imgtool.runtime.process import Died, Post
from imgtool.runtime.protocol import Batch, FromWorker, Ready, Setup, Stop, ToWorker
from imgtool.runtime.worker.batch_runner import BatchRunner, LockedSend
from imgtool.runtime.worker.main import serve


class WorkerThread:
    """A worker in a thread of this process."""

    def __init__(self, setup: Setup, post: Post) -> None:
        self._post = post
        self._dropped = False
        self._inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
        self._runner = BatchRunner(setup, LockedSend(self._say))
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def send(self, message: ToWorker) -> None:
        """Post a message."""
        if isinstance(message, Batch):
            self._runner.expect(message)
        self._inbox.put(message)

    def kill(self) -> None:
        """Stop listening to it. A thread cannot be killed: what it computes goes nowhere."""
        self._dropped = True
        self._inbox.put(Stop())
        self._post(self, Died("was given up", ""))

    def stop(self, grace_seconds: float) -> None:
        """Ask it to leave and wait for it."""
        self._inbox.put(Stop())
        self._thread.join(timeout=grace_seconds)
        if not self._dropped:
            self.kill()

    def _say(self, message: FromWorker) -> None:
        if not self._dropped:
            self._post(self, message)

    def _run(self) -> None:
        self._say(Ready(pid=os.getpid()))
        with suppress(SystemExit):
            serve(self._inbox, self._runner)
