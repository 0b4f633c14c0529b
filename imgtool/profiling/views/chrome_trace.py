"""A run in the trace-event format, which Perfetto and chrome://tracing can open.

The format: "Trace Event Format" of the Chromium project (complete events ``X``, instants ``i``, counters ``C``,
metadata ``M``; microseconds).
"""

from __future__ import annotations

from typing import Any

from imgtool.profiling.record import MemoryTimeline, Phases, Span


def chrome_trace(phases: Phases, memory: MemoryTimeline | None = None) -> dict[str, Any]:
    """The JSON object of a trace file; with ``memory``, its timeline as a counter of the parent."""
    events = [*_names(phases), *map(_complete, phases.spans), *map(_instant, phases.marks)]
    if memory is not None and phases.spans:
        events += _counters(memory, phases.spans[0].pid)
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"wall_seconds": phases.wall_seconds}}


def _names(phases: Phases) -> list[dict[str, Any]]:
    both = (*phases.spans, *phases.marks)
    processes = {span.pid: span.process for span in both}
    threads = {(span.pid, span.tid): span.thread for span in both}
    named = [_metadata("process_name", pid, 0, name) for pid, name in processes.items()]
    return named + [_metadata("thread_name", pid, tid, name) for (pid, tid), name in threads.items()]


def _metadata(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}


def _complete(span: Span) -> dict[str, Any]:
    return {**_common(span), "ph": "X", "dur": round(span.seconds * 1e6, 3)}


def _instant(mark: Span) -> dict[str, Any]:
    return {**_common(mark), "ph": "i", "s": "p"}


def _common(span: Span) -> dict[str, Any]:
    return {
        "name": span.name,
        "cat": span.kind,
        "ts": round(span.began * 1e6, 3),
        "pid": span.pid,
        "tid": span.tid,
        "args": span.args,
    }


def _counters(memory: MemoryTimeline, pid: int) -> list[dict[str, Any]]:
    return [
        {"ph": "C", "name": "memory", "cat": "memory", "pid": pid, "tid": 0, "ts": round(at * 1e6, 3), "args": args}
        for at, *values in zip(memory.times, memory.anon, memory.file, strict=True)
        for args in [{"anon": values[0], "file": values[1]}]
    ]
