"""Callbacks of a running fetch. The default ones do nothing; the command line overrides them."""

from __future__ import annotations

from pathlib import Path


class FetchObserver:
    """Called in the thread that runs the fetch. Every method may be overridden; none may raise."""

    def progress(self, model: str, file: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of ``file`` are transferred; ``total`` is 0 if the server does not state it."""

    def verifying(self, model: str, file: str) -> None:
        """The hash of ``file`` is being computed."""

    def retrying(self, model: str, attempt: int, reason: str, wait_seconds: float) -> None:
        """Attempt number ``attempt`` failed for ``reason``; the next one comes after ``wait_seconds``."""

    def set_aside(self, model: str, path: Path, reason: str) -> None:
        """A damaged file was renamed to ``path`` and is fetched again."""

    def waiting(self, model: str) -> None:
        """Another process is fetching or compiling this model; this one waits for it."""

    def compiling(self, model: str, phase: str) -> None:
        """Compiling this model has reached ``phase``, in words."""


SILENT = FetchObserver()
