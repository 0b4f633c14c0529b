"""Starting the process that compiles, listening to it, and making sure that it ends."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import msgspec

from imgtool.compiling.child import Finished, Order, Phase, Refused, Report
from imgtool.errors import ExitCode, ImgtoolError, ModelLoadFailed, StoreNotWritable
from imgtool.fresh import python_calling
from imgtool.weights.errors import LibraryMissing

_TAIL_BYTES = 2000
_MEMORY = "check the memory that is free, or leave compiling out with --no-compile"
_TIME = "allow more with --load-timeout, or leave compiling out with --no-compile"


def run_job(order: Order, tell: Callable[[str], None], timeout: float) -> Finished:
    """Carry ``order`` out in a process of its own, which ends before this returns. ``tell`` gets what it begins.

    Raises:
        ModelLoadFailed: the process died, a step took more than ``timeout`` seconds, or a library failed in it.
        ImgtoolError: what went wrong, with the remedy.
    """
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(
            python_calling("imgtool.compiling.child:main"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
        )
        watch = _Watch(process, timeout)
        try:
            return _outcome(process, order, tell, watch, noise)
        finally:
            watch.end()
            process.kill()
            process.wait()


class _Watch:
    """Ends a process of which a step takes more than ``seconds``: whoever reads what it says then reads the end."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self._timer: threading.Timer | None = None
        self.problem = ""

    def begin(self, step: str) -> None:
        """The former step has ended; ``step`` begins."""
        self.end()
        self._timer = threading.Timer(self._seconds, self._expire, [step])
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """The last step has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self, step: str) -> None:
        self.problem = f"compiling was ended: {step} took more than {self._seconds:.0f} s"
        self._process.kill()


def _outcome(
    process: subprocess.Popen[bytes], order: Order, tell: Callable[[str], None], watch: _Watch, noise: IO[bytes]
) -> Finished:
    assert process.stdin is not None
    assert process.stdout is not None
    # stdin stays open until the end: that it closes tells the process that we are gone.
    watch.begin("starting")
    with suppress(BrokenPipeError), process.stdin as orders, process.stdout as reports:
        with suppress(BrokenPipeError):
            orders.write(msgspec.json.encode(order) + b"\n")
            orders.flush()
        for line in reports:
            report = msgspec.json.decode(line, type=Report)
            if isinstance(report, Finished):
                return report
            if isinstance(report, Refused):
                raise _error(report)
            assert isinstance(report, Phase)
            watch.begin(report.words)
            tell(report.words)
    if watch.problem:
        raise ModelLoadFailed(watch.problem, _TIME)
    raise ModelLoadFailed(_how_it_died(process.wait(), noise), _MEMORY)


def _how_it_died(code: int, noise: IO[bytes]) -> str:
    noise.seek(max(0, noise.seek(0, 2) - _TAIL_BYTES))
    last = noise.read().decode(errors="replace").strip().rpartition("\n")[2]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"the process that compiles {how}{f': {last}' if last else ''}"


def _error(refused: Refused) -> ImgtoolError:
    error: ImgtoolError
    if refused.kind == StoreNotWritable.__name__:
        error = StoreNotWritable(refused.message, refused.remedy)
    elif refused.kind == LibraryMissing.__name__:
        error = LibraryMissing(refused.message, refused.remedy)
    elif refused.exit_code == ExitCode.INTERNAL:
        remedy = "run with --backend torch, or leave compiling out with --no-compile"
        error = ModelLoadFailed(f"compiling failed: {refused.kind}: {refused.message}", remedy)
    else:
        error = ModelLoadFailed(refused.message, refused.remedy)
    return error
