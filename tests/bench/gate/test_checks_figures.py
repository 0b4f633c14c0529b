"""Which figures the gate holds against a budget, where some are known of one side, one arm or some runs alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import Arm, ArmKind, Experiment, Metric
from imgtool.bench.gate.budgets import Budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.gate.judgement import CheckOutcome, Judgement, needs_confirmation
from imgtool.errors import ExitCode
from tests.bench.judged import Figures, around, experiment

TEN_PERCENT = Budgets(fail_slower=0.1)
SAME, SLOWER = 1.0, 1.25
STARTED: Figures = {Metric.STARTUP: around(0.5)}


def checked(judgement: Judgement) -> dict[Metric | None, CheckOutcome]:
    """The outcome of every figure, of judgements on one arm."""
    return {check.metric: check.outcome for check in judgement.checks}


def test_a_program_without_phases_is_judged_by_its_wall_time() -> None:
    both = experiment({"old": {Metric.WALL: around(1)}, "new": {Metric.WALL: around(SLOWER)}})
    assert checked(judge(both, "old", TEN_PERCENT)) == {Metric.WALL: CheckOutcome.FAILED}


def test_wall_time_is_judged_beside_the_phases() -> None:
    """A program that shows its first result as soon as ever, and then takes seven times as long."""
    old = {Metric.WALL: around(1), Metric.FIRST_RESULT: around(0.1)}
    both = experiment({"old": old, "new": {**old, Metric.WALL: around(7, seed=1)}})
    found = judge(both, "old", TEN_PERCENT)
    assert found.exit_code is ExitCode.REGRESSION
    assert checked(found) == {Metric.FIRST_RESULT: CheckOutcome.PASSED, Metric.WALL: CheckOutcome.FAILED}
    assert needs_confirmation(found) == ("new",)


@pytest.mark.parametrize(("factor", "code"), [(SAME, ExitCode.OK), (2.0, ExitCode.REGRESSION)])
@pytest.mark.parametrize("lacks", ["old", "new"])
def test_what_one_side_alone_has_is_said_and_the_rest_is_compared(factor: float, code: ExitCode, lacks: str) -> None:
    """An older install or a peer writes no trace: its wall time is known, no phase."""
    walls = {"old": around(1), "new": around(factor, seed=1)}
    now = experiment({n: {Metric.WALL: wall, **({} if n == lacks else STARTED)} for n, wall in walls.items()})
    found = judge(now, "old", TEN_PERCENT)
    assert found.exit_code is code
    assert checked(found).keys() == {Metric.WALL}
    assert f"startup of new is not compared: {lacks} has none" in found.notices


def test_wall_time_of_a_program_of_ones_own_against_an_arm_of_ours_is_doubted() -> None:
    arms = {"compiled": {Metric.WALL: around(1)}, "peer": {Metric.WALL: around(SAME, seed=1)}}
    now = experiment(arms)
    peer = Arm(name="peer", kind=ArmKind.COMMAND, command=("peer", "x.png"))
    found = judge(replace(now, arms=(now.arms[0], peer)), "compiled", TEN_PERCENT)
    assert any("peer" in notice and "same work" in notice for notice in found.notices)
    assert not any("same work" in notice for notice in judge(now, "compiled", TEN_PERCENT).notices)


def test_a_relative_budget_is_held_against_every_arm() -> None:
    """Here no memory is known of the arm and the reference, but of another arm."""
    timed, weighed = {Metric.WALL: around(1)}, {Metric.PEAK_ANON: around(4e8), Metric.PEAK_RSS: around(5e8)}
    found = judge(experiment({"base": timed, "head": weighed, "short": timed}), "base", Budgets(fail_memory=0.1))
    assert {(check.arm, check.outcome) for check in found.checks} == {
        ("head", CheckOutcome.INCONCLUSIVE),
        ("short", CheckOutcome.INCONCLUSIVE),
    }


def test_a_limit_is_held_against_every_arm() -> None:
    first = {Metric.FIRST_RESULT: around(1)}
    now = experiment({"traced": first, "peer": {Metric.WALL: around(1)}})
    found = judge(now, None, Budgets(max_first_result=2.0))
    assert {check.arm: check.outcome for check in found.checks} == {
        "traced": CheckOutcome.PASSED,
        "peer": CheckOutcome.INCONCLUSIVE,
    }
    assert "first result of peer was not measured" in found.checks[1].text


def weighed_now_and_then(times: float) -> Experiment:
    """Every other run of ``head`` was too short for its memory to be seen."""
    arms = {
        name: {Metric.PEAK_ANON: around(size), Metric.PEAK_RSS: around(size)}
        for name, size in (("base", 4e8), ("head", 4e8 * times))
    }
    now = experiment(arms)
    return replace(
        now,
        samples=tuple(replace(one, memory=None) if one.arm == "head" and one.run % 2 else one for one in now.samples),
    )


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0])
def test_memory_of_some_runs_alone_decides_nothing(times: float) -> None:
    found = judge(weighed_now_and_then(times), "base", Budgets(fail_memory=0.1, max_memory=6e8))
    assert {check.outcome for check in found.checks} == {CheckOutcome.INCONCLUSIVE}
    assert all("measured in 5 of 10 runs" in check.text for check in found.checks)
