"""Lines joined to paragraphs by EasyOCR's rules (``get_paragraph``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from imgtool.inference.easyocr.lines import Extent, around, mean_height

_SAME_LINE = 0.4
"""Share of the mean height by which a line's centre may be below the highest one and still be read in its row."""

Corners = list[list[int]]


class _Line(NamedTuple):
    number: int
    text: str
    place: Extent


def join_paragraphs(
    lines: Iterable[Sequence[Any]], x_ths: float = 1.0, y_ths: float = 0.5, right_to_left: bool = False
) -> list[tuple[Corners, str]]:
    """Upright corners and text of each paragraph in ``lines`` (corners, text, ...).

    Lines belong together whose ends come within ``x_ths`` and ``y_ths`` mean heights of what is already joined.
    """
    rest, joined = [], []
    for number, (corners, text, *_) in enumerate(lines):
        xs, ys = [int(x) for x, _ in corners], [int(y) for _, y in corners]
        rest.append(_Line(number, text, Extent(min(xs), max(xs), min(ys), max(ys))))
    while rest:
        group = [rest.pop(0)]
        while (position := _neighbour(group, rest, x_ths, y_ths)) is not None:
            group.append(rest.pop(position))
        left, right, top, bottom = around([line.place for line in group])
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        joined.append((corners, _text(sorted(group), right_to_left)))
    return joined


def _neighbour(group: Sequence[_Line], rest: Sequence[_Line], x_ths: float, y_ths: float) -> int | None:
    """The position of the first of ``rest`` that touches ``group``."""
    places = [line.place for line in group]
    joined, height = around(places), mean_height(places)
    left, right = joined.left - x_ths * height, joined.right + x_ths * height
    top, bottom = joined.top - y_ths * height, joined.bottom + y_ths * height
    for position, (_, _, place) in enumerate(rest):
        across = left <= place.left <= right or left <= place.right <= right
        if across and (top <= place.top <= bottom or top <= place.bottom <= bottom):
            return position
    return None


def _text(group: Sequence[_Line], right_to_left: bool) -> str:
    """The texts of ``group`` row by row, in the order of reading."""
    rest, words, reach = list(group), [], _SAME_LINE * mean_height([line.place for line in group])
    while rest:
        highest = min(line.place.centre for line in rest)
        row = [position for position, line in enumerate(rest) if line.place.centre < highest + reach]
        # Of two that begin together the later one is read first, as upstream does.
        first = max(row, key=lambda at: (rest[at].place.right if right_to_left else -rest[at].place.left, at))
        words.append(rest.pop(first).text)
    return " ".join(words)
