"""Drawings of the report, from experiments whose figures are known: what their labels say is what they show."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from imgtool.bench.data.history import append, load_history, trend
from imgtool.bench.data.record import Experiment, Metric, SamplePhase
from imgtool.bench.measure.phase_shares import OTHER
from imgtool.bench.report import charts
from imgtool.bench.report.findings import Findings, heading
from imgtool.bench.report.units import seconds_text
from tests.bench.sample_experiments import experiment


def taking(turns: list[tuple[float, float]]) -> Experiment:
    """Of each run the seconds of its two phases, which are all of its time to the first result."""
    made = experiment({"a": 1.0}, runs=len(turns))
    warm_up, *counted = made.samples
    changed = (
        replace(
            one,
            first_result=imports + caption,
            phases=(
                SamplePhase(name="imports", began=0.0, seconds=imports),
                SamplePhase(name="caption", began=imports, seconds=caption),
            ),
        )
        for one, (imports, caption) in zip(counted, turns, strict=True)
    )
    return replace(made, samples=(warm_up, *changed))


def bar(made: Experiment) -> tuple[str, dict[str, str]]:
    """The figure beside the only bar of the phases, and what its parts say."""
    drawn = charts.phases(Findings(made))
    assert drawn is not None
    ((_, svg, total, _),) = drawn.rows
    return total, dict(re.findall(r"<title>([^:<]+): ([^<]+)</title>", svg))


def test_the_total_of_the_phases_is_the_median_of_the_first_result() -> None:
    """Medians of parts do not add up to the median of the whole."""
    turns = [(1.0, 5.0), (2.0, 2.0), (5.0, 1.0)]
    assert median(a + b for a, b in turns) == 6.0
    total, parts = bar(taking(turns))
    assert total == "6.00 s"
    assert parts == {"imports": "2.00 s", "caption": "2.00 s", OTHER: "2.00 s"}


def test_parts_whose_medians_exceed_the_first_result_keep_them() -> None:
    turns = [(3.0, 0.0), (3.0, 3.0), (0.0, 3.0)]
    total, parts = bar(taking(turns))
    assert (total, parts) == ("3.00 s", {"imports": "3.00 s", "caption": "3.00 s"})


@pytest.mark.parametrize("arm", ["eager", "lazy"])
def test_the_total_is_what_the_headline_says(arm: str) -> None:
    made = experiment(spread=0.3, runs=7)
    drawn = charts.phases(Findings(made))
    middle = median(made.values(arm, Metric.FIRST_RESULT))
    assert drawn is not None
    assert (arm, seconds_text(middle)) in [(name, figure) for name, _, figure, _ in drawn.rows]


def test_memory_is_anonymous_and_files_by_the_medians() -> None:
    drawn = charts.memory(Findings(experiment({"a": 1.0}, spread=0.0)))
    assert drawn is not None
    ((name, svg, figure, _),) = drawn.rows
    assert (name, figure) == ("a", "300 MB + 100 MB")
    assert 'width="75.000%"' in svg
    assert charts.memory(Findings(replace(experiment({"a": 1.0}, runs=2), samples=()))) is None


def test_the_phases_of_all_arms_are_a_file_of_their_own() -> None:
    text = charts.phases_file(Findings(experiment({"eager": 5.0, "<lazy>": 2.0})))
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(word.startswith("<lazy>, 3.0") for word in words)
    assert charts.phases_file(Findings(without_phases(experiment({"a": 1.0}, runs=2), "a"))) == ""


def without_phases(made: Experiment, arm: str) -> Experiment:
    """``made`` with ``arm`` a program that writes no trace."""
    bare = {"startup": None, "first_result": None, "steady": None, "phases": ()}
    return replace(made, samples=tuple(replace(s, **bare) if s.arm == arm else s for s in made.samples))


def drawn_trends(folder: Path) -> dict[str, str]:
    """The drawings by their headings."""
    return {one.caption: one.svg for one in charts.trends(trend(load_history(folder).runs))}


def test_wall_time_is_drawn_of_arms_without_startup_beside_the_others(tmp_path: Path) -> None:
    for day in range(1, 4):
        made = experiment({"ours": 1.0, "peer": 2.0}, runs=3, created=f"2030-01-0{day}T00:00:00+00:00")
        append(tmp_path, without_phases(made, "peer"))
    drawn = drawn_trends(tmp_path)
    assert "peer, 2030" in drawn[heading(Metric.WALL)]
    assert "ours, 2030" not in drawn[heading(Metric.WALL)]
    assert "ours, 2030" in drawn[heading(Metric.STARTUP)]


def test_wall_time_is_drawn_of_an_arm_that_once_had_a_startup(tmp_path: Path) -> None:
    for day in range(1, 4):
        made = experiment({"x": 1.0}, runs=3, created=f"2030-01-0{day}T00:00:00+00:00")
        append(tmp_path, made if day == 1 else without_phases(made, "x"))
    assert drawn_trends(tmp_path)[heading(Metric.WALL)].count("x, 2030") == 3


def test_wall_time_is_not_drawn_where_every_run_has_a_startup(tmp_path: Path) -> None:
    for day in range(1, 3):
        append(tmp_path, experiment(runs=2, created=f"2030-01-0{day}T00:00:00+00:00"))
    assert heading(Metric.WALL) not in drawn_trends(tmp_path)
