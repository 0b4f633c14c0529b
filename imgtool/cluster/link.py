"""The driver's handle of its connection process: start it, talk to it, and end it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from imgtool.cluster.messages import Close, Ended, FromConnection, ToConnection, decode_from_connection, encode
from imgtool.ground.fresh import python_calling
from imgtool.runtime.process import describe_exit
from imgtool.runtime.protocol import read_body, write_body
from imgtool.runtime.start_process import forget_pipes

CONNECT_SECONDS = 45.0
"""How long a cluster may take to let a driver in."""

_TAIL_LINES = 8
_CLOSE_SECONDS = 5.0


class Link(Protocol):
    """What a pool of nodes needs of the way to them."""

    def send(self, message: ToConnection) -> None:
        """Post a message; never waits, and never raises."""

    def close(self) -> None:
        """Have all actors ended; waits for that a moment, then ends the connection."""

    def kill(self) -> None:
        """End it at once."""

    def last_words(self) -> str:
        """The last lines that it wrote to stderr."""

    def forget(self) -> None:
        """Let go of what a forked child has inherited."""


Post = Callable[[FromConnection | Ended], None]


def run_connection() -> None:
    """What the process calls."""
    from imgtool.cluster.connection import main

    main()


class ProcessLink:
    """A connection in a process of its own, whose messages are given to ``post`` in any thread."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._outbox: queue.SimpleQueue[ToConnection | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            python_calling(run_connection),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C goes to the whole foreground group: the driver alone decides what it means.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="cluster-read", daemon=True)
        self._stderr = threading.Thread(target=self._drain, name="cluster-stderr", daemon=True)
        for thread in (self._reader, self._stderr, threading.Thread(target=self._write, daemon=True)):
            thread.start()

    def send(self, message: ToConnection) -> None:
        """Queue a message; a thread writes it."""
        self._outbox.put(message)

    def close(self) -> None:
        """Have all actors ended; waits for that a moment, then kills the process."""
        self.send(Close())
        self.send_nothing_more()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, to it and to a local cluster that it may have started."""
        self.send_nothing_more()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(timeout=2)

    def last_words(self) -> str:
        """The last lines that it wrote to stderr: what Ray says of itself."""
        return "\n".join(list(self._tail))

    def send_nothing_more(self) -> None:
        """End the thread that writes, once it has written what is queued."""
        self._outbox.put(None)

    def forget(self) -> None:
        """In a forked child: close what it has inherited."""
        forget_pipes(self._process)

    def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError):
            while (message := self._outbox.get()) is not None:
                write_body(stdin, encode(message))  # type: ignore[arg-type]
            stdin.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            while (body := read_body(stdout)) is not None:  # type: ignore[arg-type]
                self._post(decode_from_connection(body))
        except Exception as error:  # noqa: BLE001 - whatever it was, this connection is lost
            self._tail.append(f"unreadable message: {error}")
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        description = describe_exit(self._process.wait())
        self._stderr.join(timeout=2)
        stdout.close()
        self._post(Ended("\n".join([f"the connection process {description}", *self._tail])))

    def _drain(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        with suppress(OSError, ValueError):
            for line in stderr:
                self._tail.append(line.decode("utf-8", "replace").rstrip()[:300])
            stderr.close()
