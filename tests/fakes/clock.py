"""A clock that the test turns."""

from __future__ import annotations


class FakeClock:
    """Seconds, as ``time.monotonic`` gives them, that go on only when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
