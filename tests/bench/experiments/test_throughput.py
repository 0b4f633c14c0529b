"""Images a second of programs whose speed is known."""

from __future__ import annotations

import sys

import pytest

from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.experiments.throughput import Cell, CellResult, measure, rooflines
from imgtool.bench.measure.experiment import Contender
from imgtool.bench.roofline.bounds import Part, Rates, Work
from imgtool.bench.stats.statistics import summarise


def sleeping(cell: Cell, seconds: float) -> tuple[Cell, Contender]:
    return cell, Contender(Arm(name=cell.arm, kind=ArmKind.COMMAND, command=("sleep", str(seconds))))


def cell(arm: str, threads: int | None = None, batch_size: int | None = None) -> Cell:
    return Cell(arm=arm, batch_size=batch_size, threads=threads)


def measured(*cells: tuple[Cell, Contender], runs: int = 2) -> tuple[list[CellResult], list[str]]:
    said: list[str] = []
    return measure(cells, 10, runs=runs, timeout=20, say=said.append).cells, said


def test_a_rate_is_images_by_wall_time() -> None:
    (found,), _ = measured(sleeping(cell("a"), 0.2))
    assert found.rate is not None
    assert len(found.runs) == 2
    assert 20 < found.rate.median < 10 / 0.2
    assert found.steady is None, "the program does not say when its results come"


def test_cells_take_turns() -> None:
    _, said = measured(sleeping(cell("a"), 0), sleeping(cell("b"), 0))
    assert said == ["run 1 of 2: a", "run 1 of 2: b", "run 2 of 2: b", "run 2 of 2: a"]


def test_efficiency_is_against_the_fewest_threads() -> None:
    one, two = cell("a", 1, 8), cell("a", 2, 8)
    (twice, once, other), _ = measured(sleeping(two, 0.2), sleeping(one, 0.4), sleeping(cell("b", 4, 8), 0.1), runs=1)
    assert twice.rate is not None
    assert once.rate is not None
    assert twice.efficiency == pytest.approx(twice.rate.median / 2 / once.rate.median)
    assert 0.7 < twice.efficiency < 1.1
    assert once.efficiency is None
    assert other.efficiency is None


def test_a_cell_that_fails_is_not_run_again() -> None:
    words = (sys.executable, "-c", "import sys; sys.exit('planted')")
    bad = (cell("bad"), Contender(Arm(name="bad", kind=ArmKind.COMMAND, command=words)))
    (found, fine), said = measured(bad, sleeping(cell("fine"), 0))
    assert (found.error, len(found.runs), len(fine.runs)) == ("exited with code 1", 0, 2)
    assert "planted" in found.stderr_tail
    assert said.count("run 1 of 2: bad") == 1
    assert "run 2 of 2: bad" not in said


def test_the_roofline_stands_beside_the_fastest_cell() -> None:
    rates = Rates(threads=2, float_ops=100.0, int8_ops=400.0, bytes_read=10.0)
    slow = CellResult(cell=cell("a", 1), runs=(), overall=summarise([0.5]))
    fast = CellResult(cell=cell("a", 2), runs=(), overall=summarise([2.0]))
    unknown = CellResult(cell=cell("b"), runs=(), overall=summarise([1.0]))
    failed = CellResult(cell=cell("c"), runs=(), error="planted")
    parts = (Part(name="network", work=Work(ops=20)),)
    found = rooflines([fast, slow, unknown, failed], {"a": parts, "b": (), "c": parts}, rates)
    assert list(found) == ["a"]
    assert (found["a"].measured_seconds, found["a"].share) == (0.5, pytest.approx(0.4))


def test_a_cell_in_words() -> None:
    assert str(cell("compiled", 2, 8)) == "compiled, batches of 8, 2 threads"
    assert str(cell("peer", 1)) == "peer, 1 thread"
