"""Whether something grows: the slope of Theil and Sen, with its interval.

The median of the slopes between all pairs of points; one wild reading, or a single step, does not move it.
H. Theil, A rank-invariant method of linear and polynomial regression analysis, 1950; the interval is that of P. K. Sen,
Estimates of the regression coefficient based on Kendall's tau, 1968, with the normal approximation of Kendall's
statistic (corrected for ties), which is good from about ten points on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist, median

from msgspec import Struct

CONFIDENCE = 0.95


class Slope(Struct, frozen=True, kw_only=True):
    """Growth of y for one step of x, between ``low`` and ``high`` with 95 % confidence; ``level`` is y's median."""

    estimate: float
    low: float
    high: float
    level: float
    n: int


def slope(xs: Sequence[float], ys: Sequence[float], confidence: float = CONFIDENCE) -> Slope | None:
    """The slope through the points; ``None`` for fewer than three points or where all stand at one x."""
    pairs = sorted(
        (ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(len(xs)) for j in range(i + 1, len(xs)) if xs[i] != xs[j]
    )
    if len(xs) < 3 or not pairs:
        return None
    n = len(xs)
    variance = _spread(n) - sum(_spread(count) for side in (xs, ys) for count in Counter(side).values() if count > 1)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(max(0.0, variance / 18))
    # Of the ordered slopes so many are outside the interval on either side. Ranks count from 1, places from 0; rounded
    # outwards, so that the interval is rather too wide.
    rank = min(max(0, math.floor((len(pairs) - half) / 2) - 1), (len(pairs) - 1) // 2)
    return Slope(estimate=median(pairs), low=pairs[rank], high=pairs[-1 - rank], level=median(ys), n=n)


def _spread(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)
