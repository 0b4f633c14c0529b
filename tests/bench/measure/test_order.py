"""The order of samples: every run is there, and no arm stands later on average than another."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from imgtool.bench.measure.experiment import interleaved

CELLS = st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True)


@given(CELLS, st.integers(0, 20), st.integers(0, 3))
def test_every_cell_has_all_its_runs_once_and_in_order(cells: list[str], runs: int, warm_ups: int) -> None:
    taken = list(interleaved(cells, runs, warm_ups))
    for cell in cells:
        assert [run for each, run in taken if each == cell] == [-1] * warm_ups + list(range(runs))


@given(CELLS, st.integers(1, 10))
def test_a_steady_drift_falls_on_all_arms_alike(cells: list[str], pairs: int) -> None:
    taken = [cell for cell, _ in interleaved(cells, 2 * pairs, 0)]
    places = {cell: [n for n, each in enumerate(taken) if each == cell] for cell in cells}
    assert len({Fraction(sum(found), len(found)) for found in places.values()}) == 1


def test_two_arms_run_abba() -> None:
    assert "".join(cell for cell, _ in interleaved("AB", 4, 0)) == "ABBAABBA"
