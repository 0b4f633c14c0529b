"""How far an experiment is: one line on stderr, redrawn on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from imgtool.bench.data.record import Sample
from imgtool.bench.measure.sample import Case
from imgtool.cli.console import Messages, say, terminal_width
from imgtool.cli.progress import duration

_PLAIN_SECONDS = 15.0


class Progress:
    """Tells a person about each sample, and about what is wrong with the machine."""

    def __init__(self, *, quiet: bool) -> None:
        self._messages = Messages(quiet=quiet)
        self._quiet = quiet
        self._animated = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began
        self._on_screen = False

    def begins(self, case: Case, done: int, total: int) -> None:
        """A sample is about to be taken."""
        now = time.monotonic()
        if self._quiet or (not self._animated and now < self._next):
            return
        self._next = now + _PLAIN_SECONDS
        what = "warm-up" if case.run < 0 else f"run {case.run + 1}"
        parts = [f"{done + 1} of {total}", f"{case.arm.name} {what}"]
        if done:
            parts.append(f"about {duration((now - self._began) / done * (total - done))} left")
        self._show(" · ".join(parts))

    def ended(self, sample: Sample) -> None:
        """It is taken, or failed."""
        if sample.error is not None:
            self.clear()
            self._messages.notice(f"{sample.arm} {sample.error}; it is left out from here on")

    def notice(self, text: str) -> None:
        """Something about the machine."""
        self.clear()
        self._messages.notice(text)

    def clear(self) -> None:
        """Take the line off the screen."""
        if self._on_screen:
            say("\r\x1b[2K")
            self._on_screen = False

    def _show(self, text: str) -> None:
        if self._animated:
            say(f"\r\x1b[2K{text[: terminal_width(sys.stderr) - 1]}")
            self._on_screen = True
        else:
            say(text + "\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
