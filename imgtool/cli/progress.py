"""How far a run is: one line on stderr, redrawn on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from imgtool.cli.console import say, terminal_width
from imgtool.engine.statistics import Statistics

_REDRAW_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_FIRST_ETA_SECONDS = 1.0


class Progress:
    """Shows a run's progress. ``expected`` gives the number of images once somebody knows it."""

    def __init__(self, *, shown: bool, expected: Callable[[], int | None]) -> None:
        self._shown = shown
        self._expected = expected
        self._animated = shown and sys.stderr is not None and sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began + (_REDRAW_SECONDS if self._animated else _PLAIN_SECONDS)
        self._on_screen = False

    def due(self) -> bool:
        """Whether it is time to call ``update``; cheap, for calling after every image."""
        return self._shown and time.monotonic() >= self._next

    def update(self, figures: Statistics) -> None:
        """Draw the line."""
        now = time.monotonic()
        self._next = now + (_REDRAW_SECONDS if self._animated else _PLAIN_SECONDS)
        text = progress_line(figures, self._expected(), now - self._began)
        if self._animated:
            # A line that wraps could not be taken back.
            say(f"\r\x1b[2K{text[: terminal_width(sys.stderr) - 1]}")
            self._on_screen = True
        else:
            say(text + "\n")

    def clear(self) -> None:
        """Take the line off the screen, before something else is written there."""
        if self._on_screen:
            say("\r\x1b[2K")
            self._on_screen = False


def progress_line(figures: Statistics, expected: int | None, seconds: float) -> str:
    """``412 of 1,000 images · 3.1 images/s · 120 hits · 2 failed · 3 min left``."""
    done = figures.images
    parts = [f"{done:,} of {expected:,} images" if expected and expected >= done else f"{done:,} images"]
    if seconds > 0 and done:
        parts.append(f"{done / seconds:.1f} images/s")
    if figures.hits:
        parts.append(f"{figures.hits:,} from cache")
    if figures.failed or figures.partial:
        parts.append(f"{figures.failed + figures.partial:,} failed")
    if expected and done and expected > done and seconds > _FIRST_ETA_SECONDS:
        parts.append(f"{duration(time_left(figures, expected, seconds))} left")
    return " · ".join(parts)


def time_left(figures: Statistics, expected: int, seconds: float) -> float:
    """Seconds left if what is still to come has as many hits as what was seen: the plain mean over all images."""
    return seconds / figures.images * (expected - figures.images)


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
