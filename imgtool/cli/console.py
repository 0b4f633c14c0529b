"""What a person is told: messages on stderr, never on stdout, coloured only where somebody looks."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO

from imgtool.formats.clean import printable


def wants_color(stream: IO[str] | None) -> bool:
    """Whether to colour what goes to ``stream`` (https://no-color.org; ``FORCE_COLOR`` overrides a pipe)."""
    if stream is None:
        return False
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def terminal_width(stream: IO[str]) -> int:
    """Columns of the terminal behind ``stream``; ``COLUMNS`` or 80 where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        columns = os.environ.get("COLUMNS", "")
        return int(columns) if columns.isdecimal() and int(columns) > 0 else 80


def say(text: str) -> None:
    """Write to stderr. A person who cannot be told (stderr closed, its disk full) must not cost a result."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


class Messages:
    """Lines for a person. ``quiet`` leaves only errors."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._color = wants_color(sys.stderr)

    def error(self, text: str, remedy: str = "") -> None:
        """What went wrong, and what to do about it."""
        self._line("error", "1;31", text)
        if remedy:
            self._line("  try", "1", remedy)

    def notice(self, text: str) -> None:
        """Something worth knowing once."""
        if not self._quiet:
            self._line("note", "33", text)

    def plain(self, text: str = "") -> None:
        """A line without a mark."""
        if not self._quiet:
            say(text + "\n")

    def dim(self, text: str) -> str:
        """Less conspicuous, where colour is shown."""
        return f"\x1b[2m{text}\x1b[0m" if self._color else text

    def bold(self, text: str) -> str:
        """More conspicuous, where colour is shown."""
        return f"\x1b[1m{text}\x1b[0m" if self._color else text

    def _line(self, mark: str, style: str, text: str) -> None:
        head = f"\x1b[{style}m{mark}:\x1b[0m" if self._color else f"{mark}:"
        # File names and other programs' words come in here: a terminal must not obey them.
        shown = "\n".join(printable(line) for line in text.split("\n"))
        say(f"{head} {shown}\n")
