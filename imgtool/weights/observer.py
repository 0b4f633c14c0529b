"""What a fetch tells while it runs. The default says nothing; the command line overrides it."""

from __future__ import annotations

from pathlib import Path


class FetchObserver:
    """Told about a fetch, in the thread that runs it. Every method may be overridden; none may raise."""

    def progress(self, model: str, file: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of ``file`` are here; ``total`` is 0 where the server does not say."""

    def verifying(self, model: str, file: str) -> None:
        """The hash of ``file`` is being computed."""

    def retrying(self, model: str, attempt: int, reason: str, wait_seconds: float) -> None:
        """Attempt number ``attempt`` failed for ``reason``; the next one comes after ``wait_seconds``."""

    def set_aside(self, model: str, path: Path, reason: str) -> None:
        """A damaged file was renamed to ``path`` and is fetched again."""

    def waiting(self, model: str) -> None:
        """Another process is fetching or compiling this model; we wait for it."""

    def compiling(self, model: str, phase: str) -> None:
        """The compile of this model begins with ``phase``, in words."""


SILENT = FetchObserver()
