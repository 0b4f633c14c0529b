"""What a person sees while models are fetched and compiled."""

from __future__ import annotations

from pathlib import Path

from imgtool.cli.console import Messages, megabytes
from imgtool.cli.progress import ProgressLine
from imgtool.weights.observer import FetchObserver


class FetchProgress(FetchObserver):
    """Shows what a fetch tells: where it stands as the progress line, what went wrong as a message."""

    def __init__(self, messages: Messages, line: ProgressLine) -> None:
        self._messages = messages
        self._line = line

    def progress(self, model: str, file: str, done: int, total: int) -> None:
        share = f" of {megabytes(total)} ({100 * done // total} %)" if total else ""
        self._line.show(f"{model}: fetching {file}, {megabytes(done)}{share}")

    def verifying(self, model: str, file: str) -> None:
        self._line.show(f"{model}: verifying {file}")

    def compiling(self, model: str, phase: str) -> None:
        self._line.show(f"{model}: compiling, {phase}")

    def retrying(self, model: str, attempt: int, reason: str, wait_seconds: float) -> None:
        self._notice(f"{model}: attempt {attempt} failed ({reason}); trying again in {wait_seconds:.1f} s")

    def set_aside(self, model: str, path: Path, reason: str) -> None:
        self._notice(f"{model}: a damaged file was renamed to {path} ({reason}) and is fetched again")

    def waiting(self, model: str) -> None:
        self._notice(f"{model}: waiting for another process that fetches or compiles it")

    def _notice(self, text: str) -> None:
        self._line.clear()
        self._messages.notice(text)
