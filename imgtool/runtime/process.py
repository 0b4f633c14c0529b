"""The parent's handle of one worker: start it, talk to it, kill it, and know how it died.

Nothing here keeps the caller waiting: starting, writing, reading and reaping happen in threads of the worker's own.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from msgspec import Struct

from imgtool.options import Sandbox
from imgtool.runtime import protocol
from imgtool.runtime.protocol import FromWorker, Setup, Stop, TaskPlan, ToWorker
from imgtool.runtime.start_process import Restriction, forget_pipes, start

_TAIL_LINES = 20
_LONGEST_LINE = 1 << 16
_REAP_SECONDS = 5.0
_OURS = f"{__name__.partition('.')[0]}."
_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}


class Died(Struct, frozen=True):
    """Posted after a worker's last message: its end, in words, with the last lines of its stderr.

    ``from_outside``: by a signal that people, service managers and the kernel short of memory send, and crashes do not.
    ``took_too_much``: it ended itself, because what it was decoding took more memory than it may.
    """

    description: str
    stderr_tail: str
    from_outside: bool = False
    took_too_much: bool = False


class Worker(Protocol):
    """What the pool needs of a worker, in a process of its own or not."""

    def send(self, message: ToWorker) -> None:
        """Post a message. Never raises: a worker that is gone says so with :class:`Died`."""

    def kill(self) -> None:
        """End it at once, without waiting for that."""

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; whether it has."""

    def forget(self) -> None:
        """Close what a forked child has inherited of it."""


class WorkerProcess:
    """A worker in a process of its own. ``find_setup`` is called in a thread of the worker's."""

    def __init__(
        self,
        find_setup: Callable[[], Setup],
        post: Callable[[Worker, FromWorker | Died], None],
        *,
        echo_stderr: bool = False,
        sandbox: Sandbox = Sandbox.OFF,
    ) -> None:
        self._find_setup = find_setup
        self._sandbox = sandbox
        self._post = post
        self._echo = echo_stderr
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        try:
            threading.Thread(target=self._live, name="worker-read", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._gone.set()
            post(self, Died(f"could not be started: {error}", ""))

    def send(self, message: ToWorker) -> None:
        """Queue a message; a thread writes it, so that a worker that does not read cannot block the parent."""
        self._outbox.put(message)

    def kill(self) -> None:
        """SIGKILL, and with it everything it may have started in its session."""
        with self._lock:
            self._killed = True
            process = self._process
        if process is not None:
            _kill_group(process)

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; whether it has."""
        return self._gone.wait(seconds)

    def forget(self) -> None:
        """Close what a forked child has inherited of it: the worker must see when the parent itself is gone."""
        if self._process is not None:
            forget_pipes(self._process)

    def _live(self) -> None:
        drain: threading.Thread | None = None
        process: subprocess.Popen[bytes] | None = None
        try:
            setup = self._find_setup()
            process = start(restriction_of(setup.plans, self._sandbox))
            with self._lock:
                self._process, killed = process, self._killed
            if killed:
                _kill_group(process)
            reader = threading.Thread(target=self._drain_stderr, args=(process,), name="worker-stderr", daemon=True)
            reader.start()
            drain = reader
            threading.Thread(target=self._write_all, args=(process, setup), name="worker-write", daemon=True).start()
            self._read_all(process)
            description = _reap(process)
        except Exception as error:  # noqa: BLE001 - whatever it was, this worker is lost
            description = f"could not be started: {type(error).__name__}: {error}"
            if process is not None:
                _kill_group(process)
        if drain is not None:
            drain.join(timeout=2)
        self._outbox.put(None)
        for stream in (process.stdout, process.stderr) if process is not None else ():
            # Not while the other thread reads it, as where a grandchild keeps it open.
            if stream is not None and not (drain is not None and drain.is_alive()):
                stream.close()
        self._gone.set()
        code = None if process is None else process.returncode
        tail = "\n".join(self._tail)
        self._post(self, Died(description, tail, code in _FROM_OUTSIDE, code == protocol.TOO_MUCH_MEMORY))

    def _write_all(self, process: subprocess.Popen[bytes], setup: Setup) -> None:
        stdin = process.stdin
        assert stdin is not None
        try:
            protocol.write(stdin, setup)  # type: ignore[arg-type]
            while (message := self._outbox.get()) is not None:
                protocol.write(stdin, message)  # type: ignore[arg-type]
                if isinstance(message, Stop):
                    break
        except OSError:
            pass  # it is gone, and the reading thread reports its end
        except Exception as error:  # noqa: BLE001 - it waits for what cannot be sent
            self._tail.append(f"a message to the worker cannot be sent: {error}")
            _kill_group(process)
        with suppress(OSError):
            stdin.close()

    def _read_all(self, process: subprocess.Popen[bytes]) -> None:
        stdout = process.stdout
        assert stdout is not None
        try:
            while (message := protocol.read_from_worker(stdout)) is not None:  # type: ignore[arg-type]
                self._post(self, message)
        except Exception as error:  # noqa: BLE001 - garbage on the channel: whatever it was, this worker is lost
            self._tail.append(f"unreadable message from the worker: {error}")
            _kill_group(process)

    def _drain_stderr(self, process: subprocess.Popen[bytes]) -> None:
        stderr = process.stderr
        assert stderr is not None
        # Whatever happens it must be read on: a worker whose stderr is full stands still.
        with suppress(OSError, ValueError):
            while line := stderr.readline(_LONGEST_LINE):
                text = line.decode("utf-8", "replace").rstrip()
                self._tail.append(text)
                with suppress(Exception):
                    if self._echo:
                        print(text, file=sys.stderr)  # noqa: T201 - the worker's own words, shown as they come


def restriction_of(plans: Iterable[TaskPlan], sandbox: Sandbox) -> Restriction | None:
    """What a worker for ``plans`` must do without. A user's own analyzers may do anything, where it is not ``ON``."""
    every = [each for plan in plans for each in (plan, *plan.stand_ins)]
    is_ours = all(each.target.startswith(_OURS) for each in every)
    if sandbox is Sandbox.OFF or (sandbox is Sandbox.AUTO and not is_ours):
        return None
    folders = {str(each.parameters.get("paths", {}).get("cleaned", "")) for each in every}
    return Restriction(sandbox is Sandbox.ON, tuple(sorted(folders - {""})))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()


def _reap(process: subprocess.Popen[bytes]) -> str:
    """How it ended, in words. One that has closed its channel and stays is killed, and given up if that fails."""
    for _ in range(2):
        try:
            return describe_exit(process.wait(timeout=_REAP_SECONDS))
        except subprocess.TimeoutExpired:
            _kill_group(process)
    return "stopped answering and cannot be killed"


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
