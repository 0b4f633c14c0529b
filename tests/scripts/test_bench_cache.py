"""``scripts/bench_cache.py`` measures the real store, and finds every record again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from scripts.bench_cache import fill, look_up, made_up, percentile
from tests.caches import Opened
from tests.conftest import ROOT
from tests.pictures import folder, greys

DESCRIBE = "--tasks caption --caption-engine describe"


def bench_cache(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "bench_cache.py", *words, "--options", DESCRIBE]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_a_filled_store_holds_what_a_run_would_read(tmp_path: Path) -> None:
    fill(tmp_path, 0, 120)
    with Opened(tmp_path) as opened:
        assert opened.fingerprints(made_up(7).key) == set(made_up(7).answers)
        assert opened.fingerprints(made_up(120).key) is None
        assert opened.warnings == []


def test_a_store_that_lost_records_is_not_measured(tmp_path: Path) -> None:
    fill(tmp_path, 0, 10)
    with pytest.raises(RuntimeError, match="lost"):
        look_up(tmp_path, 1000, 100, 1)


def test_percentiles_are_values_that_were_measured() -> None:
    seconds = [float(value) for value in range(100, 0, -1)]
    assert [percentile(seconds, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([3.0], 0.5) == 3.0


@pytest.mark.slow
def test_counts_hits_of_a_repeated_run_and_times_look_ups_at_every_size(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", greys(3))
    done = bench_cache(images, "--records", "1100", "--lookups", "200", "--runs", "1", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    found = json.loads(done.stdout)
    repeated = found["repeated"]
    assert (repeated["images"], repeated["first_hits"], repeated["hits"]) == (3, 0, 3)
    assert repeated["hit_rate_percent"] == 100
    assert [size["records"] for size in found["sizes"]] == [1000, 1100]
    assert found["sizes"][0]["bytes"] < found["sizes"][1]["bytes"]
    assert all(0 < size["hit_p50"] <= size["hit_p99"] for size in found["sizes"])


@pytest.mark.slow
def test_prints_a_table_and_gates(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", greys(1))
    words = ("--records", "100", "--lookups", "100", "--runs", "1", "--max-p99", "0.0001ms", "--min-hit-rate", "90")
    done = bench_cache(images, *words)
    assert done.returncode == ExitCode.REGRESSION, done.stderr
    assert "1 of 1 images from the cache (100 %)" in done.stdout
    assert "regression: p99 of a hit is" in done.stderr
    assert "the hit rate is" not in done.stderr
