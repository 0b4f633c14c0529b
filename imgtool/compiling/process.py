"""Starts the compiling process, reads its reports, and makes sure that it ends."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from imgtool.compiling.child import CompileFinished, CompileOrder, CompileRefused, CompileReport
from imgtool.errors import ExitCode, ImgtoolError, ModelLoadFailed, StoreNotWritable
from imgtool.ground.fresh import python_calling
from imgtool.weights.errors import LibraryMissing

_TAIL_BYTES = 2000


def run_compile(
    order: CompileOrder, tell: Callable[[str], None], timeout: float, program: Callable[..., None]
) -> CompileFinished:
    """Carry out ``order`` in a process that runs ``program``, and end it. ``tell`` is called with each phase.

    Raises:
        ModelLoadFailed: the process died, a step took more than ``timeout`` seconds, or a library failed in it.
        ImgtoolError: as the process reported it, with the remedy.
    """
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(python_calling(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise)
        assert process.stdin is not None
        assert process.stdout is not None
        watch = _Watch(process, timeout)
        try:
            watch.begin("starting")
            # stdin stays open until the end: the process ends when it closes, also if this one dies.
            with suppress(BrokenPipeError), process.stdin as orders, process.stdout as reports:
                with suppress(BrokenPipeError):
                    orders.write(msgspec.json.encode(order) + b"\n")
                    orders.flush()
                for line in reports:
                    report = msgspec.json.decode(line, type=CompileReport)
                    if isinstance(report, CompileFinished):
                        return report
                    if isinstance(report, CompileRefused):
                        raise _error(report)
                    watch.begin(report.words)
                    tell(report.words)
            if watch.problem:
                remedy = "allow more with --load-timeout, or leave compiling out with --no-compile"
                raise ModelLoadFailed(watch.problem, remedy)
            code = process.wait()
            noise.seek(max(0, noise.seek(0, 2) - _TAIL_BYTES))
            last = noise.read().decode(errors="replace").strip().rpartition("\n")[2]
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise ModelLoadFailed(
                f"the process that compiles {how}{f': {last}' if last else ''}",
                "check the free memory, or leave compiling out with --no-compile",
            )
        finally:
            watch.end()
            process.kill()
            process.wait()


class _Watch:
    """Kills the process if a step takes more than ``seconds``; its reports then end."""

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


def _error(refused: CompileRefused) -> ImgtoolError:
    for kind in (StoreNotWritable, LibraryMissing):
        if refused.kind == kind.__name__:
            return kind(refused.message, refused.remedy)
    if refused.exit_code == ExitCode.INTERNAL:
        remedy = "run with --backend torch, or leave compiling out with --no-compile"
        return ModelLoadFailed(f"compiling failed: {refused.kind}: {refused.message}", remedy)
    return ModelLoadFailed(refused.message, refused.remedy)
