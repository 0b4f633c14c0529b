"""Figures of a benchmark as a person reads them."""

from __future__ import annotations

from imgtool.bench.data.record import Metric

_NAMES = {
    Metric.STARTUP: "startup",
    Metric.FIRST_RESULT: "first result",
    Metric.STEADY: "seconds an image",
    Metric.WALL: "wall time",
    Metric.PEAK_ANON: "peak of anonymous memory",
    Metric.PEAK_RSS: "peak of resident memory",
}


def metric_text(metric: Metric) -> str:
    """The name of ``metric`` in a sentence."""
    return _NAMES[metric]


def figure_text(metric: Metric, value: float, more: int = 0) -> str:
    """``value`` with its unit: ``1.23 s``, ``45.1 ms``, ``512 MB``; with ``more`` digits than usual."""
    return bytes_text(value, more) if metric.is_memory else seconds_text(value, more)


def unlike_text(metric: Metric, value: float, limit: float) -> str:
    """``value`` with the digits that tell it from ``limit``: 5.0015 s beyond 5 s is ``5.002 s``, not ``5.00 s``."""
    for more in range(_MOST_DIGITS):
        if (text := figure_text(metric, value, more)) != figure_text(metric, limit, more):
            return text
    return figure_text(metric, value)


_MOST_DIGITS = 4


def seconds_text(seconds: float, more: int = 0) -> str:
    """Three digits with the unit that suits: ``1.23 s``, ``45.1 ms``; ``more`` are added."""
    if seconds == 0 or seconds >= 0.9995:
        return f"{seconds:.{2 + more}f} s"
    if seconds >= 0.0009995:
        return f"{seconds * 1e3:.{3 + more}g} ms"
    return f"{seconds * 1e6:.{3 + more}g} µs"


def bytes_text(size: float, more: int = 0) -> str:
    """Decimal units: ``512 MB``, ``1.25 GB``; ``more`` digits are added."""
    if size >= 999.5e6:
        return f"{size / 1e9:.{2 + more}f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.{more}f} MB"
    return f"{size / 1e3:.{more}f} kB"


def change_text(ratio: float) -> str:
    """A ratio as a change: ``+12.3 %``, ``-4.0 %``."""
    return f"{(ratio - 1) * 100:+.1f} %"


def change_interval_text(low: float, high: float) -> str:
    """The ends of a ratio's interval as changes."""
    return f"{change_text(low)} to {change_text(high)}"


def share_text(share: float) -> str:
    """A share as percent: ``10 %``, ``2.5 %``."""
    return f"{share * 100:.4g} %"
