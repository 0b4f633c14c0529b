"""The rank-sum statistic of two independent samples: its exact distribution where both come from one population.

H. B. Mann and D. R. Whitney, On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other,
Annals of Mathematical Statistics 18 (1947).
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

LARGEST_EXACT = 10_000
"""Pairs up to which the distribution is computed; for more the normal approximation is as good, and quick."""


def arrangements(m: int, n: int) -> list[int]:
    """Of the ways in which m and n values can be ordered, how many have u pairs in which the one of the second sample
    is smaller; for u from 0 to m n.

    These are the coefficients of the Gaussian binomial (m + n over m): the product over i of
    (1 - q^(n + i)) / (1 - q^i), multiplied out a factor at a time.
    """
    counts = [1]
    for i in range(1, m + 1):
        counts = [*counts, *[0] * n]
        for u in range(len(counts) - 1, n + i - 1, -1):
            counts[u] -= counts[u - n - i]
        for u in range(i, len(counts)):
            counts[u] += counts[u - i]
    return counts


@lru_cache(maxsize=64)
def trimmed(m: int, n: int, confidence: float) -> tuple[int, float]:
    """How many of the ordered m n differences to leave out at either end for an interval of the shift, and its
    coverage: at least ``confidence`` where that is possible, else that of all differences with none left out.

    The shift is below the difference of rank k + 1 exactly where at most k differences are below the shift, which is
    the event U <= k (E. L. Lehmann, Nonparametrics: Statistical Methods Based on Ranks, 1975).
    """
    if m * n > LARGEST_EXACT:
        return _approximately(m, n, confidence)
    whole = math.comb(m + n, m)
    left, covered = 0, 1 - 2 / whole
    for k, below in enumerate(accumulate(arrangements(min(m, n), max(m, n)))):
        if 2 * below > (1 - confidence) * whole:
            break
        left, covered = k, 1 - 2 * below / whole
    return left, covered


def _approximately(m: int, n: int, confidence: float) -> tuple[int, float]:
    spread = math.sqrt(m * n * (m + n + 1) / 12)
    normal = NormalDist(m * n / 2, spread)
    left = max(0, math.floor(normal.inv_cdf((1 - confidence) / 2) - 0.5))
    return left, 1 - 2 * normal.cdf(left + 0.5)
