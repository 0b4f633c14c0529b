"""From what EasyOCR's steps find to lines of text as we answer them; the same for torch and for compiled networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imgtool.types import TextLine

_CANVAS, _MAGNIFY = 2560, 1.0
"""Upstream's defaults of the longest side that the detector sees and of what it enlarges by."""


def vanishes(width: int, height: int, detect: Mapping[str, Any]) -> bool:
    """Whether the detector would scale the picture to less than a pixel on one side, where upstream breaks."""
    longest = max(width, height)
    ratio = min(detect.get("mag_ratio", _MAGNIFY) * longest, detect.get("canvas_size", _CANVAS)) / longest
    return int(width * ratio) < 1 or int(height * ratio) < 1


def is_inside(box: Sequence[Any], width: int, height: int) -> bool:
    """Whether a part of ``box`` (left, right, top, bottom) is in the picture.

    The detector works on a padded picture and can find something in the padding; upstream breaks on it.
    """
    left, right, top, bottom = (int(number) for number in box)
    return max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)


def text_line(corners: Sequence[Sequence[Any]], text: str, score: Any, width: int, height: int) -> TextLine:
    """A line with its box clamped to the picture and a confidence that is a number in [0, 1].

    EasyOCR's margins can reach beyond the picture.
    """
    a, b, c, d = ((min(max(float(x), 0.0), float(width)), min(max(float(y), 0.0), float(height))) for x, y in corners)
    return TextLine(text, confidence(score), (a, b, c, d))


def confidence(score: Any) -> float:
    """``score`` in [0, 1]; 0 where it is no number."""
    value = float(score)
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def lowest(corners: Sequence[Sequence[Any]], lines: Sequence[Any]) -> float:
    """The confidence of the worst of those ``lines`` (corners, text, score) that lie within a paragraph's ``corners``.

    Upstream gives its paragraphs none.
    """
    (left, top), (right, bottom) = corners[0], corners[2]

    def inside(box: Sequence[Sequence[Any]]) -> bool:
        return all(left <= int(x) <= right and top <= int(y) <= bottom for x, y in box)

    return min((confidence(score) for box, _, score in lines if inside(box)), default=0.0)
