"""A trace read back: what was ready when, whatever is missing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imgtool.bench.measure.phases import Course, course, read_trace

SPAWNED = 5_000_000_000
PARENT, WORKER = 10, 11


def event(name: str, kind: str, at: float, seconds: float = 0.0, pid: int = PARENT, **args: Any) -> dict[str, Any]:
    """An event ``at`` seconds after the spawn."""
    return {
        "name": name,
        "kind": kind,
        "ts": SPAWNED + round(at * 1e9),
        "dur": round(seconds * 1e9),
        "pid": pid,
        "tid": pid,
        "thread": "MainThread",
        "args": args,
    }


LAZY_RUN = [
    event("process", "mark", 0.2, role="parent"),
    event("interpreter", "start", 0.0, 0.1),
    event("imports", "start", 0.1, 0.1),
    event("open store", "parent", 0.3, 0.1),
    event("process", "mark", 0.6, pid=WORKER, role="worker"),
    event("wait", "wait", 0.5, 1.5),
    event("easyocr", "load", 0.7, 1.0, pid=WORKER, before={"anon": 5, "file": 7}, after={"anon": 50, "file": 70}),
    event("blip", "load", 0.8, 0.5, pid=WORKER),
    event("text", "task", 1.7, 0.3, pid=WORKER),
    event("write", "parent", 2.0, 0.01),
    event("first result", "mark", 2.01),
    event("text", "task", 2.02, 0.4, pid=WORKER),
    event("write", "parent", 2.45, 0.01),
    event("text", "task", 2.5, 0.5, pid=WORKER),
    event("write", "parent", 3.0, 0.01),
    event("last result", "mark", 3.05),
    event("process end", "mark", 3.1, memory={"anon": 1, "file": 2, "peak": 300}),
    event("process end", "mark", 3.1, pid=WORKER, memory={"anon": 1, "file": 2, "peak": 900}),
]


def read(tmp_path: Path, events: list[dict[str, Any]], rest: str = "") -> Course:
    path = tmp_path / "trace"
    path.write_text("".join(json.dumps(each) + "\n" for each in events) + rest)
    return course(read_trace(path), SPAWNED)


def test_a_run_is_ready_when_its_last_model_is_loaded(tmp_path: Path) -> None:
    found = read(tmp_path, LAZY_RUN)
    assert found.startup == pytest.approx(1.7)
    assert found.first_result == pytest.approx(2.01)
    assert found.steady == pytest.approx(0.5)  # 2.46 and 3.01, from 2.01
    assert found.peak_rss == 900


def test_phases_are_what_was_done_until_the_first_result(tmp_path: Path) -> None:
    found = [(phase.name, phase.process) for phase in read(tmp_path, LAZY_RUN).phases]
    assert found == [
        ("interpreter", "parent"),
        ("imports", "parent"),
        ("open store", "parent"),
        ("load easyocr", "worker"),
        ("load blip", "worker"),
        ("text", "worker"),
        ("write", "parent"),
    ]


def test_memory_before_and_after_a_load_is_that_of_the_span(tmp_path: Path) -> None:
    (step,) = read(tmp_path, LAZY_RUN).steps
    assert (step.model, step.anon_before, step.anon_after) == ("easyocr", 5, 50)
    assert (step.file_before, step.file_after) == (7, 70)


def test_a_model_that_was_loaded_again_later_does_not_count_into_the_start(tmp_path: Path) -> None:
    again = [*LAZY_RUN, event("easyocr", "load", 2.6, 1.0, pid=WORKER)]
    assert read(tmp_path, again).startup == pytest.approx(1.7)


def test_a_run_from_the_cache_is_ready_with_its_store_open(tmp_path: Path) -> None:
    hits = [each for each in LAZY_RUN if each["kind"] not in ("load", "task")]
    assert read(tmp_path, hits).startup == pytest.approx(0.4)


def test_one_result_has_no_steady_time(tmp_path: Path) -> None:
    one = [each for each in LAZY_RUN if each["ts"] <= SPAWNED + 2_010_000_000]
    assert read(tmp_path, one).steady is None


def test_a_killed_run_leaves_a_line_cut_off_and_no_result(tmp_path: Path) -> None:
    begun = [each for each in LAZY_RUN if each["ts"] < SPAWNED + 1_700_000_000]
    found = read(tmp_path, begun, '{"name": "text", "ki')
    assert found.first_result is None
    assert found.startup == pytest.approx(1.7)


def test_no_trace_says_nothing(tmp_path: Path) -> None:
    assert course(read_trace(tmp_path / "none"), SPAWNED) == Course()
