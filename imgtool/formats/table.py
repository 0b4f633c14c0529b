"""Results for a person at a terminal: a small block of aligned lines an image, printed as it comes.

Blocks, because a caption and recognised text side by side in 80 cells are cut to a few words each, and because a
table with columns must know all its rows before it can print the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from rich.cells import cell_len

from imgtool.formats.cells import shorten_path, wrap
from imgtool.formats.clean import printable, printable_prose
from imgtool.types import (
    AnyTaskResult,
    CaptionResult,
    CodesResult,
    ImageResult,
    Problem,
    Status,
    TextResult,
    sure_lines,
)

MIN_WIDTH = 24
"""Cells; a narrower terminal gets lines of this width."""

_READABLE = 110  # cells: longer lines of prose are hard to follow, however wide the terminal
_MAX_LINES = 3
_MAX_PROBLEM_LINES = 8
_NAME = 8
_INDENT = 2 + _NAME + 1
_MIN_PATH = 12
_LEAST_SHOWN = 0.005  # a label below it would read 0.00

_RESET = "\x1b[0m"
_BOLD, _FAINT, _RED, _GREEN, _YELLOW = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"
_MARKS = {Status.OK: ("✓", _GREEN), Status.PARTIAL: ("!", _YELLOW), Status.FAILED: ("✗", _RED)}


class _Row(NamedTuple):
    """A named line of a block before it is fitted; ``style`` is an SGR sequence or empty."""

    name: str
    text: str
    style: str = ""
    lines: int = _MAX_LINES


class TableWriter:
    """A block an image: status mark, path, size and format; then caption, text, labels and codes, or what went wrong.

    No line is wider than ``width`` cells (at least :data:`MIN_WIDTH`). A long path is shortened in the middle, a long
    caption or text after three lines. Characters that a terminal would obey are shown as replacements. ``color``
    switches ANSI styles on.
    """

    def __init__(self, out: IO[str], *, width: int = 80, color: bool = False) -> None:
        self._out = out
        self._width = max(width, MIN_WIDTH)
        self._color = color
        self._before = ""

    def write(self, result: ImageResult) -> None:
        lines = [self._head(result)]
        for row in _rows(result, self._width):
            lines.extend(self._fitted(row))
        self._out.write(self._before + "\n".join(lines) + "\n")
        self._before = "\n"

    def close(self, summary: Mapping[str, Any]) -> None:
        self._out.flush()

    def _head(self, result: ImageResult) -> str:
        path = printable(result.path)
        least = min(_MIN_PATH, cell_len(path))
        details = next(d for d in _details(result) if not d or self._width - 4 - cell_len(d) >= least)
        room = self._width - 2 - (cell_len(details) + 2 if details else 0)
        mark, style = _MARKS[result.status]
        head = f"{self._styled(mark, style)} {self._styled(shorten_path(path, room), _BOLD)}"
        return f"{head}  {self._styled(details, _FAINT)}" if details else head

    def _fitted(self, row: _Row) -> Iterator[str]:
        name = self._styled(f"  {row.name:<{_NAME}} ", _FAINT)
        for line in wrap(row.text, min(self._width, _READABLE) - _INDENT, row.lines):
            yield name + self._styled(line, row.style)
            name = " " * _INDENT

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._color and style else text


def _details(result: ImageResult) -> tuple[str, str, str]:
    """What stands beside the path, in full and twice shorter, for when there is no room."""
    page = f"page {result.page + 1}/{result.pages}" if result.pages > 1 else ""
    size = f"{result.width}×{result.height} " if result.width and result.height else ""
    full = f"{page}  {size}{printable_prose(result.format or '')}"
    return full.strip(), page, ""


def _rows(result: ImageResult, width: int) -> Iterator[_Row]:
    if result.error is not None:
        yield from _problem_rows("error", result.error)
    for task, answer in result.tasks.items():
        if answer.error is not None:
            if answer.error != result.error:
                yield from _problem_rows(task.value, answer.error, "failed: ")
            continue
        yield _answer_row(task.value, answer, width)
    if result.status is Status.PARTIAL and not result.problems():
        notices = (answer.notice for _, answer in result.tasks.items() if answer.notice)
        yield _Row("note", printable_prose("; ".join(notices)), _YELLOW)
    answers = [answer for _, answer in result.tasks.items() if answer.stands_in_for and not answer.error]
    if answers:
        by = ", ".join(f"{answer.engine} (instead of {answer.stands_in_for})" for answer in answers)
        yield _Row("by", printable_prose(by), _FAINT)


def _problem_rows(name: str, problem: Problem, before: str = "") -> Iterator[_Row]:
    yield _Row(name, before + printable_prose(problem.message), _RED, _MAX_PROBLEM_LINES)
    if problem.remedy:
        yield _Row("remedy", printable_prose(problem.remedy), lines=_MAX_PROBLEM_LINES)


def _answer_row(name: str, answer: AnyTaskResult, width: int) -> _Row:
    if not answer.value:
        return _Row(name, "(none)", _FAINT)
    if isinstance(answer, CaptionResult):
        return _Row(name, printable_prose(answer.value))
    if isinstance(answer, TextResult):
        lines = sure_lines(answer.value)
        # As much of the beginning as can be shown at all: a page of text may have thousands of lines.
        shown = " / ".join(line.text[: _MAX_LINES * width] for line in lines[: _MAX_LINES * width])
        count = len(lines)
        if not lines:
            return _Row(name, "(none that is sure)", _FAINT)
        return _Row(name, printable_prose(shown if count == 1 else f"{count:,} lines: {shown}"))
    if isinstance(answer, CodesResult):
        return _Row(name, printable_prose(" · ".join(f"{code.kind} {code.value[:width]}" for code in answer.value)))
    likely = [label for label in answer.value if label.score >= _LEAST_SHOWN] or answer.value[:1]
    return _Row(name, printable_prose(" · ".join(f"{label.label} {label.score:.2f}" for label in likely)))
