"""What each view says of engines whose cost is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from imgtool.profiling.record import ImportTree, Profile
from imgtool.profiling.views.cpu import find_py_spy
from tests.conftest import ROOT
from tests.profiling.planted import MEGABYTES
from tests.profiling.runs import profile_of, profiled, read_profile

needs_py_spy = pytest.mark.skipif(find_py_spy() is None, reason="py-spy is not installed")
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a profile of the busy loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        outcome, where = profiled(tmp_path_factory.mktemp("busy"), "Busy", "--view", "cpu")
    assert outcome.code == 0, outcome.err
    return where


@needs_py_spy
def test_a_busy_loop_is_the_top_of_the_cpu_view(busy: Path) -> None:
    cpu = read_profile(busy).cpu
    assert cpu is not None
    top = cpu.functions[0]
    assert top.name == "planted_busy_loop"
    assert top.process == "worker"
    assert top.where.startswith("tests/profiling/planted.py")
    assert top.own_seconds >= 1.5


@needs_py_spy
def test_the_cpu_view_opens_in_speedscope(busy: Path) -> None:
    told: dict[str, Any] = json.loads((busy / "cpu.speedscope.json").read_text())
    frames = told["shared"]["frames"]
    assert told["profiles"]
    for profile in told["profiles"]:
        assert profile["type"] == "sampled"
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= frame < len(frames) for stack in profile["samples"] for frame in stack)
    assert any(frame["name"] == "planted_busy_loop" for frame in frames)


@needs_py_spy
def test_the_flame_graph_is_the_one_of_py_spy(busy: Path) -> None:
    root = ElementTree.fromstring((busy / "cpu.svg").read_text())
    titles = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("planted_busy_loop ") for title in titles)
    assert 'src="cpu.svg"' in (busy / "index.html").read_text()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        return profile_of(tmp_path_factory.mktemp("large"), "Large", "--view", "memory,phases")


@needs_proc
def test_a_large_allocation_is_in_the_timeline_while_its_model_loads(large: Profile) -> None:
    assert large.memory is not None
    assert large.phases is not None
    load = next(span for span in large.phases.spans if span.kind == "load")
    memory = list(zip(large.memory.times, large.memory.anon, strict=True))
    before = max(anon for at, anon in memory if at < load.began)
    after = max(anon for at, anon in memory if load.began <= at < load.ended)
    assert after - before == pytest.approx(MEGABYTES * 1e6, rel=0.1)


@needs_proc
def test_a_models_own_memory_is_what_its_load_added(large: Profile) -> None:
    assert large.memory is not None
    (step,) = large.memory.steps
    assert step.model == "large"
    assert step.anon_after - step.anon_before == pytest.approx(MEGABYTES * 1e6, rel=0.1)


@needs_proc
def test_the_peak_says_what_was_there(large: Profile) -> None:
    assert large.memory is not None
    assert large.memory.peak is not None
    assert large.memory.peak.anon >= MEGABYTES * 1e6
    assert any("large" in span or "caption" in span for span in large.memory.peak.spans)


def test_memory_profiler_saw_the_whole_tree(large: Profile) -> None:
    pytest.importorskip("memory_profiler")
    assert large.memory is not None
    assert large.memory.tool == "memory_profiler"
    assert max(large.memory.rss) >= MEGABYTES * 1e6


def test_the_collector_of_every_process_is_counted(large: Profile) -> None:
    assert large.memory is not None
    assert {each.process for each in large.memory.collectors} == {"parent", "worker"}
    for each in large.memory.collectors:
        assert sum(each.collections.values()) >= 1
        assert 0 < each.longest_seconds <= each.pause_seconds
        assert each.uncollectable == 0


def test_phases_explain_the_wall_time(large: Profile) -> None:
    phases = large.phases
    assert phases is not None
    assert sum(row.wall_seconds for row in phases.rows) == pytest.approx(phases.wall_seconds, rel=0.05)
    assert {"load large", "caption", "interpreter", "exit", "close"} <= {row.name for row in phases.rows}


def test_a_slow_import_is_the_top_of_the_imports_view(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "SlowImport", "--view", "imports")
    worker = _tree(profile, "worker")
    top = max(worker.imports, key=lambda each: each.own_seconds)
    assert top.name == "tests.profiling.slow_module"
    # What it imports itself is not its own.
    assert 0.45 <= top.own_seconds <= top.cumulative_seconds < 0.8
    assert top.cause.startswith("imgtool.runtime.worker.models:")


@pytest.mark.slow
def test_imports_of_the_parent_are_told_apart(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "SlowImport", "--view", "imports", "--load", "parallel")
    parent, worker = _tree(profile, "parent"), _tree(profile, "worker")
    assert "imgtool.runtime.worker.main" in {each.name for each in worker.imports}
    assert "imgtool.cli.main" in {each.name for each in parent.imports}
    assert "numpy" in {each.name for each in worker.imports} - {each.name for each in parent.imports}
    assert any("one after the other" in notice for notice in profile.notices)


def _tree(profile: Profile, process: str) -> ImportTree:
    assert profile.imports is not None
    return next(tree for tree in profile.imports if tree.process == process)


@pytest.mark.slow
def test_a_function_line_by_line(tmp_path: Path) -> None:
    pytest.importorskip("memory_profiler")
    target = "tests.profiling.planted:Large.load"
    outcome, where = profiled(tmp_path, "Large", "--view", "phases", "--line-by-line", target)
    assert outcome.code == 0
    allocation = next(line for line in (where / "lines.txt").read_text().splitlines() if "bytearray" in line)
    increment = float(allocation.split()[3])
    assert increment == pytest.approx(MEGABYTES * 1e6 / 2**20, rel=0.1)


@pytest.mark.slow
def test_a_function_that_is_never_called_is_said(tmp_path: Path) -> None:
    pytest.importorskip("memory_profiler")
    target = "imgtool.analyzers.caption.blip:Blip.load"
    outcome, _ = profiled(tmp_path, "SlowImport", "--view", "phases", "--line-by-line", target)
    assert outcome.code == 0
    assert "never called" in outcome.err


def test_json_is_the_whole_profile_on_stdout(tmp_path: Path) -> None:
    outcome, where = profiled(tmp_path, "SlowImport", "--view", "phases", "--format", "json", "--quiet")
    assert outcome.err == ""
    assert json.loads(outcome.out) == json.loads((where / "profile.json").read_text())


def test_the_run_is_the_real_one(tmp_path: Path) -> None:
    """Every option of analyze is passed on; those that profile has too go behind ``--``."""
    results = tmp_path / "results.jsonl"
    outcome, where = profiled(
        tmp_path, "SlowImport", "--view", "phases", "--batch-size", "1", "--", "--output", str(results), images=3
    )
    assert outcome.code == 0, outcome.err
    assert len(results.read_text().splitlines()) == 3
    told = json.loads((where / "profile.json").read_text())
    assert sum(span["name"] == "caption" for span in told["phases"]["spans"]) == 3
    assert sys.executable in told["machine"]["python"]
