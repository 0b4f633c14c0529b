"""What a person sees while models are fetched: a line redrawn on a terminal, what went wrong everywhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from imgtool.cli.cache import megabytes
from imgtool.cli.console import Messages
from imgtool.weights.observer import FetchObserver

_REDRAW_SECONDS, _PLAIN_SECONDS = 0.1, 10.0


class WarmProgress(FetchObserver):
    """Shows what a fetch tells. Off a terminal: a plain line every ten seconds."""

    def __init__(self, messages: Messages, *, shown: bool) -> None:
        self._messages = messages
        self._shown = shown
        self._animated = shown and sys.stderr.isatty()
        self._next = time.monotonic() + (0.0 if self._animated else _PLAIN_SECONDS)
        self._on_screen = False

    def progress(self, model: str, file: str, done: int, total: int) -> None:
        share = f" of {megabytes(total)} ({100 * done // total} %)" if total else ""
        self.line(f"{model}: fetching {file}, {megabytes(done)}{share}")

    def verifying(self, model: str, file: str) -> None:
        self.line(f"{model}: verifying {file}")

    def retrying(self, model: str, attempt: int, reason: str, wait_seconds: float) -> None:
        self._notice(f"{model}: attempt {attempt} failed ({reason}); trying again in {wait_seconds:.1f} s")

    def set_aside(self, model: str, path: Path, reason: str) -> None:
        self._notice(f"{model}: a damaged file was set aside as {path} ({reason}) and is fetched again")

    def waiting(self, model: str) -> None:
        self._notice(f"{model}: another process is at work on it; waiting for it")

    def compiling(self, model: str, phase: str) -> None:
        self.line(f"{model}: compiling, {phase}")

    def line(self, text: str) -> None:
        """Say where the work stands, if it is time to."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + (_REDRAW_SECONDS if self._animated else _PLAIN_SECONDS)
        sys.stderr.write(f"\r\x1b[2K{text}" if self._animated else text + "\n")
        sys.stderr.flush()
        self._on_screen = self._animated

    def clear(self) -> None:
        """Take the line off the screen."""
        if self._on_screen:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._on_screen = False

    def _notice(self, text: str) -> None:
        self.clear()
        self._messages.notice(text)
