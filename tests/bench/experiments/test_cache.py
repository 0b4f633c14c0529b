"""What `bench cache` measures, and that it measures the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.experiments import cache as cache_bench
from imgtool.bench.experiments.cache import Filling, Looking, fill, look_up, made_up, measure, percentiles, sizes_up_to
from imgtool.bench.measure.child import ChildFailed
from imgtool.errors import OutputNotWritable
from tests.caches import Opened


def test_a_filled_store_holds_what_a_run_would_read(tmp_path: Path) -> None:
    filled = fill(Filling(str(tmp_path), 0, 120))
    assert filled.entries == 120
    with Opened(tmp_path) as opened:
        assert opened.fingerprints(made_up(7).key) == set(made_up(7).answers)
        assert opened.fingerprints(made_up(120).key) is None
        assert opened.warnings == []


def test_look_ups_find_every_record_and_no_other(tmp_path: Path) -> None:
    fill(Filling(str(tmp_path), 0, 50))
    found = look_up(Looking(str(tmp_path), 50, 200, 1))
    assert (found.hits.count, found.misses.count, found.cpu.count) == (200, 200, 200)
    assert 0 < found.hits.median <= found.hits.p99 <= found.hits.maximum


def test_a_store_that_lost_records_is_not_measured(tmp_path: Path) -> None:
    fill(Filling(str(tmp_path), 0, 10))
    with pytest.raises(ChildFailed, match="lost"):
        look_up(Looking(str(tmp_path), 1000, 100, 1))


def test_grows_one_store_and_measures_it_in_fresh_processes(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = list(measure(1200, lookups=100, runs=2, folder=scratch, say=lambda text: None))
    assert [size.records for size in found] == [1000, 1200]
    assert all(len(size.runs) == 2 for size in found)
    assert found[0].bytes < found[1].bytes
    low, middle, high = found[0].spread(lambda run: run.hits.p99)
    assert middle == pytest.approx((low + high) / 2), "between the two of an even number, as a median is"
    assert list(scratch.iterdir()) == []


def test_no_room_is_said_before_anything_is_filled(tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritable, match="GB free"):
        list(measure(10**12, lookups=100, runs=1, folder=tmp_path, say=lambda text: None))


@pytest.mark.parametrize(
    ("records", "sizes"),
    [(1, (1,)), (999, (999,)), (1000, (1000,)), (1001, (1000, 1001)), (10**6, (10**3, 10**4, 10**5, 10**6))],
)
def test_sizes_are_powers_of_ten_up_to_the_last(records: int, sizes: tuple[int, ...]) -> None:
    assert sizes_up_to(records) == sizes


def test_percentiles_are_values_that_were_measured() -> None:
    found = percentiles([float(value) for value in range(100, 0, -1)])
    assert (found.median, found.p99, found.maximum) == (50.0, 99.0, 100.0)
    assert percentiles([3.0]) == cache_bench.Percentiles(count=1, median=3.0, p99=3.0, maximum=3.0)
