"""Figures as a person reads them: ``1.23 s``, ``512 MB``, ``5.12 ± 0.08 s``, ``5.01..5.30 s``, ``+12.3 %``."""

from __future__ import annotations

from typing import NamedTuple

from imgtool.bench.data.record import Metric
from imgtool.bench.stats.statistics import Summary

SUMMARY_HEADS = ("mean", "min", "max", "deviation", "median", "interval", "runs")

_METRICS = {
    Metric.STARTUP: "startup",
    Metric.FIRST_RESULT: "first result",
    Metric.STEADY: "seconds an image",
    Metric.WALL: "wall time",
    Metric.PEAK_ANON: "peak of own memory",
    Metric.PEAK_RSS: "peak of resident memory",
}
_TIMES = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
_SIZES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_MOST_DIGITS = 4


class UnitScale(NamedTuple):
    """A unit, what one of it is in seconds or bytes, and how many decimals figures of this size need."""

    unit: str
    factor: float
    decimals: int

    def number(self, value: float) -> str:
        """Without the unit."""
        return f"{value / self.factor:,.{self.decimals}f}"

    def one(self, value: float) -> str:
        """With the unit."""
        return f"{self.number(value)} {self.unit}"

    def tick(self, value: float) -> str:
        """A round number with the unit, no longer than it must be."""
        return f"{value / self.factor:g} {self.unit}"

    def two(self, low: float, high: float) -> str:
        """A range."""
        return f"{self.number(low)}..{self.number(high)} {self.unit}"


def scale_for(value: float, *, memory: bool, more: int = 0) -> UnitScale:
    """The unit in which ``value`` has one to three digits before the point, and three digits in all; ``more`` are
    added. Sizes from 10 MB to a gigabyte, and those in kilobytes, are whole numbers."""
    units = _SIZES if memory else _TIMES
    unit, factor = next(((name, size) for name, size in units if abs(value) >= 0.9995 * size), units[-1])
    if value == 0 and not memory:
        unit, factor = units[0]
    number = abs(value) / factor
    decimals = 2 if number < 9.995 else 1 if number < 99.95 else 0
    if memory and (unit not in ("GB", "MB") or (unit == "MB" and number >= 9.995)):
        decimals = 0
    return UnitScale(unit, factor, decimals + more)


def metric_text(metric: Metric) -> str:
    """The name of ``metric`` in a sentence."""
    return _METRICS[metric]


def figure_text(metric: Metric, value: float, more: int = 0) -> str:
    """``value`` with its unit: ``1.23 s``, ``45.1 ms``, ``512 MB``; with ``more`` digits than usual."""
    return scale_for(value, memory=metric.is_memory, more=more).one(value)


def unlike_text(metric: Metric, value: float, limit: float) -> str:
    """``value`` with the digits that tell it from ``limit``: 5.0015 s beyond 5 s is ``5.002 s``, not ``5.00 s``."""
    for more in range(_MOST_DIGITS):
        if (text := figure_text(metric, value, more)) != figure_text(metric, limit, more):
            return text
    return figure_text(metric, value)


def seconds_text(seconds: float) -> str:
    """Three digits with the unit that suits: ``1.23 s``, ``45.1 ms``."""
    return scale_for(seconds, memory=False).one(seconds)


def bytes_text(size: float) -> str:
    """Decimal units: ``512 MB``, ``1.25 GB``."""
    return scale_for(size, memory=True).one(size)


def median_text(metric: Metric, summary: Summary) -> str:
    """Median and standard deviation: ``5.12 ± 0.08 s``."""
    scale = scale_for(summary.median, memory=metric.is_memory)
    if summary.standard_deviation is None:
        return scale.one(summary.median)
    return f"{scale.number(summary.median)} ± {scale.number(summary.standard_deviation)} {scale.unit}"


def range_text(metric: Metric, summary: Summary) -> str:
    """Minimum and maximum: ``5.01..5.30 s``."""
    return scale_for(summary.median, memory=metric.is_memory).two(summary.minimum, summary.maximum)


def summary_texts(metric: Metric, summary: Summary) -> tuple[str, ...]:
    """All figures, in the order of :data:`SUMMARY_HEADS`."""
    scale, deviation = scale_for(summary.median, memory=metric.is_memory), summary.standard_deviation
    return (
        *map(scale.one, (summary.mean, summary.minimum, summary.maximum)),
        "-" if deviation is None else scale.one(deviation),
        scale.one(summary.median),
        scale.two(summary.interval.low, summary.interval.high),
        str(summary.n),
    )


def change_text(ratio: float) -> str:
    """A ratio as a change: ``+12.3 %``, ``-4.0 %``."""
    return f"{(ratio - 1) * 100:+.1f} %"


def change_interval_text(low: float, high: float) -> str:
    """The ends of a ratio's interval as changes."""
    return f"{change_text(low)} to {change_text(high)}"


def share_text(share: float) -> str:
    """A share as percent: ``10 %``, ``2.5 %``."""
    return f"{share * 100:.4g} %"
