"""Ratios against scipy's exact test, verdicts against noise that is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.bench.stats.comparison import CONFIDENCE, Verdict, compare, detectable, fewest_runs, ratio_of
from imgtool.bench.stats.ranksum import LARGEST_EXACT, arrangements, trimmed

Noise = Callable[[random.Random], float]


def log_normal(cv: float) -> Noise:
    return lambda chance: chance.gauss(0, cv)


def heavy_tailed(cv: float) -> Noise:
    """Student's t with 3 degrees of freedom, scaled to the spread."""

    def draw(chance: random.Random) -> float:
        return chance.gauss(0, 1) / math.sqrt(chance.gammavariate(1.5, 2) / 3) * cv / math.sqrt(3)

    return draw


def arms(chance: random.Random, noise: Noise, runs: int = 10, drift: float = 0.0) -> tuple[list[float], list[float]]:
    """Two equal arms, interleaved ABBA, under noise and a slow-down that goes on through all of it."""
    found: tuple[list[float], list[float]] = ([], [])
    for place in range(2 * runs):
        found[(0, 1, 1, 0)[place % 4]].append(2.0 * math.exp(noise(chance) + drift * place / (2 * runs)))
    return found


def slower_of(rounds: int, delay: float, noise: Noise, drift: float = 0.0) -> int:
    chance = random.Random(20)
    called = 0
    for _ in range(rounds):
        first, second = arms(chance, noise, drift=drift)
        called += compare(first, [value * (1 + delay) for value in second]).verdict is Verdict.SLOWER
    return called


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 5), (2, 3), (3, 3), (4, 3)])
def test_arrangements_are_those_that_can_be_counted(m: int, n: int) -> None:
    counted = [0] * (m * n + 1)
    for ranks in permutations(range(m + n), m):
        if list(ranks) == sorted(ranks):
            counted[sum(rank - place for place, rank in enumerate(ranks))] += 1
    assert arrangements(m, n) == counted


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.8, 0.9, 0.95, 0.98, 0.99]))
def test_trimmed_is_the_largest_rank_that_the_exact_test_still_rejects(m: int, n: int, wanted: float) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    left, coverage = trimmed(m, n, wanted)

    def two_sided(u: int) -> float:
        """The exact p-value of samples without ties that have the statistic u."""
        first, second = _samples_with(m, n, u)
        return float(scipy_stats.mannwhitneyu(first, second, method="exact", alternative="less").pvalue) * 2

    assert coverage == pytest.approx(1 - two_sided(left), abs=1e-12)
    if coverage < wanted:
        assert left == 0
    if left + 1 < m * n / 2:
        assert 1 - two_sided(left + 1) < wanted + 1e-12


def _samples_with(m: int, n: int, u: int) -> tuple[list[float], list[float]]:
    """Samples of sizes m and n without ties in which u pairs have the one of the first sample above."""
    second = [float(place) for place in range(n)]
    first = []
    for place in range(m):
        above = min(n, max(0, u - place * n))
        first.append(above - 0.5 + 0.001 * (m - place))
    return first, second


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 10), st.integers(2, 10), st.integers(0, 2**32), st.sampled_from([0.9, 0.95, 0.98]))
def test_interval_is_the_ratios_that_the_exact_test_does_not_reject(m: int, n: int, seed: int, wanted: float) -> None:
    """A hair inside the interval scipy accepts the ratio, a hair outside it rejects it."""
    scipy_stats = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(seed)
    reference, values = chance.lognormal(0, 0.1, m), chance.lognormal(0.1, 0.1, n)
    found = ratio_of(list(reference), list(values), wanted)
    assert found.estimate == pytest.approx(np.exp(np.median(np.subtract.outer(np.log(values), np.log(reference)))))

    def p_value(ratio: float) -> float:
        return float(scipy_stats.mannwhitneyu(values / ratio, reference, method="exact").pvalue)

    hair = 1e-9
    level = 1 - found.confidence
    if level < 1:
        assert p_value(found.low * (1 - hair)) <= level + 1e-9
        assert p_value(found.high * (1 + hair)) <= level + 1e-9
    if found.low < found.high:
        assert p_value(found.low * (1 + hair)) > level + 1e-9 or level >= 1 - 1e-9
        assert p_value(found.high * (1 - hair)) > level + 1e-9 or level >= 1 - 1e-9


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([1.0, 1.1, 1.2]), min_size=5, max_size=9),
    st.lists(st.sampled_from([1.0, 1.1, 1.2]), min_size=5, max_size=9),
)
def test_swapping_the_arms_inverts_the_ratio(reference: list[float], values: list[float]) -> None:
    there, back = ratio_of(reference, values), ratio_of(values, reference)
    assert there.estimate * back.estimate == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)
    assert there.high * back.low == pytest.approx(1)
    opposite = {Verdict.SLOWER: Verdict.FASTER, Verdict.FASTER: Verdict.SLOWER}
    verdict = compare(reference, values).verdict
    assert compare(values, reference).verdict is opposite.get(verdict, verdict)


@pytest.mark.parametrize("noise", [log_normal(0.08), heavy_tailed(0.08)])
def test_interval_covers_as_often_as_it_says(noise: Noise) -> None:
    chance = random.Random(3)
    rounds, hits = 1500, 0
    for _ in range(rounds):
        first, second = arms(chance, noise)
        found = ratio_of(first, [value * 1.3 for value in second])
        hits += found.low <= 1.3 <= found.high
    coverage = trimmed(10, 10, CONFIDENCE)[1]
    assert hits / rounds == pytest.approx(coverage, abs=4 * math.sqrt(coverage * (1 - coverage) / rounds))


@pytest.mark.parametrize("drift", [0.0, 0.1])
@pytest.mark.parametrize("cv", [0.03, 0.05, 0.12])
@pytest.mark.parametrize("kind", [log_normal, heavy_tailed])
def test_equal_arms_are_hardly_ever_called_slower(kind: Callable[[float], Noise], cv: float, drift: float) -> None:
    """At most 2 in 40 is asked for; 2 in 100 is met at any spread, because the interval alone errs in 1 of 100."""
    assert slower_of(400, 0.0, kind(cv), drift) <= 8


@pytest.mark.parametrize("drift", [0.0, 0.1])
@pytest.mark.parametrize("cv", [0.03, 0.05])
@pytest.mark.parametrize("kind", [log_normal, heavy_tailed])
def test_a_fifth_more_is_found_at_the_usual_spread(kind: Callable[[float], Noise], cv: float, drift: float) -> None:
    """At least 36 of 40 is asked for."""
    assert slower_of(200, 0.2, kind(cv), drift) >= 196


def test_equal_arms_of_little_spread_are_called_equal() -> None:
    chance = random.Random(8)
    verdicts = [compare(*arms(chance, log_normal(0.01))).verdict for _ in range(100)]
    assert verdicts.count(Verdict.NO_DIFFERENCE) >= 99


TEN = [1.00, 1.01, 1.02, 1.00, 0.99, 0.98, 1.01, 1.00, 0.99, 1.02]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.3, Verdict.SLOWER),
        (1.055, Verdict.SLOWER),
        (1.045, Verdict.INCONCLUSIVE),
        (1.01, Verdict.NO_DIFFERENCE),
        (0.99, Verdict.NO_DIFFERENCE),
        (0.96, Verdict.INCONCLUSIVE),
        (0.945, Verdict.FASTER),
        (0.1, Verdict.FASTER),
    ],
)
def test_verdicts(factor: float, verdict: Verdict) -> None:
    found = compare(TEN, [value * factor for value in TEN])
    assert found.verdict is verdict
    assert found.ratio == pytest.approx(factor)
    assert bool(found.reason) == (verdict is Verdict.INCONCLUSIVE)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= factor <= found.high


def test_a_certain_difference_of_open_size_is_told_from_a_large_spread() -> None:
    assert "may be less than 5 %" in compare(TEN, [value * 1.045 for value in TEN]).reason
    wild = [0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 0.6, 0.8, 1.0, 1.2]
    assert "spread" in compare(wild, [value * 1.02 for value in reversed(wild)]).reason


def test_margin_against_a_saved_file_lets_ten_percent_pass() -> None:
    slower = [value * 1.10 for value in TEN]
    assert compare(TEN, slower, margin=0.05).verdict is Verdict.SLOWER
    assert compare(TEN, slower, margin=0.15).verdict is Verdict.NO_DIFFERENCE


def test_figures_that_are_all_equal() -> None:
    """Memory in whole pages often is; the interval is a point."""
    found = compare([4096.0] * 10, [4096.0] * 10)
    assert (found.ratio, found.low, found.high) == (1.0, 1.0, 1.0)
    assert found.verdict is Verdict.NO_DIFFERENCE
    assert compare([4096.0] * 10, [8192.0] * 10).verdict is Verdict.SLOWER


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_too_few_runs_are_never_a_verdict(runs: int) -> None:
    found = compare([1.0] * runs, [9.0] * runs)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.ratio == pytest.approx(9)
    assert found.confidence < CONFIDENCE
    assert "5 of each" in found.reason
    assert fewest_runs() == 5


@pytest.mark.parametrize(
    ("reference", "values", "said"),
    [
        ([], [1.0], "reference has no figures"),
        ([1.0], [], "no figures to compare"),
        ([0.0] * 10, [1.0] * 10, "zero or negative"),
        ([1.0] * 10, [-1.0] + [1.0] * 9, "zero or negative"),
    ],
)
def test_what_has_no_ratio_is_inconclusive_and_says_why(reference: list[float], values: list[float], said: str) -> None:
    found = compare(reference, values)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert (found.ratio, found.low, found.high, found.confidence) == (None, None, None, 0.0)
    assert said in found.reason


@pytest.mark.parametrize("values", [[math.nan] * 5, [1.0, math.inf]])
def test_figures_that_are_not_finite_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="not finite"):
        compare([1.0] * 5, values)
    with pytest.raises(ValueError, match="not finite"):
        compare(values, [1.0] * 5)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        compare(TEN, TEN, margin=margin)


def test_large_samples_pass_over_to_the_normal_distribution_without_a_step() -> None:
    assert 100 * 100 <= LARGEST_EXACT < 100 * 101
    exact, exact_coverage = trimmed(100, 100, CONFIDENCE)
    approximate, coverage = trimmed(100, 101, CONFIDENCE)
    assert approximate / (100 * 101) == pytest.approx(exact / (100 * 100), rel=0.005)
    assert coverage == pytest.approx(exact_coverage, abs=5e-4)


@pytest.mark.parametrize("cv", [0.02, 0.05])
def test_what_is_detectable_is_detected_nine_times_in_ten(cv: float) -> None:
    chance = random.Random(11)
    pool = [value for arm in arms(chance, log_normal(cv), runs=20) for value in arm]
    smallest = detectable(pool, runs=10)
    assert smallest is not None
    assert 0.05 < smallest < 0.05 + 4 * cv
    assert 0.8 <= slower_of(200, smallest, log_normal(cv)) / 200 <= 0.98


def test_more_runs_detect_less_and_the_answer_is_always_the_same() -> None:
    pool = arms(random.Random(4), log_normal(0.08), runs=20)[0]
    few, many = detectable(pool, runs=5), detectable(pool, runs=40)
    assert few is not None
    assert many is not None
    assert many < few
    assert detectable(pool, runs=5) == few


@pytest.mark.parametrize(("values", "runs"), [([1.0], 10), ([], 10), ([1.0, 2.0], 4), ([0.0, 1.0], 10)])
def test_nothing_is_said_to_be_detectable_from_nothing(values: list[float], runs: int) -> None:
    assert detectable(values, runs) is None
