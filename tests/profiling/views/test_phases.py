"""The wall time divided among the phases: every instant once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.profiling.record import Span
from imgtool.profiling.views.phases import phases_of
from imgtool.profiling.views.trace_file import Trace

_KINDS = ("start", "parent", "load", "warm-up", "decode", "task", "wait", "collector")


def _span(name: str, kind: str, began: float, seconds: float, process: str = "worker", tid: int = 1) -> Span:
    pid = 1 if process == "parent" else 2
    return Span(
        name=name, kind=kind, began=began, seconds=seconds, process=process, pid=pid, tid=tid, thread=f"thread {tid}"
    )


def _walls(spans: list[Span], wall: float = 10.0) -> dict[str, float]:
    phases = phases_of(Trace(tuple(spans), (), wall))
    assert sum(row.wall_seconds for row in phases.rows) + phases.unexplained_seconds == pytest.approx(wall)
    return {row.name: row.wall_seconds for row in phases.rows}


def test_what_the_run_waits_for_comes_before_what_goes_on_beside() -> None:
    walls = _walls(
        [
            _span("wait", "wait", 0, 10, "parent"),
            _span("rapidocr", "load", 1, 3),
            _span("decode", "decode", 2, 4, tid=2),
            _span("text", "task", 5, 5),
        ]
    )
    assert walls == pytest.approx({"wait": 1, "load rapidocr": 3, "decode": 1, "text": 5})


def test_two_loads_side_by_side_share() -> None:
    walls = _walls([_span("blip", "load", 0, 4), _span("easyocr", "load", 2, 4, tid=2)], wall=6)
    assert walls == pytest.approx({"load blip": 3, "load easyocr": 3})


def test_time_belongs_to_the_innermost_span() -> None:
    walls = _walls([_span("close", "parent", 0, 6, "parent"), _span("store", "parent", 2, 1, "parent")], wall=6)
    assert walls == pytest.approx({"close": 5, "store": 1})


def test_what_nothing_explains_is_said() -> None:
    phases = phases_of(Trace((_span("text", "task", 2, 3),), (), 10))
    assert phases.unexplained_seconds == pytest.approx(7)


_spans = st.builds(
    _span,
    name=st.sampled_from(["a", "b", "c"]),
    kind=st.sampled_from(_KINDS),
    began=st.floats(-1, 12),
    seconds=st.floats(0, 8),
    process=st.sampled_from(["parent", "worker", "worker 2"]),
    tid=st.integers(1, 3),
)


@given(st.lists(_spans, max_size=12))
def test_the_rows_sum_to_the_wall_whatever_the_spans(spans: list[Span]) -> None:
    phases = phases_of(Trace(tuple(spans), (), 10))
    assert all(row.wall_seconds >= -1e-9 for row in phases.rows)
    assert sum(row.wall_seconds for row in phases.rows) + phases.unexplained_seconds == pytest.approx(10)
