"""Charts as SVG: dots on a line, bars over time, areas, lines over runs.

Horizontal positions are percentages and vertical ones pixels, so that a chart fills whatever width it is given while
its letters and dots keep their size. Colours are classes of ``charts.css``. All text is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from pathlib import Path

Text = Callable[[float], str]
"""How a number of the scale is written below or beside it."""

COLOURS = 9
"""Classes ``c0`` to ``c8`` are colours; :data:`REST` is grey."""
REST = "c9"

_STRIP, _BAR, _AXIS, _TREND, _AREA = 34, 26, 20, 230, 200  # heights in pixels
_TRACK, _LANE = 16, 20
_JITTER = (0, 6, -6, 3, -3, 9, -9)
_HEADROOM = 1.15
_WIDTH = 1180
"""Pixels of a chart in a file of its own."""

_NARROWEST = 0.0012
"""Share of the width that is about a pixel."""
_LABELLED, _ALWAYS_LABELLED = 0.025, 0.15
"""Share of the width from which a bar has a label, and from which it has one on a narrow page too."""


@dataclass(frozen=True)
class Dot:
    """A value, and the text that a pointer over it shows."""

    value: float
    title: str
    outlier: bool = False


@dataclass(frozen=True)
class Bar:
    """A stretch of the scale; ``style`` is a class of the style sheet, ``title`` what a pointer over it shows."""

    begin: float
    length: float
    title: str
    style: str
    label: str = ""

    @property
    def end(self) -> float:
        """Where it ends."""
        return self.begin + self.length


@dataclass(frozen=True)
class Track:
    """Bars on a line of their own, below a name."""

    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Curve:
    """Values at moments; ``filled`` is an area down to zero."""

    style: str
    times: Sequence[float]
    values: Sequence[float]
    filled: bool = True


@dataclass(frozen=True)
class TrendPoint:
    """A median with the ends of its interval in the run number ``place``. ``broken``: it cannot be compared with the
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


def log_ticks(least: float, most: float) -> list[float]:
    """Round numbers between the two: 1, 2 and 5 of each power of ten; of many powers only their ones."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    return [tick for power in powers for factor in factors if least <= (tick := factor * 10.0**power) <= most]


def end_to_end(parts: Iterable[tuple[float, str, str]]) -> list[Bar]:
    """Bars one behind the other, from their length, title and style."""
    found: list[Bar] = []
    for length, title, style in parts:
        found.append(Bar(found[-1].end if found else 0.0, length, title, style))
    return found


def joined(bars: Iterable[Bar], maximum: float) -> list[Bar]:
    """``bars``, ordered by their beginning, with those too narrow to see joined with neighbours of the same style: a
    chart of ten thousand bars has some hundreds."""
    narrowest = _NARROWEST * maximum
    found: list[Bar] = []
    for bar in bars:
        last = found[-1] if found else None
        near = last is not None and last.style == bar.style and bar.begin - last.end < narrowest
        if last is not None and near and bar.length <= 2 * narrowest and last.length <= 20 * narrowest:
            found[-1] = replace(last, length=max(last.end, bar.end) - last.begin, title=f"several: {bar.title}")
        else:
            found.append(replace(bar, length=max(bar.length, narrowest)))
    return found


def in_lanes(bars: Iterable[Bar]) -> list[list[Bar]]:
    """``bars``, ordered by their beginning, on as few lines as keep them from overlapping."""
    lanes: list[list[Bar]] = []
    for bar in bars:
        free = next((lane for lane in lanes if lane[-1].end <= bar.begin), None)
        if free is None:
            lanes.append([bar])
        else:
            free.append(bar)
    return lanes


def strip(dots: Sequence[Dot], median: float, interval: tuple[float, float], maximum: float, label: str) -> str:
    """Every value as a dot, the median as a line, its interval as a band; from 0 to ``maximum``."""
    low, high = interval
    middle = _x(median, maximum)
    parts = [
        *_grid(maximum, _STRIP),
        f'<rect class="band" x="{_x(low, maximum)}" y="2" width="{_x(high - low, maximum)}" height="{_STRIP - 4}"/>',
        f'<line class="median" x1="{middle}" x2="{middle}" y1="1" y2="{_STRIP - 1}"/>',
    ]
    for number, dot in enumerate(dots):
        style = "dot outlier" if dot.outlier else "dot"
        place = _STRIP // 2 + _JITTER[number % len(_JITTER)]
        parts.append(f'<circle class="{style}" cx="{_x(dot.value, maximum)}" cy="{place}" r="3.5">{_title(dot.title)}')
        parts.append("</circle>")
    return _svg(_STRIP, parts, label)


def bar_row(bars: Sequence[Bar], maximum: float, label: str) -> str:
    """Bars without labels on one line, from 0 to ``maximum``."""
    shapes = [
        f'<rect class="{bar.style}" x="{_x(bar.begin, maximum)}" y="4" width="{_x(bar.length, maximum)}" '
        f'height="{_BAR - 8}">{_title(bar.title)}</rect>'
        for bar in bars
    ]
    return _svg(_BAR, [*_grid(maximum, _BAR), *shapes], label)


def axis(maximum: float, text: Text) -> str:
    """The numbers below rows that go from 0 to ``maximum``."""
    return f'<svg class="axis" width="100%" height="{_AXIS}" aria-hidden="true">{_numbers(maximum, text, 0)}</svg>'


def tracks(rows: Sequence[Track], maximum: float, text: Text, label: str) -> str:
    """Named lines of labelled bars above one scale from 0 to ``maximum``."""
    shapes, height = _tracks(rows, maximum, 0)
    return _svg(height + _AXIS, [shapes, _numbers(maximum, text, height)], label)


def timeline(
    curves: Sequence[Curve],
    rows: Sequence[Track],
    *,
    duration: float,
    time_text: Text,
    value_text: Text,
    bands: Sequence[Bar] = (),
    marker: float | None = None,
    label: str,
) -> str:
    """Curves over time from 0 to ``duration``, and tracks below them on the same scale. ``bands`` are shaded behind the
    curves; ``marker`` is a moment with a line of its own."""
    highest = max((value for curve in curves for value in curve.values), default=1.0) * 1.08
    parts = [
        f'<rect class="loading" x="{_x(band.begin, duration)}" width="{_x(band.length, duration)}" height="{_AREA}"/>'
        for band in bands
    ]
    # Stretched to the chart's width: polygons know no percentages.
    parts.append(f'<svg width="100%" height="{_AREA}" viewBox="0 0 1000 {_AREA}" preserveAspectRatio="none">')
    for curve in filter(lambda curve: curve.times, curves):
        points = [
            (min(1000.0, 1000 * time / duration), (1 - value / highest) * _AREA)
            for time, value in zip(curve.times, curve.values, strict=True)
        ]
        if curve.filled:
            points = [(points[0][0], _AREA), *points, (points[-1][0], _AREA)]
        shape = "polygon" if curve.filled else "polyline"
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<{shape} class="{curve.style}" points="{listed}"/>')
    parts.append("</svg>")
    for tick in ticks(highest)[1:]:
        y = f"{(1 - tick / highest) * _AREA:.1f}"
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="2" y="{y}" dy="-3">{escape(value_text(tick))}</text>')
    if marker is not None:
        x = _x(min(marker, duration), duration)
        parts.append(f'<line class="marker" x1="{x}" x2="{x}" y1="0" y2="{_AREA}"/>')
    shapes, height = _tracks(rows, duration, _AREA + 4)
    return _svg(height + _AXIS, [*parts, shapes, _numbers(duration, time_text, height)], label)


def trend(lines: Sequence[tuple[str, Sequence[TrendPoint]]], runs: int, text: Text, label: str) -> str:
    """Medians over ``runs``, oldest at the left: of each line its classes and its points. A line is dotted where values
    on either side cannot be compared. The scale is logarithmic: a tenth more looks the same on every line."""
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
            parts.append(f'<circle class="{style}" cx="{x}" cy="{up(point.value)}" r="3.5">{_title(point.title)}')
            parts.append("</circle>")
    return _svg(_TREND, parts, label)


def as_file(chart: str) -> str:
    """``chart`` as an SVG file of its own, in the colours of the reader's system."""
    style = f"<style>{stylesheet()} svg {{ padding: 8px; background: var(--surface) }}</style>"
    head = chart.replace('width="100%"', f'xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}"', 1)
    return head.replace(">", f">{style}", 1) + "\n"


def stylesheet() -> str:
    """The rules for the classes of all charts."""
    return Path(__file__).with_name("charts.css").read_text(encoding="ascii")


def _tracks(rows: Sequence[Track], maximum: float, top: int) -> tuple[str, int]:
    """The tracks from ``top`` on, and where they end. A track without a name continues the one above it."""
    parts = []
    for row in rows:
        if row.name:
            parts.append(f'<text class="track" x="0" y="{top + 12}">{escape(row.name)}</text>')
            top += _TRACK
        for bar in row.bars:
            begin, share = max(0.0, bar.begin / maximum), bar.length / maximum
            share = max(0.0, min(share, 1 - begin))  # a process may end a moment after the whole was measured
            label = bar.label if share >= _LABELLED else ""
            small = "" if share >= _ALWAYS_LABELLED else ' class="small"'
            parts.append(
                f'<svg class="bar {bar.style}" x="{begin:.4%}" y="{top}" width="{share:.4%}" height="16">'
                f'{_title(bar.title)}<rect width="100%" height="16" rx="1"/>'
                f'<text{small} x="3" y="12">{escape(label)}</text></svg>'
            )
        top += _LANE
    return "".join(parts), top


def _numbers(maximum: float, text: Text, top: int) -> str:
    parts = []
    for place in ticks(maximum):
        anchor = "start" if place == 0 else "end" if place > 0.93 * maximum else "middle"
        parts.append(
            f'<text x="{_x(place, maximum)}" y="{top + 13}" text-anchor="{anchor}">{escape(text(place))}</text>'
        )
    return "".join(parts)


def _svg(height: int, parts: Iterable[str], label: str) -> str:
    head = f'<svg class="chart" width="100%" height="{height}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _grid(maximum: float, height: int) -> list[str]:
    places = (_x(place, maximum) for place in ticks(maximum))
    return [f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height}"/>' for x in places]


def _x(value: float, maximum: float) -> str:
    return f"{100 * value / maximum if maximum > 0 else 0:.3f}%"


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"
