"""Figures over time from a folder of saved experiments."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from imgtool.bench.data.history import append, load_history, trend
from imgtool.bench.data.record import Experiment, Metric, PageCache
from imgtool.bench.data.saved import BaselineUnusable
from imgtool.errors import OutputNotWritable
from tests.bench.judged import MACHINE, SETTINGS, around, experiment


def made(created: str, startup: float, kernel: str = "6.8.0") -> Experiment:
    return experiment(
        {"compiled": {Metric.STARTUP: around(startup, spread=0.01)}},
        created=created,
        machine=msgspec.structs.replace(MACHINE, kernel=kernel),
    )


def test_runs_are_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    """As text the one in another time zone would be in the wrong place; one without a time comes first."""
    for created, startup in (
        ("2025-03-02T10:00:00Z", 3.0),
        ("2025-03-01T10:00:00+00:00", 1.0),
        ("2025-03-02T01:00:00+09:00", 2.0),
        ("some day", 0.5),
    ):
        append(tmp_path, made(created, startup))
    series, _wall = trend(load_history(tmp_path).runs)
    assert [point.median for point in series.points] == pytest.approx([0.5, 1.0, 2.0, 3.0], rel=0.02)


def test_every_run_is_a_file_of_its_own_whose_name_tells_when(tmp_path: Path) -> None:
    folder = tmp_path / "history" / "main"
    paths = {append(folder, made("2025-03-01T10:00:00Z", 1.0)) for _ in range(3)}
    assert len(paths) == 3
    assert set(folder.iterdir()) == paths
    assert all(path.name.startswith("2025-03-01T100000Z-") and path.suffix == ".json" for path in paths)
    assert len(load_history(folder).runs) == 3


def test_what_is_no_experiment_is_left_out_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    append(folder, made("2025-03-01T10:00:00Z", 1.0))
    (folder / "cut.json").write_text('{"tool": "imgtool ben')
    (folder / "report.html").write_text("<p>")
    (folder / ".hidden.json").write_text("")
    found = load_history(folder)
    assert len(found.runs) == 1
    (notice,) = found.notices
    assert notice.startswith(f"left out: {folder / 'cut.json'} is cut off")


def test_a_folder_that_is_not_there_is_an_empty_history_and_a_file_is_none(tmp_path: Path) -> None:
    assert load_history(tmp_path / "none").runs == ()
    (tmp_path / "file").write_text("")
    with pytest.raises(BaselineUnusable, match="cannot be read"):
        load_history(tmp_path / "file")
    with pytest.raises(OutputNotWritable):
        append(tmp_path / "file", made("2025-03-01T10:00:00Z", 1.0))


def test_changes_of_machine_and_work_are_marked_where_they_happened(tmp_path: Path) -> None:
    append(tmp_path, made("2025-03-01T10:00:00Z", 1.0))
    append(tmp_path, made("2025-03-02T10:00:00Z", 1.0))
    append(tmp_path, made("2025-03-03T10:00:00Z", 2.0, kernel="6.11.0"))
    other = msgspec.structs.replace(SETTINGS, tasks=("caption",))
    append(tmp_path, msgspec.structs.replace(made("2025-03-04T10:00:00Z", 2.0, kernel="6.11.0"), settings=other))
    series, _wall = trend(load_history(tmp_path).runs)
    assert [point.changes for point in series.points] == [
        (),
        (),
        ("kernel: 6.8.0 → 6.11.0",),
        ("tasks: caption text → caption",),
    ]


def test_a_point_is_the_median_with_its_interval(tmp_path: Path) -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    append(tmp_path, experiment({"compiled": {Metric.STARTUP: values}}))
    series, _wall = trend(load_history(tmp_path).runs)
    assert (series.arm, series.metric, series.page_cache) == ("compiled", Metric.STARTUP, PageCache.WARM)
    (point,) = series.points
    assert (point.n, point.median, point.interval.low, point.interval.high) == (10, 5.5, 2.0, 9.0)


def test_an_arm_that_comes_later_or_is_missing_for_a_while_has_the_points_that_it_has(tmp_path: Path) -> None:
    first = experiment({"lazy": {Metric.STARTUP: around(1)}}, created="2025-03-01T10:00:00Z")
    second = experiment(
        {"compiled": {Metric.STARTUP: around(1), Metric.PEAK_ANON: around(1e9)}}, created="2025-03-02T10:00:00Z"
    )
    third = msgspec.structs.replace(first, created="2025-03-03T10:00:00Z")
    for one in (first, second, third):
        append(tmp_path, one)
    found = {(series.arm, series.metric): len(series.points) for series in trend(load_history(tmp_path).runs)}
    assert found[("lazy", Metric.STARTUP)] == 2
    assert found[("compiled", Metric.STARTUP)] == 1
    assert found[("compiled", Metric.PEAK_ANON)] == 1
