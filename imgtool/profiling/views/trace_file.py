"""Reads the trace that the processes of a run have written (``imgtool/trace.py``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from imgtool.bench.measure.phases import Event, read_trace
from imgtool.profiling.analyze_run import RunOutcome
from imgtool.profiling.record import Span

PARENT = "parent"


@dataclass(frozen=True)
class Trace:
    """Spans and marks in the order of their beginning, in seconds since the parent was started."""

    spans: tuple[Span, ...]
    marks: tuple[Span, ...]
    wall_seconds: float

    def at(self, moment: float) -> tuple[Span, ...]:
        """The spans that were open then."""
        return tuple(span for span in self.spans if span.began <= moment < span.ended)


def trace_of(path: Path, outcome: RunOutcome) -> Trace:
    """The trace of a run. A span ``exit`` is added to it: from the parent's last event until its end was seen."""
    events = read_trace(path)
    roles = _roles(events)
    spans = [
        Span(
            name=event.name,
            kind=event.kind,
            began=(event.ts - outcome.began_ns) / 1e9,
            seconds=event.dur / 1e9,
            process=roles.get(event.pid, f"process {event.pid}"),
            pid=event.pid,
            tid=event.tid,
            thread=event.thread,
            args=event.args,
        )
        for event in events
    ]
    ends = [span for span in spans if span.name == "process end" and span.process == PARENT]
    if ends:
        last = ends[-1]
        spans.append(
            Span(
                name="exit",
                kind="start",
                began=last.began,
                seconds=max(0.0, outcome.seconds - last.began),
                process=PARENT,
                pid=last.pid,
                tid=last.tid,
                thread=last.thread,
            )
        )
    spans.sort(key=lambda span: (span.began, -span.seconds))
    return Trace(
        tuple(span for span in spans if span.kind != "mark"),
        tuple(span for span in spans if span.kind == "mark"),
        outcome.seconds,
    )


def roles_by_pid(path: Path) -> dict[int, str]:
    """What each process of a trace was: ``parent``, ``worker``, ``worker 2``, ..."""
    return _roles(read_trace(path))


def _roles(events: Iterable[Event]) -> dict[int, str]:
    roles: dict[int, str] = {}
    for event in events:
        if event.name == "process":
            role = str(event.args.get("role", "process"))
            same = sum(known.split()[0] == role for known in roles.values())
            roles.setdefault(event.pid, f"{role} {same + 1}" if same else role)
    return roles
