"""Hits for a person: the path, and under it the lines that match, with what matches marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from imgtool.database.search.words import Phrase, spans
from imgtool.formats.cells import ELLIPSIS, fit, shorten_path
from imgtool.formats.clean import printable
from imgtool.types import CaptionResult, ImageResult, LabelsResult, TextResult

MIN_WIDTH = 40
"""Cells; a narrower terminal gets lines of this width."""

_MAX_LINES = 3
_NAME = 8
_INDENT = 2 + _NAME + 1
_LEAST_LABEL = 0.05

_RESET, _BOLD, _FAINT, _RED = "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m"
_MARK = "\x1b[1;7m"


class HitTable:
    """A block a hit. What matches is shown in reverse where ``color``, else in brackets.

    Of a hit without a match in what it says, as where only facts were asked for, the beginning is shown.
    """

    def __init__(self, out: IO[str], phrases: tuple[Phrase, ...], *, width: int = 80, color: bool = False) -> None:
        self._out = out
        self._phrases = phrases
        self._width = max(width, MIN_WIDTH)
        self._marks = (_MARK, _RESET) if color else ("[", "]")
        self._color = color
        self._before = ""

    def write(self, result: ImageResult) -> None:
        lines = [self._head(result)]
        name = None
        for field, text in self._said(result):
            shown = f"  {field if field != name else '':<{_NAME}} "
            lines.append(self._styled(shown, _FAINT) + text)
            name = field
        self._out.write(self._before + "\n".join(lines) + "\n")
        self._before = "\n"

    def close(self, summary: Mapping[str, Any]) -> None:
        self._out.flush()

    def _head(self, result: ImageResult) -> str:
        path = printable(_relative(result.path))
        page = f"  page {result.page + 1}/{result.pages}" if result.pages > 1 else ""
        return self._styled(shorten_path(path, self._width - len(page)), _BOLD) + self._styled(page, _FAINT)

    def _said(self, result: ImageResult) -> Iterator[tuple[str, str]]:
        matching = list(self._matching(result))
        if matching:
            for field in dict.fromkeys(field for field, _ in matching):
                lines = [line for other, line in matching if other == field]
                yield from ((field, line) for line in lines[:_MAX_LINES])
                if len(lines) > _MAX_LINES:
                    yield field, self._styled(f"and {len(lines) - _MAX_LINES} more lines", _FAINT)
            return
        if (problem := next((problem for _, problem in result.problems()), None)) is not None:
            yield "error", self._styled(self._cut([(printable(problem.message), False)]), _RED)
        for field, line in _lines(result):
            yield field, self._cut([(printable(line), False)])
            return

    def _matching(self, result: ImageResult) -> Iterator[tuple[str, str]]:
        by_field: dict[str, list[str]] = {}
        for field, line in _lines(result):
            by_field.setdefault(field, []).append(line)
        for field, lines in by_field.items():
            # A phrase may go on in the next line.
            found = spans("\n".join(lines), self._phrases)
            start = 0
            for line in lines:
                end = start + len(line)
                inside = [(max(a, start) - start, min(b, end) - start) for a, b in found if a < end and b > start]
                if inside:
                    yield field, self._cut(_segments(line, inside))
                start = end + 1

    def _cut(self, segments: Sequence[tuple[str, bool]]) -> str:
        """Segments in one line of the table, with the first marked one in sight."""
        room = self._width - _INDENT - 2
        first = next((place for place, (_, marked) in enumerate(segments) if marked), 0)
        before = "".join(text for text, _ in segments[:first])
        # Counted from its end.
        if (fits := fit(before[::-1], room // 2)) < len(before):
            segments = [(ELLIPSIS + before[len(before) - fits :], False), *segments[first:]]
        shown = ""
        for text, marked in segments:
            end = fit(text, room)
            piece = text[:end] + (ELLIPSIS if end < len(text) else "")
            shown += f"{self._marks[0]}{piece}{self._marks[1]}" if marked and piece else piece
            room -= fit_cells(piece) + (2 if marked and not self._color else 0)
            if end < len(text) or room <= 0:
                break
        return shown

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._color and text else text


def fit_cells(text: str) -> int:
    """Terminal cells that ``text`` takes."""
    from rich.cells import cell_len

    return cell_len(text)


def _lines(result: ImageResult) -> Iterator[tuple[str, str]]:
    """Everything that a picture says, by field, line by line."""
    answer: Any
    for task, answer in result.tasks.items():
        if isinstance(answer, CaptionResult):
            yield from [("caption", answer.value)] if answer.value else []
        elif isinstance(answer, TextResult):
            yield from (("text", line.text) for line in answer.value or ())
        elif isinstance(answer, LabelsResult):
            likely = [
                label for place, label in enumerate(answer.value or ()) if label.score >= _LEAST_LABEL or not place
            ]
            yield from (("labels", f"{label.label} {label.score:.2f}") for label in likely)
        elif task.value == "codes":
            yield from (("codes", _code(code)) for code in answer.value or ())


def _code(code: Any) -> str:
    """A code as it is written, and a tariff number also as digits, by which it may have been found."""
    digits = " ".join(filter(None, (getattr(code, "normalised", None), getattr(code, "national", None))))
    return f"{code.kind} {code.value}" + (f" ({digits})" if digits and digits != code.value else "")


def _segments(line: str, found: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    segments = []
    end = 0
    for start, stop in found:
        segments += [(printable(line[end:start]), False), (printable(line[start:stop]), True)]
        end = stop
    return [*segments, (printable(line[end:]), False)]


def _relative(path: str) -> str:
    """``path`` from the current folder, where it is in there."""
    try:
        here = str(Path.cwd())
    except OSError:
        return path
    return path.removeprefix(here if here.endswith("/") else here + "/")
