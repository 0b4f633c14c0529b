"""Lines joined to paragraphs by EasyOCR's rules (``get_paragraph``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_SAME_LINE = 0.4
"""Share of the mean height by which a line's centre may be below the highest one and still be read in its row."""

Corners = list[list[int]]


class _Line(NamedTuple):
    number: int
    text: str
    left: int
    right: int
    top: int
    bottom: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def centre(self) -> float:
        return 0.5 * (self.top + self.bottom)


def join_paragraphs(
    lines: Iterable[Sequence[Any]], x_ths: float = 1.0, y_ths: float = 0.5, right_to_left: bool = False
) -> list[tuple[Corners, str]]:
    """Upright corners and text of each paragraph in ``lines`` (corners, text, ...).

    Lines belong together whose ends come within ``x_ths`` and ``y_ths`` mean heights of what is already joined.
    """
    rest, joined = [], []
    for number, (corners, text, *_) in enumerate(lines):
        xs, ys = [int(x) for x, _ in corners], [int(y) for _, y in corners]
        rest.append(_Line(number, text, min(xs), max(xs), min(ys), max(ys)))
    while rest:
        group = [rest.pop(0)]
        while (position := _neighbour(group, rest, x_ths, y_ths)) is not None:
            group.append(rest.pop(position))
        joined.append(sorted(group))
    return [(_around(group), _text(group, right_to_left)) for group in joined]


def _neighbour(group: Sequence[_Line], rest: Sequence[_Line], x_ths: float, y_ths: float) -> int | None:
    """The position of the first of ``rest`` that touches ``group``."""
    height = _mean_height(group)
    (left, top), _, (right, bottom), _ = _around(group)
    left, right = left - x_ths * height, right + x_ths * height
    top, bottom = top - y_ths * height, bottom + y_ths * height
    for position, line in enumerate(rest):
        across = left <= line.left <= right or left <= line.right <= right
        if across and (top <= line.top <= bottom or top <= line.bottom <= bottom):
            return position
    return None


def _text(group: Sequence[_Line], right_to_left: bool) -> str:
    """The texts of ``group`` row by row, in the order of reading."""
    rest, words, reach = list(group), [], _SAME_LINE * _mean_height(group)
    while rest:
        highest = min(line.centre for line in rest)
        row = [position for position, line in enumerate(rest) if line.centre < highest + reach]
        # Of two that begin together the later one is read first, as upstream does.
        first = max(row, key=lambda at: (rest[at].right if right_to_left else -rest[at].left, at))
        words.append(rest.pop(first).text)
    return " ".join(words)


def _mean_height(lines: Sequence[_Line]) -> float:
    return sum(line.height for line in lines) / len(lines)


def _around(lines: Sequence[_Line]) -> list[list[Any]]:
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    top, bottom = min(line.top for line in lines), max(line.bottom for line in lines)
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
