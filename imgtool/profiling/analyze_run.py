"""The program that is profiled: a real ``imgtool analyze`` in a process of its own, started anew for each view."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from imgtool import trace
from imgtool.errors import ExitCode
from imgtool.ground.fresh import imgtool_command

_GRACE_SECONDS = 15.0
_TAIL_BYTES = 4000

Watch = Callable[[subprocess.Popen[bytes]], AbstractContextManager[object]]
"""Observes a process until its context is left."""


@dataclass(frozen=True)
class RunOutcome:
    """How a run went. ``code`` is the exit code of the process started, which may be a tool around the program."""

    code: int
    began_ns: int
    ended_ns: int
    stderr_tail: str
    interrupted: bool

    @property
    def seconds(self) -> float:
        """From just before the start until the end was seen."""
        return (self.ended_ns - self.began_ns) / 1e9

    @property
    def completed(self) -> bool:
        """Whether ``analyze`` came to its own end, with or without failed images."""
        return self.code in (ExitCode.OK, ExitCode.SOME_FAILED, ExitCode.MODEL_MISSING)

    @property
    def last_words(self) -> str:
        """The last two lines of stderr that are not blank."""
        lines = [line.strip() for line in self.stderr_tail.splitlines()]
        return "; ".join([line for line in lines if line and not line.startswith("import ")][-2:])


def analyze_command(arguments: Sequence[str], *, under: Sequence[str] = ()) -> list[str]:
    """The command of an ``analyze`` run; ``under`` are options of the interpreter such as ``-X importtime``."""
    interpreter, *rest = imgtool_command(["analyze", *arguments])
    return [interpreter, *under, *rest]


def run(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    watch: Watch | None = None,
    out: Path = Path(os.devnull),
) -> RunOutcome:
    """Run ``command`` to its end, its stderr in ``log``, its stdout in ``out``. Ctrl-C ends the command, not this.

    Raises:
        OSError: it cannot be started.
    """
    with log.open("wb") as stderr, out.open("wb") as stdout:
        began = time.monotonic_ns()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            # Ctrl-C goes to the whole foreground group; here it is passed on, so that each end can be waited for.
            start_new_session=True,
            env={**os.environ, **(environment or {}), trace.SPAWNED_VARIABLE: str(began)},
        )
        with watch(process) if watch else nullcontext():
            interrupted = _wait(process)
            ended = time.monotonic_ns()
    tail = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    return RunOutcome(process.returncode, began, ended, tail, interrupted)


def _wait(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the end; returns whether Ctrl-C asked for it."""
    try:
        process.wait()
        return False
    except KeyboardInterrupt:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return True
