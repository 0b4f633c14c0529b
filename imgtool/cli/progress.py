"""The one progress line on stderr: redrawn on a terminal, printed now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from imgtool.cli.console import say, terminal_width
from imgtool.cli.log_format import log

if TYPE_CHECKING:
    from imgtool.engine.statistics import Statistics

_REDRAW_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_FIRST_ETA_SECONDS = 1.0


class ProgressLine:
    """A line that says how far the work is. ``shown`` is off under ``--quiet``.

    ``at_once``: the first line does not wait until it is time for the second.
    """

    def __init__(self, *, shown: bool, at_once: bool = False) -> None:
        self._shown = shown
        self._animated = shown and sys.stderr is not None and sys.stderr.isatty()
        self._every = _REDRAW_SECONDS if self._animated else _PLAIN_SECONDS
        self._began = time.monotonic()
        self._next = self._began + (0.0 if at_once else self._every)
        self._on_screen = False

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self._began

    def due(self) -> bool:
        """Whether it is time for another line; cheap, for asking after every image."""
        return self._shown and time.monotonic() >= self._next

    def show(self, text: str, **fields: Any) -> None:
        """Show ``text``, if it is time for another line; ``fields`` are for logs that programs read."""
        if not self.due():
            return
        self._next = time.monotonic() + self._every
        if log("info", "progress", text, fields):
            return
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


def progress_text(figures: Statistics, expected: int | None, seconds: float) -> str:
    """``412 of 1,000 images · 3.1 images/s · 120 from cache · 2 failed · 3 min left``.

    The time left supposes that what is still to come has as many hits as what was seen.
    """
    done = figures.images
    parts = [f"{done:,} of {expected:,} images" if expected and expected >= done else f"{done:,} images"]
    if seconds > 0 and done:
        parts.append(f"{done / seconds:.1f} images/s")
    if nodes := sum(node.state == "working" for node in figures.workers.nodes.values()):
        parts.append("1 node" if nodes == 1 else f"{nodes:,} nodes")
    if figures.hits:
        parts.append(f"{figures.hits:,} from cache")
    parts += [
        f"{count:,} {what}" for count, what in ((figures.partial, "partial"), (figures.failed, "failed")) if count
    ]
    if expected and done and expected > done and seconds > _FIRST_ETA_SECONDS:
        parts.append(f"{duration(seconds / done * (expected - done))} left")
    return " · ".join(parts)


def progress_fields(figures: Statistics) -> dict[str, int]:
    """The figures of :func:`progress_text`, for logs that programs read."""
    return {
        "images": figures.images,
        "hits": figures.hits,
        "partial": figures.partial,
        "failed": figures.failed,
    }


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
