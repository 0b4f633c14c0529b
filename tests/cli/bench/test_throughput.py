"""The combinations that ``imgtool bench throughput`` measures, and how they are printed."""

from __future__ import annotations

import sys

import pytest

from imgtool.bench.experiments.throughput import Cell, CellResult, Throughput
from imgtool.bench.stats.statistics import summarise
from imgtool.cli.bench.throughput import _cells, _numbers, _print, _sizes

DESCRIBE = ["--tasks", "caption", "--caption-engine", "describe"]


def test_every_combination_that_means_something() -> None:
    found = _cells(["mine="], [f"other={sys.executable}"], DESCRIBE, ["x.png"], (1, 4), (1, 2))
    assert [(cell.arm, cell.batch_size, cell.threads) for cell, _ in found] == [
        ("mine", 1, 1),
        ("mine", 1, 2),
        ("mine", 4, 1),
        ("mine", 4, 2),
        ("other", None, None),
    ]
    words = found[1][1].arm.command
    assert words[words.index("--threads") + 1] == "2"


def test_numbers_and_sizes() -> None:
    assert _numbers("1, 2,2") == (1, 2)
    assert _sizes("10x20,30X40") == ((10, 20), (30, 40))
    for text in ("", "0", "-1", "a", "1,,2"):
        with pytest.raises(ValueError, match="not a list of numbers"):
            _numbers(text)
    for text in ("10", "0x5", "10x", "10x30000"):
        with pytest.raises(ValueError, match="not a size"):
            _sizes(text)


def test_the_table_has_rates_and_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    rate = summarise([10.0, 20.0])
    fine = CellResult(cell=Cell(arm="a", batch_size=8, threads=2), runs=(), overall=rate, per_core=7.5, efficiency=0.9)
    bad = CellResult(
        cell=Cell(arm="b", batch_size=None, threads=None), runs=(), error="exited with code 1", stderr_tail="planted"
    )
    _print(Throughput(images=3, image_bytes=9, sizes=("9x9",), cores=2, runs=2, cells=(fine, bad)))
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("3 images of 9x9, 2 cores, 2 runs of each")
    assert "a 8 2 not known 15.00 ± 7.07 7.50 90%" in out
    assert "b failed: exited with code 1 planted" in out
    assert "spread is 47% (a): close other programs, or raise --runs" in out
