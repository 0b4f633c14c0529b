"""How far an experiment is: one line on stderr, redrawn on a terminal, a line every 15 seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from imgtool.bench.data.record import RunSample
from imgtool.bench.measure.experiment import ExperimentObserver
from imgtool.bench.measure.sampler import Case
from imgtool.cli.console import Messages, say, terminal_width
from imgtool.cli.progress import duration

_PLAIN_SECONDS = 15.0


class BenchProgress(ExperimentObserver):
    """Prints each sample as it begins, and notices about the machine."""

    def __init__(self, *, quiet: bool) -> None:
        self._messages = Messages(quiet=quiet)
        self._quiet = quiet
        self._animated = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began
        self._on_screen = False

    def begins(self, case: Case, done: int, total: int) -> None:
        now = time.monotonic()
        if self._quiet or (not self._animated and now < self._next):
            return
        self._next = now + _PLAIN_SECONDS
        what = "warm-up" if case.run < 0 else f"run {case.run + 1}"
        parts = [f"{done + 1} of {total}", f"{case.arm.name} {what}"]
        if done:
            parts.append(f"about {duration((now - self._began) / done * (total - done))} left")
        text = " · ".join(parts)
        if self._animated:
            say(f"\r\x1b[2K{text[: terminal_width(sys.stderr) - 1]}")
            self._on_screen = True
        else:
            say(text + "\n")

    def ended(self, sample: RunSample) -> None:
        if sample.error is not None:
            self.notice(f"{sample.arm} {sample.error}; it is not run again")

    def notice(self, text: str) -> None:
        self._clear()
        self._messages.notice(text)

    def _clear(self) -> None:
        if self._on_screen:
            say("\r\x1b[2K")
            self._on_screen = False

    def __enter__(self) -> BenchProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()
