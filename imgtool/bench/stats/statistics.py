"""Summaries of one arm's figures: location, spread, outliers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from msgspec import Struct

MEDIAN_CONFIDENCE = 0.95

OUTLIER_RULE = "modified z-score above 3.5"
"""0.6745 (x - median) / MAD, the rule of Iglewicz and Hoaglin, How to Detect and Handle Outliers, ASQC 1993. Where more
than half of the figures are equal the MAD is 0, and 1.2533 times the mean absolute deviation takes its place."""

_LIMIT = 3.5
_MAD_OF_NORMAL = 0.6745
_MEAN_DEVIATION_OF_NORMAL = 1.2533


class Interval(Struct, frozen=True, kw_only=True):
    """A confidence interval whose ends belong to it. ``coverage`` is its true one, which for few figures is less than
    was wanted: 0 for a single figure, 0.5 for two."""

    low: float
    high: float
    coverage: float


class Summary(Struct, frozen=True, kw_only=True):
    """Figures of one arm, in the unit in which they came.

    ``standard_deviation`` is that of a sample (divided by n - 1), ``None`` for a single figure. ``mad`` is the median
    absolute deviation from the median, not scaled to a normal distribution. ``outliers`` are
    indices of the values; outliers are part of every figure.
    """

    n: int
    mean: float
    minimum: float
    maximum: float
    standard_deviation: float | None
    median: float
    mad: float
    outliers: tuple[int, ...]
    interval: Interval
    outlier_rule: str = OUTLIER_RULE

    @property
    def spread(self) -> float | None:
        """Standard deviation as a share of the mean, 0 to 1; ``None`` where either is missing or the mean is 0."""
        if self.standard_deviation is None or self.mean == 0:
            return None
        return self.standard_deviation / abs(self.mean)


def summarise(values: Sequence[float]) -> Summary:
    """The summary of ``values``.

    Raises:
        ValueError: there is no figure, or one is not finite.
    """
    if not values:
        raise ValueError("there is no figure to summarise")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a figure is not finite")
    mean, middle = math.fsum(values) / len(values), median(values)
    deviation = None
    if len(values) > 1:
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    distances = [abs(value - middle) for value in values]
    mad = median(distances)
    scale = mad / _MAD_OF_NORMAL or _MEAN_DEVIATION_OF_NORMAL * math.fsum(distances) / len(distances)
    return Summary(
        n=len(values),
        mean=mean,
        minimum=min(values),
        maximum=max(values),
        standard_deviation=deviation,
        median=middle,
        mad=mad,
        outliers=tuple(place for place, distance in enumerate(distances) if distance > _LIMIT * scale),
        interval=median_interval(values),
    )


def median_interval(values: Sequence[float], confidence: float = MEDIAN_CONFIDENCE) -> Interval:
    """The narrowest symmetric pair of order statistics that covers the population median with at least this
    confidence; the smallest and the largest figure if no pair does.

    Exact whatever the distribution: a figure is below the median with probability 1/2 (W. J. Conover, Practical
    Nonparametric Statistics, 3rd edition, 1999). Ties can only raise the coverage.

    Raises:
        ValueError: there is no figure.
    """
    if not values:
        raise ValueError("there is no figure")
    rank, coverage = _ranks(len(values), confidence)
    ordered = sorted(values)
    return Interval(low=ordered[rank], high=ordered[-1 - rank], coverage=coverage)


def _ranks(n: int, confidence: float) -> tuple[int, float]:
    """How many figures to leave out at either end, and what the rest covers."""
    whole, below, here = 1 << n, 1, 1
    rank = 0
    while True:
        here = here * (n - rank) // (rank + 1)
        if rank + 1 > (n - 1) // 2 or 2 * (below + here) > (1 - confidence) * whole:
            return rank, 1 - 2 * below / whole
        below += here
        rank += 1
