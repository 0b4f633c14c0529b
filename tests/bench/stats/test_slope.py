"""The slope that tells growth from noise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.bench.stats.slope import slope

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=30)


@settings(max_examples=150, deadline=None)
@given(NUMBERS)
def test_agrees_with_scipy(ys: list[float]) -> None:
    scipy = pytest.importorskip("scipy.stats")
    xs = [float(x) for x in range(len(ys))]
    found = slope(xs, ys)
    theirs = scipy.theilslopes(ys, xs, alpha=0.95)
    assert found is not None
    assert found.estimate == pytest.approx(theirs.slope, abs=1e-9)
    # Theirs rounds the rank to the nearest, ours outwards: never narrower.
    assert found.low <= theirs.low_slope + 1e-9
    assert found.high >= theirs.high_slope - 1e-9


def test_the_interval_covers_the_true_slope_as_often_as_it_says() -> None:
    chance = random.Random(3)
    xs = [float(x) for x in range(40)]
    covered = 0
    for _ in range(300):
        found = slope(xs, [2.0 * x + chance.gauss(0, 5) for x in xs])
        assert found is not None
        covered += found.low <= 2.0 <= found.high
    assert 0.92 <= covered / 300 <= 0.99


def test_one_wild_reading_moves_nothing() -> None:
    ys = [float(x) for x in range(20)]
    ys[10] = 1e9
    found = slope([float(x) for x in range(20)], ys)
    assert found is not None
    assert found.estimate == pytest.approx(1.0)


@pytest.mark.parametrize(("xs", "ys"), [([], []), ([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_too_few_points_have_no_slope(xs: list[float], ys: list[float]) -> None:
    assert slope(xs, ys) is None
