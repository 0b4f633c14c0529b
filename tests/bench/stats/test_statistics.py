"""Summaries against numpy and scipy, and an interval that covers as often as it says."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.bench.stats.statistics import Summary, median_interval, summarise

FIGURES = st.lists(st.floats(min_value=1e-6, max_value=1e12), min_size=1, max_size=60)


@settings(max_examples=1000, deadline=None)
@given(FIGURES)
def test_figures_are_those_of_numpy_and_scipy(values: list[float]) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    found = summarise(values)
    assert found.n == len(values)
    assert found.minimum == np.min(values)
    assert found.maximum == np.max(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.median == pytest.approx(np.median(values), rel=1e-12)
    assert found.mad == pytest.approx(scipy_stats.median_abs_deviation(values), rel=1e-9, abs=1e-9 * found.maximum)
    if len(values) > 1:
        wanted = np.std(values, ddof=1)
        assert found.standard_deviation == pytest.approx(wanted, rel=1e-9, abs=1e-12 * found.maximum)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 120), st.sampled_from([0.8, 0.9, 0.95, 0.98, 0.99]))
def test_interval_of_the_median_is_the_narrowest_that_the_binomial_distribution_allows(n: int, wanted: float) -> None:
    binomial = pytest.importorskip("scipy.stats").binom
    interval = median_interval([float(place) for place in range(n)], wanted)
    left = int(interval.low)
    assert interval.high == n - 1 - left
    assert interval.coverage == pytest.approx(1 - 2 * binomial.cdf(left, n, 0.5), abs=1e-9)
    if left:
        assert interval.coverage >= wanted
    if 2 * (left + 1) < n:
        assert 1 - 2 * binomial.cdf(left + 1, n, 0.5) < wanted + 1e-12


@pytest.mark.parametrize("n", [5, 10, 25])
def test_interval_of_the_median_covers_as_often_as_it_says(n: int) -> None:
    chance = random.Random(n)
    rounds = 3000
    hits = 0
    for _ in range(rounds):
        interval = median_interval([chance.expovariate(1.0) for _ in range(n)])
        hits += interval.low <= math.log(2) <= interval.high
    coverage = median_interval([float(place) for place in range(n)]).coverage
    assert hits / rounds == pytest.approx(coverage, abs=4 * math.sqrt(coverage * (1 - coverage) / rounds))


def test_ten_figures() -> None:
    found = summarise([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    assert (found.interval.low, found.interval.high) == (2.0, 9.0)
    assert found.interval.coverage == 1 - 22 / 1024
    assert found.mad == 2.5
    assert found.spread == pytest.approx(math.sqrt(55 / 6) / 5.5)


def test_one_figure_has_no_spread_and_an_interval_that_covers_nothing() -> None:
    found = summarise([2.5])
    assert (found.mean, found.median, found.minimum, found.maximum, found.mad) == (2.5, 2.5, 2.5, 2.5, 0.0)
    assert found.standard_deviation is None
    assert found.spread is None
    assert found.outliers == ()
    assert (found.interval.low, found.interval.high, found.interval.coverage) == (2.5, 2.5, 0.0)


def test_two_figures_cover_the_median_every_other_time() -> None:
    found = summarise([3.0, 1.0])
    assert (found.interval.low, found.interval.high, found.interval.coverage) == (1.0, 3.0, 0.5)
    assert found.standard_deviation == pytest.approx(math.sqrt(2))
    assert found.outliers == ()


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf], [1.0, -math.inf, 2.0]])
def test_what_has_no_summary_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no figure|not finite"):
        summarise(values)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no figure"):
        median_interval([])


def test_outliers_are_named_by_place_and_kept() -> None:
    found = summarise([1.0, 1.1, 9.0, 0.9, 1.0, 1.05, 0.95])
    assert found.outliers == (2,)
    assert found.maximum == 9.0
    assert "3.5" in found.outlier_rule


def test_the_limit_of_the_modified_score_is_three_and_a_half() -> None:
    """Median 10, MAD 1: the limit lies at 3.5 / 0.6745 = 5.19 from the median."""
    around = [8.0, 9.0, 9.0, 10.0, 11.0, 11.0, 12.0]
    assert summarise([*around, 15.1, 4.9]).outliers == ()
    assert summarise([*around, 15.3, 4.7]).outliers == (7, 8)


def test_one_that_differs_from_many_equal_ones_stands_apart() -> None:
    assert summarise([4096.0] * 9 + [8192.0]).outliers == (9,)
    assert summarise([4096.0] * 10).outliers == ()


def test_few_of_a_normal_sample_stand_apart() -> None:
    chance = random.Random(5)
    marked = sum(len(summarise([chance.gauss(100, 5) for _ in range(20)]).outliers) for _ in range(200))
    beyond = 2 * NormalDist().cdf(-3.5) * 20 * 200
    assert beyond < marked < 0.02 * 20 * 200


def test_a_summary_is_data() -> None:
    import msgspec

    found = summarise([1.0, 2.0, 4.0])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Summary) == found
