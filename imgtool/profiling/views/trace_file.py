"""Reads the trace that the processes of a run have written (``imgtool/trace.py``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.profiling.record import Span
from imgtool.profiling.target import Outcome

PARENT = "parent"


@dataclass(frozen=True)
class Trace:
    """Spans and marks in the order of their beginning, in seconds since the parent was started."""

    spans: tuple[Span, ...]
    marks: tuple[Span, ...]
    wall_seconds: float

    @property
    def complete(self) -> bool:
        """Whether the run came to its last result."""
        return any(mark.name == "last result" for mark in self.marks)

    def at(self, moment: float) -> tuple[Span, ...]:
        """The spans that were open then."""
        return tuple(span for span in self.spans if span.began <= moment < span.ended)


def read_trace(path: Path, outcome: Outcome) -> Trace:
    """The trace of a run, with what nobody inside could see: how long the interpreter took to leave."""
    events = list(_events(path))
    roles = _roles(events)
    spans = [_span(event, roles, outcome.began_ns) for event in events]
    exits = _exit(spans, outcome)
    ordered = sorted([*spans, *exits], key=lambda span: (span.began, -span.seconds))
    return Trace(
        tuple(span for span in ordered if span.kind != "mark"),
        tuple(span for span in ordered if span.kind == "mark"),
        outcome.seconds,
    )


def roles_by_pid(path: Path) -> dict[int, str]:
    """What each process of a trace was."""
    return _roles(list(_events(path)))


def _events(path: Path) -> Iterable[Mapping[str, Any]]:
    """What can be read: a process that was killed may have left half a line."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _roles(events: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    roles: dict[int, str] = {}
    for event in sorted((e for e in events if e["name"] == "process"), key=lambda e: int(e["ts"])):
        role = str(event["args"].get("role", "process"))
        same = sum(1 for known in roles.values() if known.split()[0] == role)
        roles.setdefault(event["pid"], role if not same else f"{role} {same + 1}")
    return roles


def _span(event: Mapping[str, Any], roles: Mapping[int, str], zero_ns: int) -> Span:
    return Span(
        name=str(event["name"]),
        kind=str(event["kind"]),
        began=(event["ts"] - zero_ns) / 1e9,
        seconds=event["dur"] / 1e9,
        process=roles.get(event["pid"], f"process {event['pid']}"),
        pid=event["pid"],
        tid=event["tid"],
        thread=str(event["thread"]),
        args=event["args"],
    )


def _exit(spans: Iterable[Span], outcome: Outcome) -> list[Span]:
    """From the parent's last words to the moment at which its end was seen from outside."""
    ends = [span for span in spans if span.name == "process end" and span.process == PARENT]
    if not ends:
        return []
    last = max(ends, key=lambda span: span.began)
    left = max(0.0, outcome.seconds - last.began)
    return [
        Span(
            name="exit",
            kind="start",
            began=last.began,
            seconds=left,
            process=PARENT,
            pid=last.pid,
            tid=last.tid,
            thread=last.thread,
        )
    ]
