"""A benchmark at a terminal, from experiments whose figures are known."""

from __future__ import annotations

import random
import re

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import Metric
from imgtool.bench.gate.budgets import parse_budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.report.findings import Findings, comparison_sentence
from imgtool.bench.report.terminal import terminal_report
from imgtool.bench.stats.comparison import compare
from tests.bench.sample_experiments import BOTH, experiment, hostile


def text(**changes: object) -> str:
    return terminal_report(experiment(**changes), width=100, color=False)  # type: ignore[arg-type]


def test_says_who_is_how_many_times_faster_with_the_interval() -> None:
    sentence = Findings(experiment()).headline("compiled")
    found = re.fullmatch(
        r"compiled starts (\S+) \((\S+)\.\.(\S+)\) times faster than eager; spread up to \S+ %", sentence
    )
    assert found is not None, sentence
    estimate, low, high = map(float, found.groups())
    assert low <= estimate <= high
    assert low < 5.0 / 0.45 < high


def test_has_median_deviation_range_and_runs_of_every_arm() -> None:
    made = experiment(runs=7)
    out = terminal_report(made, width=100, color=False)
    for arm in ("eager", "lazy", "compiled"):
        values = made.values(arm, Metric.STARTUP)
        row = next(line for line in out.splitlines() if line.startswith(f"{arm} "))
        unit = 1.0 if arm != "compiled" else 1e-3
        shown = f"{min(values) / unit:.{2 if unit == 1 else 0}f}..{max(values) / unit:.{2 if unit == 1 else 0}f}"
        assert shown in row
        assert re.search(r" 7  ", row)


def test_equal_arms_are_said_to_be_so() -> None:
    assert "b starts as fast as a, within 5 %" in text(arms={"a": 2.0, "b": 2.0}, spread=0.005)


def test_a_slower_arm_is_called_slower() -> None:
    assert re.search(r"b starts in (4|5)\d % \(\S+ %\) more time than a", text(arms={"a": 2.0, "b": 3.0}))
    assert re.search(r"b starts in 3\.\d+ \(\S+\) times the time of a", text(arms={"a": 1.0, "b": 3.0}))


def test_a_slightly_faster_arm_takes_less_time() -> None:
    out = text(arms={"a": 3.0, "b": 2.0})
    assert re.search(r"b starts in 3\d % \(\S+ %\) less time than a", " ".join(out.split()))
    assert "times" not in out.split("startup")[1].split("first result")[0]


def test_memory_is_less_not_faster() -> None:
    rows = [line for line in text().split("peak of resident memory")[1].splitlines() if line.startswith("compiled")]
    assert re.search(r"\d+ % \(\S+ %\) less$", rows[0])


@pytest.mark.parametrize(
    "factor, said",
    [
        (0.01, r"needs 99\.\d\d % \(\S+ %\) less memory than a"),
        (0.5, r"needs (49|50|51) % \(\S+ %\) less memory than a"),
        (1.3, r"needs (29|30|31) % \(\S+ %\) more memory than a"),
        (4.0, r"needs [34]\.\d+ \(\S+\) times the memory of a"),
    ],
)
def test_memory_is_compared_in_shares(factor: float, said: str) -> None:
    generator = random.Random(1)
    base = [1e9 * generator.gauss(1, 0.01) for _ in range(10)]
    other = [factor * 1e9 * generator.gauss(1, 0.01) for _ in range(10)]
    assert re.fullmatch(said, comparison_sentence(Metric.PEAK_RSS, "b", "a", compare(base, other)).removeprefix("b "))


def test_the_summary_and_the_headline_say_how_noisy_it_was() -> None:
    noisy = Findings(experiment(spread=0.2))
    assert re.fullmatch(r"spread up to \d\d %", noisy.noise)
    busy = replace(experiment(), noise=replace(experiment().noise, notices=("one", "two")))
    assert Findings(busy).headline("compiled").endswith(", 2 warnings about the machine")
    assert "Summary (spread up to " in text()


def test_advises_what_to_do_about_noise() -> None:
    assert re.search(r"spread is \d+ % .*: close other programs, or raise --runs", " ".join(text(spread=0.2).split()))
    assert "spread is" not in text(spread=0.02)


def test_names_outliers_by_run_and_figure() -> None:
    made = experiment({"a": 2.0}, runs=10)
    wild = [replace(s, startup=9.0) if s.run == 3 else s for s in made.samples]
    out = terminal_report(replace(made, samples=tuple(wild)), width=100, color=False)
    assert "a, run 4: startup 9.00 s" in out


def test_both_states_of_the_page_cache_stand_side_by_side() -> None:
    made = experiment(states=BOTH)
    out = terminal_report(made, width=100, color=False)
    row = next(line for line in out.splitlines() if line.startswith("eager "))
    warm, cold = (made.values("eager", Metric.STARTUP, state) for state in BOTH)
    for values in (warm, cold):
        middle = sorted(values)[4:6]
        assert f"{sum(middle) / 2:.2f} ±" in row
    assert "from a cold page cache, compiled starts" in out


def test_a_failed_arm_shows_its_reason_and_words_and_the_others_go_on() -> None:
    out = terminal_report(hostile(), width=100, color=False)
    assert "failed in run 10: exited with code 1" in " ".join(out.split())
    assert "\x1b" not in out
    assert re.search(r"compiled \S+ 11\.\d", out)


def test_an_experiment_without_a_single_success_still_prints() -> None:
    made = experiment({"a": 1.0}, runs=2)
    failed = tuple(replace(s, error="was killed by SIGSEGV", stderr_tail="boom") for s in made.samples)
    out = terminal_report(replace(made, samples=failed), width=80, color=False)
    assert "a failed in its warm-up run: was killed by SIGSEGV" in out
    assert "boom" in out


def test_a_reference_without_figures_makes_others_not_comparable() -> None:
    made = experiment({"a": 1.0, "b": 1.0}, runs=3)
    without = tuple(replace(s, memory=None) if s.arm == "a" else s for s in made.samples)
    out = terminal_report(replace(made, samples=without), width=100, color=False)
    memory = out.split("peak of resident memory")[1]
    assert "not comparable" in memory
    assert "reference" not in memory.split("Summary")[0].replace("against", "")


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120, 160, 200])
@pytest.mark.parametrize("color", [False, True])
def test_nothing_is_wider_than_the_terminal_and_no_figure_is_cut(width: int, color: bool) -> None:
    made = experiment(
        {"eager": 5.0, "a-name-of-forty-characters-as-long-as-any": 0.0123, "x": 171.3}, states=BOTH, spread=0.2
    )
    judged = judge(made, "eager", parse_budgets({"fail_slower": "10%", "max_startup": "2s"}))
    for one in (made, experiment(), hostile()):
        out = terminal_report(one, width=width, color=color, judgement=judged)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
        assert max(map(len, plain.splitlines())) <= width
        assert "…" not in plain
        assert ("\x1b[" in out) is color


def test_the_judgement_is_said_with_every_check() -> None:
    made = experiment()
    judged = judge(made, "eager", parse_budgets({"fail_slower": "10%", "max_startup": "2s"}))
    out = terminal_report(made, width=200, color=False, judgement=judged)
    assert f"Gate {judged.verdict}" in out
    for check in judged.checks:
        assert check.text in out
