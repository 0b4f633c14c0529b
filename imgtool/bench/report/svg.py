"""Small drawings in SVG for the HTML report: strips of dots, stacked bars, a line over runs.

Horizontal places are percentages and sizes are pixels, so that a drawing fills whatever width it gets and its dots stay
round. Colours are classes of the page's style sheet. Everything that is text is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_STRIP, _BAR, _AXIS, _TREND = 34, 26, 20, 230  # heights in pixels
_HEADROOM = 1.15
_JITTER = (0, 6, -6, 3, -3, 9, -9)


@dataclass(frozen=True)
class Dot:
    """A figure with what a pointer over it says; ``apart`` marks an outlier."""

    value: float
    title: str
    apart: bool = False


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar; ``style`` is a class of the style sheet."""

    value: float
    title: str
    style: str


@dataclass(frozen=True)
class TrendPoint:
    """A median with the ends of its interval, at the ``place`` of its run. ``broken``: it cannot be compared with the
    point before."""

    place: int
    value: float
    low: float
    high: float
    title: str
    broken: bool = False


def ticks(maximum: float, wanted: int = 4) -> list[float]:
    """Round numbers from 0 to at most ``maximum``, about as many as ``wanted``."""
    if not maximum > 0:
        return [0.0]
    rough = maximum / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [number * step for number in range(int(maximum / step * 1.0001) + 1)]


def strip(dots: Sequence[Dot], median: float, low: float, high: float, maximum: float, label: str) -> str:
    """Every figure as a dot, the median as a line, its interval as a band; from 0 to ``maximum``."""
    middle = _STRIP / 2
    parts = [
        *_grid(maximum, _STRIP),
        f'<rect class="band" x="{_x(low, maximum)}" y="2" width="{_x(high - low, maximum)}" height="{_STRIP - 4}"/>',
        f'<line class="median" x1="{_x(median, maximum)}" x2="{_x(median, maximum)}" y1="1" y2="{_STRIP - 1}"/>',
    ]
    for number, dot in enumerate(dots):
        place = middle + _JITTER[number % len(_JITTER)]
        style = "dot apart" if dot.apart else "dot"
        parts.append(
            f'<circle class="{style}" cx="{_x(dot.value, maximum)}" cy="{place:g}" r="3.5">{_title(dot.title)}</circle>'
        )
    return _svg(_STRIP, parts, label)


def stack(segments: Sequence[Segment], maximum: float, label: str) -> str:
    """Parts one behind the other, from 0 to ``maximum``."""
    parts, begin = [*_grid(maximum, _BAR)], 0.0
    for segment in segments:
        parts.append(
            f'<rect class="{segment.style}" x="{_x(begin, maximum)}" y="4" width="{_x(segment.value, maximum)}" '
            f'height="{_BAR - 8}">{_title(segment.title)}</rect>'
        )
        begin += segment.value
    return _svg(_BAR, parts, label)


def axis(maximum: float, text: Callable[[float], str]) -> str:
    """The numbers below a row of strips or bars."""
    places = ticks(maximum)
    parts = []
    for place in places:
        anchor = "start" if place == 0 else "end" if place > 0.93 * maximum else "middle"
        parts.append(f'<text x="{_x(place, maximum)}" y="13" text-anchor="{anchor}">{escape(text(place))}</text>')
    return f'<svg class="axis" width="100%" height="{_AXIS}" aria-hidden="true">{"".join(parts)}</svg>'


def trend(
    lines: Sequence[tuple[str, Sequence[TrendPoint]]], runs: int, text: Callable[[float], str], label: str
) -> str:
    """Medians over runs, oldest at the left: each line classes of the style sheet and its points. It is broken where
    figures on either side cannot be compared. The scale is logarithmic: a tenth more looks the same on every line."""
    ends = [end for _, points in lines for point in points for end in (point.low, point.high, point.value) if end > 0]
    least, most = math.log(min(ends) / _HEADROOM), math.log(max(ends) * _HEADROOM)

    def across(place: int) -> str:
        return f"{14 + 84 * (place / (runs - 1) if runs > 1 else 0.5):.2f}%"

    def up(value: float) -> str:
        share = (math.log(value) - least) / (most - least) if value > 0 else 0.0
        return f"{_TREND - 4 - (_TREND - 8) * share:.1f}"

    parts = []
    for tick in log_ticks(math.exp(least), math.exp(most)):
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{up(tick)}" y2="{up(tick)}"/>')
        parts.append(f'<text x="0" y="{up(tick)}" dy="-3">{escape(text(tick))}</text>')
    for style, points in lines:
        for before, point in pairwise(points):
            broken = " broken" if point.broken else ""
            parts.append(
                f'<line class="trend {style}{broken}" x1="{across(before.place)}" y1="{up(before.value)}" '
                f'x2="{across(point.place)}" y2="{up(point.value)}"/>'
            )
        for point in points:
            x, whisker = across(point.place), f'y1="{up(point.low)}" y2="{up(point.high)}"'
            parts.append(f'<line class="whisker {style}" x1="{x}" x2="{x}" {whisker}/>')
            parts.append(
                f'<circle class="{style}" cx="{x}" cy="{up(point.value)}" r="3.5">{_title(point.title)}</circle>'
            )
    return _svg(_TREND, parts, label)


def log_ticks(least: float, most: float) -> list[float]:
    """Round numbers between the two: 1, 2 and 5 of each power of ten; of many powers only their ones."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    return [tick for power in powers for factor in factors if least <= (tick := factor * 10.0**power) <= most]


def _svg(height: int, parts: Sequence[str], label: str) -> str:
    head = f'<svg class="plot" width="100%" height="{height}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _grid(maximum: float, height: int) -> list[str]:
    return [
        f'<line class="grid" x1="{_x(place, maximum)}" x2="{_x(place, maximum)}" y1="0" y2="{height}"/>'
        for place in ticks(maximum)
    ]


def _x(value: float, maximum: float) -> str:
    return f"{100 * value / maximum if maximum > 0 else 0:.3f}%"


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"
