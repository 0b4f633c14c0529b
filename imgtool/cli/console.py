"""What commands write: messages for a person on stderr, coloured only where somebody looks; data on stdout."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from imgtool.cli.log_format import is_json, log
from imgtool.formats.clean import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def wants_color(stream: IO[str] | None) -> bool:
    """Whether to colour what goes to ``stream`` (https://no-color.org; ``FORCE_COLOR`` overrides a pipe)."""
    if stream is None or stream.closed or os.environ.get("NO_COLOR"):
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
    """Write to stderr. That it is closed, or its disk full, must not cost a result."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def print_line(text: str) -> None:
    """A line of data on stdout.

    Raises:
        OSError: stdout is closed, or cannot be written.
    """
    if sys.stdout is None:  # closed by whoever started us
        raise OSError(errno.EBADF, "stdout is closed")
    sys.stdout.write(text + "\n")


def print_json(value: Any) -> None:
    """``value`` as indented JSON on stdout.

    Raises:
        OSError: stdout is closed, or cannot be written.
    """
    import msgspec

    print_line(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def data_console() -> Console:
    """A console for tables on stdout, as wide as the terminal.

    Raises:
        OSError: by its methods: stdout is closed, or cannot be written.
    """
    from rich.console import Console

    class DataConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # Rich itself would end the process, with exit code 1

    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    return DataConsole(highlight=False, markup=False)


def plain_table(*heads: str, figures: int = 0) -> Table:
    """A table without lines, whose long cells are folded. The last ``figures`` columns are set to the right."""
    from rich.table import Table

    table = Table(box=None, show_header=bool(heads), pad_edge=False, padding=(0, 2, 0, 0))
    for place, head in enumerate(heads, figures - len(heads)):
        table.add_column(head, justify="right" if place >= 0 else "left", overflow="fold")
    return table


def megabytes(size: int) -> str:
    """``1.2 GB``, ``34.5 MB``, ``12 kB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


_FAINT, _BOLD, _NORMAL = _STYLES = ("\x1b[2m", "\x1b[1m", "\x1b[0m")
_PARTS = re.compile(rf"(\n|{'|'.join(map(re.escape, _STYLES))})")


class Messages:
    """Lines for a person. ``quiet`` leaves only errors."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._color = wants_color(sys.stderr) and not is_json()

    def error(
        self,
        text: str,
        remedy: str = "",
        *,
        code: str = "failed",
        exit_code: int | None = None,
        traceback: Sequence[str] | None = None,
    ) -> None:
        """What went wrong, and what to do about it. Logs for programs have the rest, too: what kind of failure it is,
        and the exit code if it ends the command."""
        fields = {"code": code, "exit_code": exit_code, "remedy": remedy or None, "traceback": traceback}
        if log("error", "error", text, fields):
            return
        self._line("error", "1;31", text)
        if remedy:
            self._line("  try", "1", remedy)

    def notice(self, text: str) -> None:
        """Something worth knowing once."""
        if not self.quiet and not log("warning", "notice", text):
            self._line("note", "33", text)

    def plain(
        self, text: str = "", *, level: str = "info", event: str = "message", fields: Mapping[str, Any] | None = None
    ) -> None:
        """A line without a mark; the rest is for logs that programs read."""
        if not self.quiet and not log(level, event, text.strip(), fields):
            say(_safe_lines(text) + "\n")

    def faint(self, text: str) -> None:
        """A line without a mark, less conspicuous where colour is shown."""
        self.plain(f"{_FAINT}{text}{_NORMAL}" if self._color else text)

    def bold(self, text: str) -> str:
        """More conspicuous, where colour is shown."""
        return f"{_BOLD}{text}{_NORMAL}" if self._color else text

    def _line(self, mark: str, style: str, text: str) -> None:
        head = f"\x1b[{style}m{mark}:\x1b[0m" if self._color else f"{mark}:"
        say(f"{head} {_safe_lines(text)}\n")


def _safe_lines(text: str) -> str:
    """``text`` without what a terminal would obey: file names and other programs' words come in here. Line ends and the
    styles of :class:`Messages` stay."""
    return "".join(part if part in _STYLES or part == "\n" else printable(part) for part in _PARTS.split(text))
