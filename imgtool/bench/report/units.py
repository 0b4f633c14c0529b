"""Several figures with one unit between them: ``5.12 ± 0.08 s``, ``5.01..5.30 s``."""

from __future__ import annotations

from typing import NamedTuple

from imgtool.bench.data.record import Metric
from imgtool.bench.stats.statistics import Summary


class Scale(NamedTuple):
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


def scale_for(metric: Metric, value: float) -> Scale:
    """The unit in which ``value`` has one to three digits before the point, and three digits in all."""
    units = (("GB", 1e9), ("MB", 1e6)) if metric.is_memory else (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, factor = next(((name, size) for name, size in units if abs(value) >= 0.9995 * size), units[-1])
    number = abs(value) / factor
    decimals = 0 if metric.is_memory and unit == "MB" else 2 if number < 9.995 else 1 if number < 99.95 else 0
    return Scale(unit, factor, decimals)


def median_text(metric: Metric, summary: Summary) -> str:
    """Median and standard deviation: ``5.12 ± 0.08 s``."""
    scale = scale_for(metric, summary.median)
    if summary.standard_deviation is None:
        return scale.one(summary.median)
    return f"{scale.number(summary.median)} ± {scale.number(summary.standard_deviation)} {scale.unit}"


def summary_texts(metric: Metric, summary: Summary) -> tuple[str, ...]:
    """All there is, in :data:`SUMMARY_HEADS`' order."""
    scale, deviation = scale_for(metric, summary.median), summary.standard_deviation
    return (
        scale.one(summary.mean),
        scale.one(summary.minimum),
        scale.one(summary.maximum),
        "-" if deviation is None else scale.one(deviation),
        scale.one(summary.median),
        scale.two(summary.interval.low, summary.interval.high),
        str(summary.n),
    )


SUMMARY_HEADS = ("mean", "min", "max", "deviation", "median", "its interval", "runs")


def range_text(metric: Metric, summary: Summary) -> str:
    """Minimum and maximum: ``5.01..5.30 s``."""
    return scale_for(metric, summary.median).two(summary.minimum, summary.maximum)
