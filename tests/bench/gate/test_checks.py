"""Exit 0, 7 or 8, each for its own reason."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from imgtool.bench.data.record import Arm, ArmKind, Experiment, Metric, PageCache
from imgtool.bench.data.saved import BaselineUnusable
from imgtool.bench.gate.baseline import MachinesDiffer
from imgtool.bench.gate.budgets import Budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.gate.judgement import Check, CheckOutcome, Judgement, confirm, needs_confirmation, unconfirmed
from imgtool.errors import ExitCode, UsageProblem
from tests.bench.judged import MACHINE, SETTINGS, Figures, around, experiment, samples

TEN_PERCENT = Budgets(fail_slower=0.1)
SAME, SLOWER, FASTER, UNCLEAR = 1.0, 1.25, 0.8, 1.08


def startup(factor: float, *, seed: int = 0, spread: float = 0.02, runs: int = 10) -> Figures:
    return {Metric.STARTUP: around(factor, spread=spread, runs=runs, seed=seed)}


def versus(factor: float, **how: Any) -> Experiment:
    return experiment({"base": startup(1.0, seed=1), "head": startup(factor, **how)})


def but_wall(judgement: Judgement) -> list[Check]:
    """The checks beside that of the wall time, which is the same for all where a test says nothing else."""
    return [check for check in judgement.checks if check.metric is not Metric.WALL]


def only(judgement: Judgement) -> Check:
    (check,) = but_wall(judgement)
    return check


@pytest.mark.parametrize(
    ("factor", "spread", "code"),
    [
        (SAME, 0.02, ExitCode.OK),
        (FASTER, 0.02, ExitCode.OK),
        (FASTER, 0.15, ExitCode.OK),
        (1.05, 0.02, ExitCode.OK),
        (SLOWER, 0.02, ExitCode.REGRESSION),
        (1.13, 0.02, ExitCode.REGRESSION),
        (1.09, 0.1, ExitCode.INCONCLUSIVE),
        (SAME, 0.5, ExitCode.INCONCLUSIVE),
    ],
)
def test_one_arm_against_another(factor: float, spread: float, code: ExitCode) -> None:
    found = judge(versus(factor, spread=spread), "base", TEN_PERCENT)
    assert found.exit_code is code
    check = only(found)
    assert (check.arm, check.metric, check.limit) == ("head", Metric.STARTUP, 0.1)
    assert check.comparison is not None
    assert check.comparison.ratio == pytest.approx(factor, rel=0.2)


def test_against_a_saved_experiment() -> None:
    then = experiment({"compiled": startup(1.0)})
    assert judge(experiment({"compiled": startup(SAME, seed=1)}), then, TEN_PERCENT).exit_code is ExitCode.OK
    found = judge(experiment({"compiled": startup(SLOWER, seed=1)}), then, TEN_PERCENT)
    assert found.exit_code is ExitCode.REGRESSION
    text = only(found).text
    assert text.startswith("startup of compiled: 1.25 s against ")
    assert text.endswith("at most +10.0 % is allowed")
    assert any("interleaved" in notice for notice in found.notices)
    assert found.verdict == "failed: 1 passed, 1 failed"


def test_a_wider_budget_than_the_drift_between_sessions_needs_no_warning() -> None:
    then = experiment({"compiled": startup(1.0)})
    assert judge(experiment({"compiled": startup(SAME, seed=1)}), then, Budgets(fail_slower=0.2)).notices == ()


def test_without_a_baseline_the_reference_arm_is_one() -> None:
    assert judge(versus(SLOWER), None, TEN_PERCENT).exit_code is ExitCode.REGRESSION
    assert only(judge(versus(SLOWER), None, TEN_PERCENT)).arm == "head"


@pytest.mark.parametrize("baseline", [None, "other"])
def test_nothing_to_compare_with_is_wrong_usage(baseline: str | None) -> None:
    with pytest.raises(UsageProblem, match="to compare with") as caught:
        judge(experiment({"compiled": startup(1.0)}), baseline, TEN_PERCENT)
    assert "--baseline" in caught.value.remedy


def test_times_and_memory_have_budgets_of_their_own() -> None:
    base = {Metric.FIRST_RESULT: around(2), Metric.STEADY: around(0.5), Metric.PEAK_ANON: around(4e8)}
    head = {**base, Metric.PEAK_ANON: around(6e8, seed=2)}
    both = experiment({"base": base, "head": head})
    assert judge(both, "base", TEN_PERCENT).exit_code is ExitCode.OK
    found = judge(both, "base", Budgets(fail_slower=0.1, fail_memory=0.1))
    assert found.exit_code is ExitCode.REGRESSION
    outcomes = {check.metric: check.outcome for check in found.checks}
    assert outcomes[Metric.FIRST_RESULT] is CheckOutcome.PASSED
    assert outcomes[Metric.STEADY] is CheckOutcome.PASSED
    assert outcomes[Metric.PEAK_ANON] is CheckOutcome.FAILED
    failed = next(check for check in found.checks if check.outcome is CheckOutcome.FAILED)
    assert "peak of own memory of head: " in failed.text
    assert " MB against " in failed.text


def test_both_states_of_the_page_cache_are_judged() -> None:
    settings = msgspec.structs.replace(SETTINGS, page_cache=(PageCache.WARM, PageCache.COLD))
    cold = [
        *samples("base", startup(4.0), page_cache=PageCache.COLD),
        *samples("head", startup(8.0), page_cache=PageCache.COLD),
    ]
    found = judge(
        experiment({"base": startup(1.0), "head": startup(1.0, seed=1)}, taken=cold, settings=settings),
        "base",
        TEN_PERCENT,
    )
    checks = but_wall(found)
    assert {check.page_cache: check.outcome for check in checks} == {
        PageCache.WARM: CheckOutcome.PASSED,
        PageCache.COLD: CheckOutcome.FAILED,
    }
    assert "page cache cold" in checks[1].text


@pytest.mark.parametrize(
    ("median", "spread", "runs", "code"),
    [
        (1.5, 0.02, 10, ExitCode.OK),
        (2.5, 0.02, 10, ExitCode.REGRESSION),
        (2.0, 0.05, 10, ExitCode.INCONCLUSIVE),
        (1.5, 0.02, 5, ExitCode.OK),
        (9.0, 0.02, 5, ExitCode.REGRESSION),
        (1.5, 0.02, 4, ExitCode.INCONCLUSIVE),
        (9.0, 0.02, 1, ExitCode.INCONCLUSIVE),
    ],
)
def test_limits_hold_for_the_median_with_its_interval(median: float, spread: float, runs: int, code: ExitCode) -> None:
    now = experiment({"compiled": startup(median, spread=spread, runs=runs)})
    found = judge(now, None, Budgets(max_startup=2.0))
    assert found.exit_code is code
    check = only(found)
    assert check.limit == 2.0
    assert check.interval is not None
    assert check.value == pytest.approx(median, rel=0.05)
    assert ("too few" in check.text) == (runs < 5)


def test_a_median_that_rounds_to_its_limit_is_told_from_it() -> None:
    found = only(judge(experiment({"a": startup(2.0015, spread=0.00002)}), None, Budgets(max_startup=2.0)))
    assert found.outcome is CheckOutcome.FAILED
    assert re.search(r"median 2\.00[12] s \(2\.001 s to 2\.00[12] s\); at most 2\.00 s is allowed", found.text), (
        found.text
    )


def test_limits_do_not_hold_for_what_others_are_compared_with() -> None:
    eager = experiment({"eager": startup(9.0), "compiled": startup(1.0)})
    found = judge(eager, None, Budgets(max_startup=2.0))
    assert [check.arm for check in found.checks] == ["compiled"]
    assert any("eager" in notice for notice in found.notices)
    named = experiment({"base": startup(9.0), "head": startup(1.0)})
    assert [check.arm for check in judge(named, "base", Budgets(max_startup=2.0)).checks] == ["head"]


def test_limits_hold_for_every_other_arm_also_the_first() -> None:
    both = experiment({"compiled": startup(9.0), "compiled-fast": startup(1.0)})
    assert judge(both, None, Budgets(max_startup=2.0)).exit_code is ExitCode.REGRESSION
    alone = experiment({"eager": startup(9.0)})
    assert judge(alone, None, Budgets(max_startup=2.0)).exit_code is ExitCode.REGRESSION


@pytest.mark.parametrize("budgets", [Budgets(max_memory=1e9), Budgets(fail_memory=0.1), Budgets(max_first_result=1.0)])
def test_a_budget_that_nothing_was_measured_for_does_not_pass(budgets: Budgets) -> None:
    found = judge(versus(SAME), "base", budgets)
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert "was not measured" in only(found).text


def test_too_few_runs_decide_nothing() -> None:
    few = experiment({"base": startup(1.0, runs=4), "head": startup(3.0, runs=4)})
    found = judge(few, "base", TEN_PERCENT)
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert "5 of each" in only(found).text


def test_a_figure_of_zero_decides_nothing() -> None:
    found = judge(
        experiment({"base": {Metric.STARTUP: [0.0] * 10}, "head": {Metric.STARTUP: [1.0] * 10}}), None, TEN_PERCENT
    )
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert "zero or negative" in only(found).text


def test_an_arm_that_crashes_fails_whatever_its_figures() -> None:
    now = experiment({"base": startup(1.0), "head": startup(SAME, seed=1)}, taken=samples("head", {}, failed=1)[1:])
    found = judge(now, "base", TEN_PERCENT)
    assert found.exit_code is ExitCode.REGRESSION
    crashed = found.checks[0]
    assert (crashed.metric, crashed.outcome) == (None, CheckOutcome.FAILED)
    assert crashed.text == "head: 1 of 11 runs failed: killed by SIGSEGV"
    assert needs_confirmation(found) == ()


def test_an_arm_that_was_never_run_fails() -> None:
    found = judge(experiment({"base": startup(1.0), "head": {}}, taken=()), "base", TEN_PERCENT)
    assert found.exit_code is ExitCode.REGRESSION
    assert "0 of 0" not in found.checks[0].text
    assert "head was not run" in found.checks[0].text


def test_what_failed_before_is_no_regression() -> None:
    broken = {"compiled": startup(1.0), "lazy": {}}
    crashes = samples("lazy", {}, failed=10)
    now, then = experiment(broken, taken=crashes), experiment(broken, taken=crashes)
    assert judge(now, then, TEN_PERCENT).exit_code is ExitCode.INCONCLUSIVE
    was_well = experiment({"compiled": startup(1.0), "lazy": startup(1.0)})
    assert judge(now, was_well, TEN_PERCENT).exit_code is ExitCode.REGRESSION


def test_a_base_that_crashes_is_not_the_fault_of_the_head() -> None:
    now = experiment({"base": {}, "head": startup(1.0)}, taken=samples("base", {}, failed=10))
    found = judge(now, "base", TEN_PERCENT)
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert all(check.outcome is CheckOutcome.INCONCLUSIVE for check in found.checks)


def test_another_machine_is_refused_with_what_differs() -> None:
    then = experiment({"compiled": startup(1.0)}, machine=msgspec.structs.replace(MACHINE, kernel="5.15.0"))
    with pytest.raises(MachinesDiffer, match=r"kernel: 5\.15\.0 → 6\.8\.0-31") as caught:
        judge(experiment({"compiled": startup(1.0)}), then, TEN_PERCENT)
    assert "--across-machines" in caught.value.remedy
    assert caught.value.exit_code is ExitCode.USAGE


def across(now: dict[str, Figures], then: dict[str, Figures]) -> Judgement:
    elsewhere = msgspec.structs.replace(MACHINE, cpu="slower")
    return judge(experiment(now), experiment(then, machine=elsewhere), TEN_PERCENT, across_machines=True)


def test_across_machines_only_ratios_to_the_reference_count() -> None:
    """The other machine takes three times as long for everything: only what changed against eager is a change."""
    then = {"eager": startup(30.0, seed=1), "compiled": startup(3.0, seed=2)}
    well = across({"eager": startup(10.0, seed=3), "compiled": startup(1.0, seed=4)}, then)
    assert well.exit_code is ExitCode.OK
    assert only(well).arm == "compiled"
    assert "times the reference arm" in only(well).text
    assert any("only ratios to eager" in notice for notice in well.notices)
    worse = across({"eager": startup(10.0, seed=3), "compiled": startup(1.3, seed=4)}, then)
    assert worse.exit_code is ExitCode.REGRESSION


@pytest.mark.parametrize("now", ["compiled", "eager"])
def test_across_machines_without_a_common_reference_is_refused(now: str) -> None:
    with pytest.raises(BaselineUnusable):
        across({now: startup(1.0)}, {"eager": startup(3.0), "lazy": startup(3.0)})


def test_other_work_is_refused_also_across_machines() -> None:
    settings = msgspec.structs.replace(SETTINGS, tasks=("caption",))
    with pytest.raises(BaselineUnusable, match="tasks: caption → caption text"):
        judge(
            experiment({"compiled": startup(1.0)}),
            experiment({"compiled": startup(1.0)}, settings=settings),
            TEN_PERCENT,
            across_machines=True,
        )


def test_a_baseline_of_other_arms_is_refused_and_of_some_is_said() -> None:
    now = experiment({"compiled": startup(1.0), "new": startup(9.0)})
    with pytest.raises(BaselineUnusable, match="no arm in common: the baseline has lazy"):
        judge(now, experiment({"lazy": startup(1.0)}), TEN_PERCENT)
    found = judge(now, experiment({"compiled": startup(1.0), "gone": startup(1.0)}), TEN_PERCENT)
    assert found.exit_code is ExitCode.OK
    assert any(notice.startswith("new is not in the baseline") for notice in found.notices)
    assert any(notice.startswith("gone is in the baseline") for notice in found.notices)


def test_a_page_cache_that_the_baseline_lacks_is_left_out_or_refused() -> None:
    both = msgspec.structs.replace(SETTINGS, page_cache=(PageCache.WARM, PageCache.COLD))
    cold = msgspec.structs.replace(SETTINGS, page_cache=(PageCache.COLD,))
    then = experiment({"compiled": startup(1.0)})
    found = judge(experiment({"compiled": startup(1.0)}, settings=both), then, TEN_PERCENT)
    assert found.exit_code is ExitCode.OK
    assert any("cold page cache" in notice for notice in found.notices)
    with pytest.raises(BaselineUnusable, match="page cache"):
        judge(experiment({"compiled": startup(1.0)}, settings=cold), then, TEN_PERCENT)


def test_an_arm_of_the_same_name_that_is_another_is_said() -> None:
    then = experiment({"compiled": startup(1.0)})
    changed = Arm(name="compiled", kind=ArmKind.ANALYZE, options=("--precision", "fast"))
    found = judge(msgspec.structs.replace(then, arms=(changed,)), then, TEN_PERCENT)
    assert any("options: none → --precision fast" in notice for notice in found.notices)


def test_no_budget_checks_nothing() -> None:
    found = judge(versus(SLOWER), "base", Budgets())
    assert (found.checks, found.exit_code) == ((), ExitCode.OK)
    assert "no budget" in found.verdict


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (SLOWER, SLOWER, ExitCode.REGRESSION),
        (SLOWER, SAME, ExitCode.OK),
        (SLOWER, UNCLEAR, ExitCode.INCONCLUSIVE),
    ],
)
def test_a_failure_counts_when_a_second_experiment_fails_too(first: float, second: float, code: ExitCode) -> None:
    before = judge(versus(first), "base", TEN_PERCENT)
    assert needs_confirmation(before) == ("head",)
    after = judge(versus(second, seed=8, spread=0.1 if second == UNCLEAR else 0.02), "base", TEN_PERCENT)
    merged = confirm(before, after)
    assert merged.exit_code is code
    assert ("at first" if code is ExitCode.REGRESSION else "run before") in only(merged).text


def test_what_passed_is_neither_repeated_nor_undone() -> None:
    before = judge(versus(SAME), "base", TEN_PERCENT)
    assert needs_confirmation(before) == ()
    assert confirm(before, judge(versus(SLOWER), "base", TEN_PERCENT)).exit_code is ExitCode.OK


def test_what_was_not_repeated_stays() -> None:
    arms = {"base": startup(1.0), "wild": startup(1.0, spread=0.5), "head": startup(SLOWER)}
    before = judge(experiment(arms), "base", TEN_PERCENT)
    assert before.exit_code is ExitCode.REGRESSION
    assert needs_confirmation(before) == ("head",)
    merged = confirm(before, judge(versus(SAME), "base", TEN_PERCENT))
    assert {check.arm: check.outcome for check in but_wall(merged)} == {
        "wild": CheckOutcome.INCONCLUSIVE,
        "head": CheckOutcome.PASSED,
    }
    assert merged.verdict == "inconclusive: 3 passed, 1 inconclusive"


def test_a_crash_counts_in_whichever_run_it_happened() -> None:
    crashes = samples("head", {}, failed=1)[1:]
    slow, well = versus(SLOWER), versus(SAME)
    crashed = msgspec.structs.replace(well, samples=(*well.samples, *crashes))
    for one, two in ((slow, crashed), (crashed, well)):
        merged = confirm(judge(one, "base", TEN_PERCENT), judge(two, "base", TEN_PERCENT))
        assert merged.exit_code is ExitCode.REGRESSION
        assert any("SIGSEGV" in check.text for check in merged.checks)


def test_an_arm_that_is_not_measured_again_is_not_said_to_be_missing() -> None:
    then = experiment({"head": startup(1.0), "other": startup(1.0)})
    now = {"head": startup(SLOWER, seed=1), "other": startup(SAME, seed=2)}
    again = judge(experiment({"head": now["head"]}), then, TEN_PERCENT)
    merged = confirm(judge(experiment(now), then, TEN_PERCENT), again)
    assert merged.exit_code is ExitCode.REGRESSION
    assert not any("was not measured now" in notice for notice in merged.notices)


def test_what_was_not_confirmed_is_no_failure() -> None:
    crash = samples("head", {}, failed=1)[1:]
    slow = versus(SLOWER)
    found = unconfirmed(judge(slow, "base", TEN_PERCENT))
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert only(found).text.endswith("; not confirmed")
    assert "the second measurement did not finish" in found.notices[-1]
    crashed = judge(msgspec.structs.replace(slow, samples=(*slow.samples, *crash)), "base", TEN_PERCENT)
    assert unconfirmed(crashed).exit_code is ExitCode.REGRESSION, "a crash needs no second measurement"
    well = judge(versus(SAME), "base", TEN_PERCENT)
    assert unconfirmed(well) == well, "nothing was to be confirmed"


def test_a_judgement_is_data() -> None:
    found = judge(versus(SLOWER), "base", Budgets(fail_slower=0.1, max_startup=1.0))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Judgement) == found
