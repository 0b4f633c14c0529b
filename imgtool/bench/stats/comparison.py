"""Two arms against each other: how many times slower one is, with which confidence, and the verdict.

The verdict was chosen by simulation, 10 runs an arm, 4,000 comparisons a case, log-normal, heavy-tailed (Student's t
with 3 degrees) and spiked noise, without and with a drift that both interleaved arms share. At 98 % confidence and a
margin of 5 %, equal arms are called slower in at most 0.9 % of the comparisons at any spread (in 0.8 % at a spread of
5 %, never at 3 %), and an arm that is 20 % slower is found in at least 98 % up to a spread of 5 % and in at least 85 %
at 8 %. At 95 % confidence false alarms are more than twice as many, and a series of 40 has more than 2 of them about
once in 16 where the spread is 8 %; at 99 % the power at a spread of 8 % falls to 75 %.

Noise that comes in bursts costs power and no false alarms: where a load makes six runs in a row 30 % slower every other
six, 0.2 % of equal arms are called slower, and 48 % of those that are 20 % slower. A signed-rank interval of the pairs
of neighbouring runs finds 71 % of these, but 82 instead of 95 % under single spikes, so that it was not taken.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from enum import StrEnum
from statistics import median

from msgspec import Struct

from imgtool.bench.stats.ranksum import trimmed

CONFIDENCE = 0.98
"""Of every interval of a ratio: one chance in a hundred on either side."""

INTERLEAVED_MARGIN = 0.05
SAVED_MARGIN = 0.15
"""Against a saved file: no interval contains the drift between two sessions on one machine."""

_RESAMPLES, _POWER = 500, 0.9


class Verdict(StrEnum):
    """How an arm compares with its reference."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference"
    INCONCLUSIVE = "inconclusive"


class Comparison(Struct, frozen=True, kw_only=True):
    """``ratio`` is how many times a figure of the reference the other arm's is (above 1: slower, or larger), between
    ``low`` and ``high`` with ``confidence``; all three ``None`` where no ratio exists. ``confidence`` is the interval's
    true coverage. ``reason`` says why a verdict is inconclusive, and is empty otherwise."""

    ratio: float | None
    low: float | None
    high: float | None
    confidence: float
    margin: float
    verdict: Verdict
    reason: str = ""
    enough: bool = False
    """Whether there were enough figures for an interval of the confidence wanted; there is no verdict without."""


class Ratio(Struct, frozen=True, kw_only=True):
    """A ratio with the ends of its interval and their coverage."""

    estimate: float
    low: float
    high: float
    confidence: float


def compare(
    reference: Sequence[float],
    values: Sequence[float],
    margin: float = INTERLEAVED_MARGIN,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """``values`` against ``reference``, in whatever unit and order.

    *Slower*: the whole interval is above 1 and the estimate above 1 + ``margin``. *Faster*: the same for the inverse
    ratio. *No difference*: the whole interval is within the margin. Anything else is *inconclusive*, and so are too few
    figures for an interval of that confidence, and figures without a ratio: none at all, zero or less.

    Raises:
        ValueError: a figure is not finite, or the margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"a margin of {margin} is not positive")
    if not all(math.isfinite(value) for value in (*reference, *values)):
        raise ValueError("a figure is not finite")
    ratio, reason = None, ""
    if not reference or not values:
        reason = "there are no figures to compare" if not values else "the reference has no figures"
    elif min(*reference, *values) <= 0:
        reason = "a figure is zero or negative, so there is no ratio"
    else:
        ratio = ratio_of(reference, values, confidence)
    verdict, enough = Verdict.INCONCLUSIVE, ratio is not None and ratio.confidence >= confidence
    if ratio is not None and not enough:
        reason = f"too few runs: a verdict needs {fewest_runs(confidence)} of each"
    elif ratio is not None:
        verdict = verdict_of(ratio, margin)
        interval = f"{(ratio.low - 1) * 100:+.0f} % to {(ratio.high - 1) * 100:+.0f} %"
        if verdict is Verdict.INCONCLUSIVE and (ratio.low > 1 or ratio.high < 1):
            reason = f"there is a difference ({interval}), but it may be less than {margin * 100:g} %"
        elif verdict is Verdict.INCONCLUSIVE:
            reason = f"the spread is too large for these runs: anything from {interval}"
    return Comparison(
        ratio=None if ratio is None else ratio.estimate,
        low=None if ratio is None else ratio.low,
        high=None if ratio is None else ratio.high,
        confidence=0.0 if ratio is None else ratio.confidence,
        margin=margin,
        verdict=verdict,
        reason=reason,
        enough=enough,
    )


def ratio_of(reference: Sequence[float], values: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """The ratio of Hodges and Lehmann: the median of all differences of logarithms, back on the scale of figures, with
    the exact interval of the rank-sum test: the ratios that the test would not reject.

    Ties, within an arm or between the arms, make the interval's coverage larger than it says, never smaller, because
    its ends belong to it (J. L. Hodges and E. L. Lehmann, Estimates of Location Based on Rank Tests, 1963; D. F. Bauer,
    Constructing Confidence Sets Using Rank Statistics, 1972). All figures must be positive.
    """
    logs = [math.log(value) for value in reference]
    differences = sorted(math.log(value) - log for value in values for log in logs)
    left, coverage = trimmed(len(reference), len(values), confidence)
    return Ratio(
        estimate=math.exp(median(differences)),
        low=math.exp(differences[left]),
        high=math.exp(differences[-1 - left]),
        confidence=coverage,
    )


def verdict_of(ratio: Ratio, margin: float) -> Verdict:
    """The verdict of :func:`compare` on a ratio that has the confidence wanted."""
    limit = 1 + margin
    if ratio.low > 1 and ratio.estimate > limit:
        return Verdict.SLOWER
    if ratio.high < 1 and ratio.estimate < 1 / limit:
        return Verdict.FASTER
    if 1 / limit <= ratio.low and ratio.high <= limit:
        return Verdict.NO_DIFFERENCE
    return Verdict.INCONCLUSIVE


def detectable(values: Sequence[float], runs: int) -> float | None:
    """The smallest slowdown that ``runs`` runs an arm detect nine times in ten, on a machine whose figures for one arm
    are ``values``: 0.08 for 8 %.

    Pairs of arms are drawn from ``values`` with replacement, always the same ones; each needs a slowdown that lifts its
    interval above 1 and its estimate beyond the margin. ``None`` for fewer than two figures, for figures without a
    ratio, and for too few runs.
    """
    if len(values) < 2 or runs < 1 or min(values) <= 0 or trimmed(runs, runs, CONFIDENCE)[1] < CONFIDENCE:
        return None
    chance = random.Random(0)
    needed = []
    for _ in range(_RESAMPLES):
        ratio = ratio_of(chance.choices(values, k=runs), chance.choices(values, k=runs))
        needed.append(max(1 / ratio.low, (1 + INTERLEAVED_MARGIN) / ratio.estimate))
    return sorted(needed)[math.ceil(_POWER * _RESAMPLES) - 1] - 1


def fewest_runs(confidence: float = CONFIDENCE) -> int:
    """How many runs an arm an interval of ``confidence`` needs."""
    runs = 1
    while trimmed(runs, runs, confidence)[1] < confidence:
        runs += 1
    return runs
