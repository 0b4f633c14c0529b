"""A run in the trace-event format, which Perfetto and chrome://tracing can open.

The format: "Trace Event Format" of the Chromium project (complete events ``X``, instants ``i``, counters ``C``,
metadata ``M``; microseconds).
"""

from __future__ import annotations

from typing import Any

from imgtool.profiling.record import MemoryTimeline, Phases, Span


def chrome_trace(phases: Phases, memory: MemoryTimeline | None = None) -> dict[str, Any]:
    """The JSON object of a trace file; with ``memory``, its timeline as a counter of the parent."""
    names: dict[tuple[str, int, int], str] = {}
    for span in (*phases.spans, *phases.marks):
        names |= {("process_name", span.pid, 0): span.process, ("thread_name", span.pid, span.tid): span.thread}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}
        for (what, pid, tid), name in names.items()
    ]
    for span in phases.spans:
        events.append({**_event(span), "ph": "X", "dur": round(span.seconds * 1e6, 3)})
    for mark in phases.marks:
        events.append({**_event(mark), "ph": "i", "s": "p"})
    if memory is not None and phases.spans:
        shared = {"ph": "C", "name": "memory", "cat": "memory", "pid": phases.spans[0].pid, "tid": 0}
        for at, anon, file in zip(memory.times, memory.anon, memory.file, strict=True):
            events.append({**shared, "ts": round(at * 1e6, 3), "args": {"anon": anon, "file": file}})
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"wall_seconds": phases.wall_seconds}}


def _event(span: Span) -> dict[str, Any]:
    moment = round(span.began * 1e6, 3)
    return {"name": span.name, "cat": span.kind, "ts": moment, "pid": span.pid, "tid": span.tid, "args": span.args}
