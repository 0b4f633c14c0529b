"""The parent's handle of one worker: start it, talk to it, kill it, and know how it died."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from imgtool.runtime import protocol
from imgtool.runtime.protocol import FromWorker, Setup, Stop, ToWorker
from imgtool.runtime.start_process import start


@dataclass(frozen=True)
class Died:
    """Posted after a worker's last message: its end, in words, with the last lines of its stderr."""

    description: str
    stderr_tail: str


class Worker(Protocol):
    """What the pool needs of a worker, in a process of its own or not."""

    def send(self, message: ToWorker) -> None:
        """Post a message. Never raises: a worker that is gone says so with :class:`Died`."""

    def kill(self) -> None:
        """End it at once."""

    def stop(self, grace_seconds: float) -> None:
        """Ask it to leave, and kill it if it has not left in time."""


Post = Callable[["Worker", FromWorker | Died], None]

_TAIL_LINES = 20


class WorkerProcess:
    """A worker in a process of its own."""

    def __init__(self, setup: Setup, post: Post, *, echo_stderr: bool = False) -> None:
        self._post = post
        self._echo = echo_stderr
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = start()
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._outbox.put(setup)
        tasks = (self._drain_stderr, self._write_all, self._read_all)
        self._threads = [threading.Thread(target=task, name=task.__name__, daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()

    def send(self, message: ToWorker) -> None:
        """Queue a message; a thread writes it, so that a worker that does not read cannot block the parent."""
        self._outbox.put(message)

    def kill(self) -> None:
        """SIGKILL, and with it everything it may have started in its session."""
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        self._process.wait()

    def stop(self, grace_seconds: float) -> None:
        """Ask it to leave; kill it after ``grace_seconds``."""
        self._outbox.put(Stop())
        try:
            self._process.wait(timeout=grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._threads[-1].join(timeout=grace_seconds)

    def _write_all(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        # A broken pipe is no news here: it is gone, and the reading thread reports its end.
        with suppress(OSError):
            while (message := self._outbox.get()) is not None:
                protocol.write(stdin, message)  # type: ignore[arg-type]
                if isinstance(message, Stop):
                    break
        with suppress(OSError):
            stdin.close()

    def _read_all(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            while (message := protocol.read_from_worker(stdout)) is not None:  # type: ignore[arg-type]
                self._post(self, message)
        except Exception as error:  # noqa: BLE001 - garbage on the channel: whatever it was, this worker is lost
            self._tail.append(f"unreadable message from the worker: {error}")
            self.kill()
        self._process.wait()
        self._threads[0].join(timeout=2)
        self._outbox.put(None)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._post(self, Died(describe_exit(self._process.returncode), "\n".join(self._tail)))

    def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._tail.append(text)
            if self._echo:
                print(text, file=sys.stderr)  # noqa: T201 - the worker's own words, shown as they come


def describe_exit(code: int) -> str:
    """How a process ended, in words: ``was killed by SIGSEGV (segmentation fault)``, ``exited with code 3``."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was killed by signal {-code}"
    meaning = signal.strsignal(-code)
    return f"was killed by {name}" + (f" ({meaning.lower()})" if meaning else "")
