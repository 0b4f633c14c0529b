"""Places of lines and words on a page."""

from __future__ import annotations

import math
import unicodedata
from typing import NamedTuple

from imgtool.types import Box, Point, TextLine


class Rectangle(NamedTuple):
    """Whole pixels around something: ``left`` and ``top`` are rounded down, ``right`` and ``bottom`` up."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, *boxes: Box) -> Rectangle:
        """The smallest one around ``boxes``; never left of or above the image."""
        points = [(x, y) for box in boxes for x, y in box if math.isfinite(x) and math.isfinite(y)] or [(0.0, 0.0)]
        left, top = min(x for x, _ in points), min(y for _, y in points)
        right, bottom = max(x for x, _ in points), max(y for _, y in points)
        return cls(
            max(0, math.floor(left)), max(0, math.floor(top)), max(0, math.ceil(right)), max(0, math.ceil(bottom))
        )


class Word(NamedTuple):
    """A word of a line, and where it is: estimated from the line's box and the widths of its characters."""

    text: str
    box: Box


def words(line: TextLine) -> list[Word]:
    """The words of ``line``, divided at white space."""
    widths = [character_width(character) for character in line.text]
    whole = sum(widths) or 1
    found, start, position = [], 0, 0.0
    for index, character in enumerate([*line.text, " "]):
        if character.isspace():
            if index > start:
                begin = sum(widths[:start]) / whole
                found.append(Word(line.text[start:index], _part(line.box, begin, position / whole)))
            start = index + 1
        position += widths[index] if index < len(widths) else 0
    return found


def character_width(character: str) -> int:
    """2 for characters as wide as high (Korean, Chinese, Japanese), 1 for others."""
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def slant(box: Box) -> float:
    """The angle in degrees by which a line rises: counter-clockwise from level, in (-180, 180]."""
    (left, bottom), (right, end) = box[3], box[2]
    return -math.degrees(math.atan2(end - bottom, right - left))


def _part(box: Box, begin: float, end: float) -> Box:
    """The part of ``box`` between two shares of its length."""

    def between(start: Point, stop: Point, share: float) -> Point:
        return start[0] + (stop[0] - start[0]) * share, start[1] + (stop[1] - start[1]) * share

    top_left, top_right, bottom_right, bottom_left = box
    return (
        between(top_left, top_right, begin),
        between(top_left, top_right, end),
        between(bottom_left, bottom_right, end),
        between(bottom_left, bottom_right, begin),
    )
