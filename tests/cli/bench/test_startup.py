"""One ``imgtool bench startup`` in this process: quick programs, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.data.saved import load_experiment
from imgtool.bench.gate.budgets import Budgets
from imgtool.cli.bench.options import BenchOptions
from imgtool.cli.bench.startup import StartupBench
from imgtool.errors import ExitCode, UsageProblem

QUICK, SLOW, BROKEN = "quick=sleep 0.02", "slow=sleep 0.1", "broken=sh -c 'echo planted >&2; exit 9'"


def bench(tmp_path: Path, *commands: str, **options: object) -> tuple[ExitCode, Path]:
    saved = tmp_path / "run.json"
    given = BenchOptions(command=commands, runs=5, warm_ups=0, save=saved, **options)  # type: ignore[arg-type]
    return StartupBench(given, quiet=True).run(), saved


def test_what_was_measured_is_saved_and_nothing_is_judged_without_a_budget(tmp_path: Path) -> None:
    code, saved = bench(tmp_path, QUICK, SLOW)
    assert code is ExitCode.OK
    found = load_experiment(saved)
    assert (found.reference, found.settings.images, found.settings.tasks) == ("quick", (), ())
    assert len(found.samples) == 10


def test_a_slow_arm_fails_its_budget_in_two_measurements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = bench(tmp_path, QUICK, SLOW, budgets=Budgets(fail_slower=0.5))
    assert code is ExitCode.REGRESSION
    assert "measured once more" in " ".join(capsys.readouterr().out.split())


def test_without_confirmation_one_measurement_decides(tmp_path: Path) -> None:
    code, _ = bench(tmp_path, QUICK, SLOW, budgets=Budgets(max_wall=0.05), confirm=False)
    assert code is ExitCode.REGRESSION


def test_some_failed_and_all_failed_have_their_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, QUICK, BROKEN)[0] is ExitCode.SOME_FAILED
    assert "planted" in capsys.readouterr().out
    assert bench(tmp_path, BROKEN)[0] is ExitCode.NONE_ANSWERED


def test_a_self_test_runs_one_arm_twice(tmp_path: Path) -> None:
    code, saved = bench(tmp_path, QUICK, self_test=True)
    assert code is ExitCode.OK
    assert [arm.name for arm in load_experiment(saved).arms] == ["quick A", "quick the same again"]
    with pytest.raises(UsageProblem, match="--self-test needs one arm"):
        bench(tmp_path, QUICK, SLOW, self_test=True)


def test_a_reference_that_is_not_an_arm(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="--reference 'other' is not an arm"):
        bench(tmp_path, QUICK, reference="other")


def test_a_baseline_is_an_arm_or_a_file(tmp_path: Path) -> None:
    _, saved = bench(tmp_path, SLOW)
    base = saved.rename(tmp_path / "base.json")
    wide = Budgets(fail_slower=0.9)
    assert bench(tmp_path, SLOW, baseline=str(base), budgets=wide)[0] is ExitCode.OK
    assert bench(tmp_path, SLOW, QUICK, baseline="slow", budgets=wide)[0] is ExitCode.OK
