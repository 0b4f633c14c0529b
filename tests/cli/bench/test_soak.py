"""What ``imgtool bench soak`` refuses, prints and exits with."""

from __future__ import annotations

import json
import sys

import pytest
import typer

from imgtool.bench.experiments.leak import Leak, LeakVerdict, Round
from imgtool.bench.experiments.soak import Drift, Soak, SoakFailure
from imgtool.bench.stats.slope import Slope
from imgtool.cli.bench.common import contenders
from imgtool.cli.bench.soak import _check_engines, _report
from imgtool.errors import ExitCode, UsageProblem

DESCRIBE = ["--tasks", "caption", "--caption-engine", "describe"]


def a_soak(**changes: object) -> Soak:
    drift = Drift(
        name="processor time", is_memory=False, median=0.5, change=0.01, low=-0.1, high=0.05, grows=False, judged=True
    )
    given = {
        "arm": "a", "restarts": 3, "succeeded": 3, "failures": (), "files": (), "shared_memory": (), "processes": (),
        "outlived": 0, "drifts": (drift,), "samples": (),
    }  # fmt: skip
    return Soak(**{**given, **changes})  # type: ignore[arg-type]


def a_leak(verdict: LeakVerdict) -> Leak:
    slope = Slope(estimate=1000.0, low=500.0, high=1500.0, level=1e6, n=10)
    last = Round(calls=20, anon=slope, heap=None, objects=slope)
    return Leak(
        verdict=verdict, reason="because", calls=35, warm_up_calls=5, tolerance=10, engines=("e",), rounds=(last,),
        readings=(),
    )  # fmt: skip


def report(soaks: list[Soak], leaks: dict[str, Leak], *, as_json: bool = False) -> int:
    try:
        _report(soaks, leaks, as_json)
    except typer.Exit as left:
        return left.exit_code
    return 0


def test_a_sound_arm_is_printed_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([a_soak()], {"a": a_leak(LeakVerdict.NO_LEAK)}) == ExitCode.OK
    out = capsys.readouterr().out
    assert "a: 3 of 3 starts succeeded" in out
    assert "left behind: nothing" in out
    assert "processor time: 500 ms, +1.0% over all starts (-10.0% to +5.0%): no drift" in out
    assert "a: no leak over 35 calls (e)" in out
    assert "not readable here" in out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"files": tuple("abcdef")}, "6 temporary files: a, b, c, d, e ..."),
        ({"outlived": 2}, "2 processes outlived the one that was started"),
        (
            {"succeeded": 2, "failures": (SoakFailure(restart=1, reason="crashed", stderr_tail="boom"),)},
            "start 2 crashed",
        ),
    ],
)
def test_what_is_not_sound_is_a_regression(
    changes: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([a_soak(**changes)], {}) == ExitCode.REGRESSION
    assert said in capsys.readouterr().out


def test_a_leak_is_a_regression_and_doubt_is_inconclusive() -> None:
    assert report([], {"a": a_leak(LeakVerdict.LEAK), "b": a_leak(LeakVerdict.INCONCLUSIVE)}) == ExitCode.REGRESSION
    assert report([], {"b": a_leak(LeakVerdict.INCONCLUSIVE)}) == ExitCode.INCONCLUSIVE


def test_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    report([a_soak()], {"a": a_leak(LeakVerdict.NO_LEAK)}, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["restarts"][0]["arm"] == "a"
    assert found["leaks"]["a"]["verdict"] == "no leak"


def test_a_leak_check_needs_an_engine_that_computes() -> None:
    _check_engines(contenders([], [], DESCRIBE, ["x.png"]))
    with pytest.raises(UsageProblem, match="--leak needs imgtool's engine"):
        _check_engines(contenders([], [f"x={sys.executable}"], [], ["x.png"]))
    with pytest.raises(UsageProblem, match="--leak computes every answer"):
        _check_engines(contenders(["cached"], [], DESCRIBE, ["x.png"]))
