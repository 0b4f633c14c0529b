"""The bench's handle of the launcher: one request, one fresh process, how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, convert

from imgtool.errors import ExitCode, ImgtoolError
from imgtool.trace import SPAWNED_VARIABLE

LOOK_SECONDS = 0.02
"""Time between two readings of a sample's memory: each takes a few hundred microseconds of one core."""


class LauncherGone(ImgtoolError):
    """The process that starts the samples ended."""

    exit_code = ExitCode.INTERNAL


class TreeMemory(Struct, frozen=True):
    """Peaks in bytes: sums over the processes that lived at the same moment (``anon`` is anonymous and shared memory),
    the largest process's own peak (VmHWM), and the most that one process had of mapped files. ``grew_ns`` and
    ``mapped_grew_ns`` are when the last two last grew, ``looked_ns`` is the last reading that found a process, in
    nanoseconds of the monotonic clock."""

    tree_rss: int
    anon: int
    file: int
    largest: int
    mapped: int = 0
    grew_ns: int = 0
    mapped_grew_ns: int = 0
    looked_ns: int = 0


class ProcessEnd(Struct, frozen=True, kw_only=True):
    """How one process ran. Times are nanoseconds of the monotonic clock; ``code`` is negative for a signal.

    ``largest_waited`` is the kernel's figure for the peak of the largest process, in bytes; ``floor`` is the least that
    it can be, whatever the process needs. ``left_behind`` counts processes that outlived the one that was started; they
    were killed.
    """

    failed: str = ""
    spawned_ns: int = 0
    ended_ns: int = 0
    code: int = 0
    timed_out: bool = False
    largest_waited: int = 0
    floor: int = 0
    cpu_seconds: float = 0.0
    left_behind: int = 0
    memory: TreeMemory = TreeMemory(0, 0, 0, 0)

    @property
    def seconds(self) -> float:
        """From just before the spawn to the end."""
        return (self.ended_ns - self.spawned_ns) / 1e9


class Launcher:
    """A context manager: at its end the launcher ends, and whatever it started."""

    def __init__(self, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.look_seconds = look_seconds
        script = Path(__file__).with_name("launcher.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C reaches the bench only: it closes the pipe, and the launcher kills what it started.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.own_rss = int(self._answer()["rss"])
        """Resident bytes of the launcher before it started anything."""

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        timeout: float,
    ) -> ProcessEnd:
        """Start ``command`` with ``environment`` added to the launcher's own, and wait for its end.

        Raises:
            LauncherGone: the launcher was killed.
        """
        request = {
            "command": list(command),
            "environment": dict(environment),
            "spawned_variable": SPAWNED_VARIABLE,
            "stdout": str(stdout),
            "stderr": str(stderr),
            "timeout": timeout,
            "interval": self.look_seconds,
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise _gone() from None
        return convert(self._answer(), ProcessEnd)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise _gone()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the launcher and everything it started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # a request that a dead launcher never took
                    stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _gone() -> LauncherGone:
    return LauncherGone("the process that starts the samples ended unexpectedly", "run again; check the memory left")
