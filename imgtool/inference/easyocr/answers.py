"""Turns the results of EasyOCR's steps into answers, for torch and for compiled networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imgtool.types import TextLine

_CANVAS, _MAGNIFY = 2560, 1.0
"""Upstream's defaults for the longest side that the detector sees and the factor by which it enlarges."""


def vanishes(width: int, height: int, detect: Mapping[str, Any]) -> bool:
    """Whether the detector would scale a side of the picture to less than a pixel, which upstream cannot handle."""
    longest = max(width, height)
    ratio = min(detect.get("mag_ratio", _MAGNIFY) * longest, detect.get("canvas_size", _CANVAS)) / longest
    return int(width * ratio) < 1 or int(height * ratio) < 1


def is_inside(box: Sequence[Any], width: int, height: int) -> bool:
    """Whether a part of ``box`` (left, right, top, bottom) is in the picture.

    The detector sees a padded picture and can find text in the padding, which upstream cannot handle.
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
    """``score`` clamped to [0, 1]; 0 if it is not a number."""
    value = float(score)
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def lowest(corners: Sequence[Sequence[Any]], lines: Sequence[Any]) -> float:
    """The lowest confidence of the ``lines`` (corners, text, score) within a paragraph's ``corners``.

    Upstream's paragraphs have no confidence.
    """
    (left, top), (right, bottom) = corners[0], corners[2]

    def inside(box: Sequence[Sequence[Any]]) -> bool:
        return all(left <= int(x) <= right and top <= int(y) <= bottom for x, y in box)

    return min((confidence(score) for box, _, score in lines if inside(box)), default=0.0)
