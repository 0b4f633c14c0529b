"""A benchmark as Markdown, from experiments whose figures are known."""

from __future__ import annotations

import re
from statistics import mean, median, stdev

from msgspec.structs import replace

from imgtool.bench.data.record import Arm, ArmKind, Metric
from imgtool.bench.gate.budgets import parse_budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.report.content import Report
from imgtool.bench.report.findings import Findings
from imgtool.bench.report.markdown import headline_table, markdown_report
from tests.bench.sample_experiments import beside, experiment, hostile


def test_has_the_sentence_and_a_row_an_arm() -> None:
    out = markdown_report(Report(experiment(), arm="compiled"))
    assert re.match(r"### compiled starts \S+ \(\S+\) times faster than eager; spread up to \S+ %\n", out)
    assert re.search(r"^\| compiled \| \d+ ± \d+ ms \| \S+ \(\S+\) times faster \|$", out, re.M)


def test_a_document_of_its_own_has_a_title_and_a_picture() -> None:
    out = markdown_report(Report(experiment()), "Performance", "phases.svg")
    assert out.startswith("# Performance\n\n## ")
    assert (
        "\n\n## Where the time to the first result goes\n\n![Where the time to the first result goes](phases.svg)"
        in out
    )


def test_the_headline_table_has_an_arm_a_row() -> None:
    lines = headline_table(experiment()).splitlines()
    assert lines[0].endswith("| ready, against eager |")
    assert re.fullmatch(
        r"\| eager \| 5\.\d+ ± 0\.\d+ s \| 7\.\d+ ± 0\.\d+ s \| 1\.\d+ ± 0\.\d+ GB \| reference \|", lines[2]
    )
    assert len(lines) == 5


def test_has_every_figure_folded_away() -> None:
    made = experiment({"eager": 5.0, "lazy": 4.6}, runs=7)
    out = markdown_report(Report(made))
    folded = out.partition("<details><summary>All figures</summary>")[2].partition("</details>")[0]
    assert "| arm | mean | min | max | deviation | median | interval | runs | outliers |" in folded
    assert folded.count("\n| lazy | ") == len(Findings(made).metrics)
    values = made.values("lazy", Metric.STARTUP)
    figures = (mean(values), min(values), max(values), stdev(values), median(values))
    assert f"| lazy | {' | '.join(f'{figure:.2f} s' for figure in figures)} | " in folded


def test_says_what_deviations_and_intervals_are_of() -> None:
    out = markdown_report(Report(experiment()))
    assert "± is the standard deviation of the runs" in out
    assert "(a..b) is the 98 % confidence interval of the ratio before it" in out


def test_has_the_seconds_of_each_model_and_its_memory_where_that_can_be_told() -> None:
    out = markdown_report(Report(beside(experiment({"eager": 5.0, "lazy": 4.6}, spread=0.0))))
    folded = out.partition("<details><summary>Loading each model</summary>")[2].partition("</details>")[0]
    assert "| eager | blip | 2.00 s | 50 MB | 1.00 GB | 10 MB | 90 MB |" in folded
    assert "| eager | easyocr | 4.00 s | 50 MB | 700 MB | 10 MB | 90 MB |" in folded
    assert "| lazy | blip | 1.84 s | - | - | - | - |" in folded
    assert "| lazy | all together | 4.60 s | 50 MB | 920 MB | 10 MB | 90 MB |" in folded
    assert "Models of lazy load at the same time: only their sum is known." in folded


def test_says_the_verdict_of_the_gate_first() -> None:
    made = experiment()
    judged = judge(made, "eager", parse_budgets({"max_startup": "2s"}))
    assert markdown_report(Report(made, judged)).startswith("### ❌ Gate failed: ")


def test_hostile_names_are_neither_tags_nor_tables_nor_mentions() -> None:
    made = replace(hostile(), arms=(*hostile().arms, Arm(name="@team|x", kind=ArmKind.COMMAND)))
    made = replace(made, samples=(*made.samples, replace(made.samples[0], arm="@team|x", error="#1 `x`")))
    out = markdown_report(Report(made))
    prose = "\n".join(line for line in out.splitlines() if not line.startswith("    "))
    assert not re.search(r"<(?!/?details>|/?summary>|br>)", prose)
    assert "\\@team\\|x" in out
    assert "\\#1 \\`x\\`" in out
