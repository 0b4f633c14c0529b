"""The leak check on engines that leak, that fill up, and that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.experiments.leak import Leak, LeakVerdict, measure_leak
from imgtool.bench.measure.child import ChildFailed
from imgtool.errors import UsageProblem
from tests.bench.leaky import BYTES
from tests.pictures import flat


def check(tmp_path: Path, engine: str, calls: int = 49, tasks: str = "caption") -> Leak:
    image = flat(tmp_path / "x.png", (9, 9, 9), (64, 48))
    flags = {"tasks": tasks, "caption_engine": engine}
    return measure_leak(flags, image, calls=calls, scratch=tmp_path)


@pytest.mark.parametrize("kind", ["Leaky", "NativeLeaky"])
def test_finds_a_leak_of_100_kb_a_call_and_how_large_it_is(tmp_path: Path, kind: str) -> None:
    found = check(tmp_path, f"tests.bench.leaky:{kind}")
    assert found.verdict is LeakVerdict.LEAK
    last = found.rounds[-1]
    assert last.anon.low <= 1.05 * BYTES
    assert last.anon.high >= 0.95 * BYTES
    if last.heap is not None:
        assert last.heap.estimate == pytest.approx(BYTES, rel=0.05)
    assert "look at buffers" in found.reason


@pytest.mark.parametrize("kind", ["Sound", "Filling"])
def test_clears_what_keeps_nothing_and_what_stops_growing(tmp_path: Path, kind: str) -> None:
    found = check(tmp_path, f"tests.bench.leaky:{kind}")
    assert found.verdict is LeakVerdict.NO_LEAK, found.reason
    assert found.engines == (kind.lower(),)


def test_rounds_grow_and_together_are_all_calls(tmp_path: Path) -> None:
    found = check(tmp_path, "tests.bench.leaky:Sound", calls=40)
    lasts = [reading.call for reading in found.readings]
    assert lasts == sorted(lasts)
    assert lasts[-1] == 40 + found.warm_up_calls
    first, second, third = (found_round.calls for found_round in found.rounds)
    assert first < second < third


@pytest.mark.slow
def test_clears_the_engine_over_500_calls(tmp_path: Path) -> None:
    found = check(tmp_path, "describe", calls=500)
    assert found.verdict is LeakVerdict.NO_LEAK, found.reason


def test_an_engine_that_fails_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="planted load failure"):
        check(tmp_path, "tests.planted:FailsLoading")


def test_an_engine_that_kills_the_process_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="SIGKILL"):
        check(tmp_path, "tests.planted:DiesLoading")


def test_too_few_calls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="--calls"):
        check(tmp_path, "describe", calls=10)
