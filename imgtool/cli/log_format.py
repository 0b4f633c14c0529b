"""``--log-format json``: everything that a command says on stderr as JSON Lines, for programs that read logs.

A line is an object with ``time`` (UTC), ``level`` (``error``, ``warning``, ``info``), ``event``, ``message`` and, by
event, more. None has an image's content or an answer.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import TextIOBase
from typing import IO, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

FLAG, VARIABLE = "--log-format", "IMGTOOL_LOG_FORMAT"
FORMATS = ("text", "json")

_TRACEBACK_LINES = 200


def asked(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """The format that a command line or the environment names, valid or not; ``text`` if neither does.

    Read before the command line is parsed: what is wrong with that is to be said in the format, too.
    """
    found = environ.get(VARIABLE) or FORMATS[0]
    for place, word in enumerate(words):
        if word == "--":
            break
        if word == FLAG and place + 1 < len(words):
            found = words[place + 1]
        elif word.startswith(f"{FLAG}="):
            found = word.partition("=")[2]
    return found


def add_option(command: TyperCommand | TyperGroup) -> None:
    """Give ``command``, and every command below it, the option. What it says has been read already: here it is only
    checked."""
    command.params.append(
        TyperOption(
            param_decls=[FLAG],
            metavar="NAME",
            help="Stderr as text (default), or json: an object a line.",
            callback=_checked,
            expose_value=False,
            is_eager=True,
            rich_help_panel="Logs" if hasattr(command, "left_out") else None,
            autocompletion=lambda ctx, words, incomplete: [each for each in FORMATS if each.startswith(incomplete)],
        )
    )
    for below in getattr(command, "commands", {}).values():
        add_option(below)


def _checked(ctx: Any, parameter: Any, value: str | None) -> str | None:
    if value is not None and value not in FORMATS:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(FORMATS)}")
    return value


class JsonStderr(TextIOBase):
    """Stands in for stderr. What others than :func:`log` write to it becomes a record a line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._rest = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self.record("info", "output", line.rstrip())
        return len(text)

    def close(self) -> None:
        if self._rest:
            self.write("\n")
        super().close()

    def record(self, level: str, event: str, message: str, fields: Mapping[str, Any] | None = None) -> None:
        """Write one object."""
        import json
        from datetime import UTC, datetime

        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        whole = {"time": time, "level": level, "event": event, "message": message, **(fields or {})}
        # Escaped: a file's name may be no valid text, and a stream of another encoding must not fail.
        line = json.dumps({name: value for name, value in whole.items() if value is not None}, default=str)
        # That stderr is closed, or its disk full, must not cost a result.
        with suppress(OSError, ValueError), self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def begin(words: Sequence[str]) -> None:
    """Write JSON Lines from now on, if ``words`` or the environment ask for them.

    Raises:
        ConfigProblem: the environment names a format that does not exist.
    """
    named = asked(words, os.environ)
    # What is started from here, such as the runs of a benchmark, is read by this command.
    variable = os.environ.pop(VARIABLE, None)
    if named == "json" and sys.stderr is not None:
        sys.stderr = JsonStderr(sys.stderr)
    elif named not in FORMATS and named == variable:
        from imgtool.errors import ConfigProblem

        raise ConfigProblem(f"{VARIABLE} is {named!r}, which is no format", f"one of {', '.join(FORMATS)}")


def is_json() -> bool:
    """Whether stderr is JSON Lines."""
    return isinstance(sys.stderr, JsonStderr)


def log(level: str, event: str, message: str, fields: Mapping[str, Any] | None = None) -> bool:
    """Write a record, if stderr is JSON Lines; returns whether it is."""
    if not isinstance(sys.stderr, JsonStderr):
        return False
    sys.stderr.record(level, event, message, fields)
    return True


def traceback_lines(error: BaseException) -> list[str]:
    """The traceback of ``error``, for a record."""
    import traceback

    return "".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:]
