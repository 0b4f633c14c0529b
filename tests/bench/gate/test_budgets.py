"""Budgets as they are written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.data.record import Metric
from imgtool.bench.gate.budgets import Budgets, parse_budgets, parse_share
from imgtool.errors import ExitCode, UsageProblem


@pytest.mark.parametrize(
    ("text", "share"),
    [("10%", 0.1), ("0.1", 0.1), (" 2.5 % ", 0.025), (".5", 0.5), ("200%", 2.0), ("1.%", 0.01), ("0.05", 0.05)],
)
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text",
    ["", "%", "ten", "-10%", "0", "0%", "10", "1", "1e2", "nan", "inf", "5000%", "10%%", "10 percent", "0x1", "٣%x"],
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="--fail-slower") as caught:
        parse_budgets({"fail_slower": text})
    assert caught.value.exit_code is ExitCode.USAGE
    assert "10%" in caught.value.remedy


def test_a_percent_sign_that_is_missing_is_asked_for() -> None:
    with pytest.raises(UsageProblem, match="write 10%"):
        parse_budgets({"fail_memory": "10"})


def test_all_budgets_in_their_units() -> None:
    found = parse_budgets(
        {
            "fail_slower": "10%",
            "fail_memory": 0.2,
            "max_startup": "2.0s",
            "max_first_result": "900ms",
            "max_wall": 5,
            "max_memory": "1GiB",
        }
    )
    assert found == Budgets(
        fail_slower=0.1, fail_memory=0.2, max_startup=2.0, max_first_result=0.9, max_wall=5.0, max_memory=float(2**30)
    )
    assert found.limits == {
        Metric.STARTUP: 2.0,
        Metric.FIRST_RESULT: 0.9,
        Metric.WALL: 5.0,
        Metric.PEAK_RSS: float(2**30),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_startup", "0s"),
        ("max_startup", "-1s"),
        ("max_startup", "fast"),
        ("max_startup", float("nan")),
        ("max_startup", float("inf")),
        ("max_startup", True),
        ("max_startup", ["2s"]),
        ("max_memory", "1"),
        ("max_memory", "500"),
        ("max_memory", "10%"),
        ("max_memory", "999999999999TB"),
        ("max_wall", Path()),
    ],
)
def test_nonsense_limits_are_refused_with_an_example(name: str, value: object) -> None:
    option = "--" + name.replace("_", "-")
    with pytest.raises(UsageProblem, match=option) as caught:
        parse_budgets({name: value})
    assert caught.value.remedy.startswith(f"write for example {option} ")


def test_an_unknown_budget_is_refused() -> None:
    with pytest.raises(UsageProblem, match="--fail-faster") as caught:
        parse_budgets({"fail_faster": "10%"})
    assert "--fail-slower" in caught.value.remedy


def test_what_is_not_given_is_no_budget() -> None:
    assert not parse_budgets({"fail_slower": None, "max_memory": None})
    assert parse_budgets({"max_memory": "1GB"})
    assert not parse_budgets({"max_memory": "1GB"}).relative
    assert parse_budgets({"fail_memory": "5%"}).relative
