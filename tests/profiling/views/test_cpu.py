"""py-spy's speedscope file: stacks counted by function and process."""

from __future__ import annotations

from typing import Any

from imgtool.profiling.views.cpu import functions_of, read_speedscope

FRAMES = [
    {"name": 'process 10:"python -c ..."', "file": "", "line": 0},
    {"name": 'process 11:"python -c ..."', "file": "", "line": 0},
    {"name": "thread (10): MainThread", "file": "", "line": 0},
    {"name": "outer", "file": "/somewhere/else/m.py", "line": 1},
    {"name": "inner", "file": "/somewhere/else/m.py", "line": 2},
    {"name": "process_started", "file": "<frozen x>", "line": 3},
]


def speedscope(*samples: list[int], pid: int = 11) -> dict[str, Any]:
    profile = {"name": f'Process {pid} Thread {pid} "MainThread"', "samples": list(samples)}
    return {"shared": {"frames": FRAMES}, "profiles": [profile]}


def test_a_stack_has_the_role_of_its_process_and_no_frame_for_it() -> None:
    found = read_speedscope(speedscope([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 5]), {11: "worker"})
    outer, inner = ("outer", "/somewhere/else/m.py:1"), ("inner", "/somewhere/else/m.py:2")
    assert found == {("worker", (outer, inner)): 2, ("worker", (("process_started", "<frozen x>:3"),)): 1}


def test_a_process_that_the_trace_does_not_know_has_its_number() -> None:
    (stack,) = read_speedscope(speedscope([0, 2, 3], pid=10), {11: "worker"})
    assert stack[0] == "process 10"


def test_own_and_total_time() -> None:
    stacks = read_speedscope(speedscope(*[[3, 4]] * 30, *[[3]] * 20, *[[3, 4, 3]] * 50), {11: "worker"})
    functions = {function.name: function for function in functions_of(stacks, rate=100)}
    assert (functions["outer"].own_seconds, functions["outer"].total_seconds) == (0.7, 1.0)
    assert (functions["inner"].own_seconds, functions["inner"].total_seconds) == (0.3, 0.8)
    assert functions["outer"].process == "worker"


def test_places_are_shown_without_the_folder_of_the_installation() -> None:
    import msgspec

    import imgtool.bench.data.record as ours

    frames = [{"name": "f", "file": module.__file__, "line": 7} for module in (msgspec, ours)]
    file = {"shared": {"frames": frames}, "profiles": [{"name": "Process 1 Thread 1", "samples": [[0, 1]]}]}
    ((_, stack),) = read_speedscope(file, {})
    assert [place for _, place in stack] == ["msgspec/__init__.py:7", "imgtool/bench/data/record.py:7"]


def test_samples_without_frames_are_in_no_function() -> None:
    stacks = read_speedscope(speedscope([0, 1, 2]), {11: "worker"})
    assert functions_of(stacks, rate=100) == ()
