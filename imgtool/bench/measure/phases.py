"""What a sample's trace says: when it was ready, when the first result was there, and what it did until then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from imgtool.bench.data.record import MemoryStep, Phase

FIRST_RESULT = "first result"
_NAMES = {"load": "load {}", "warm-up": "warm up {}"}
"""How a phase is called by the kind of its span; others go by the span's own name."""


class Event(Struct, frozen=True):
    """A line of a trace. Times are nanoseconds of the monotonic clock."""

    name: str
    kind: str
    ts: int
    dur: int
    pid: int
    args: dict[str, Any] = {}

    @property
    def end(self) -> int:
        """When it was over."""
        return self.ts + self.dur


class Course(Struct, frozen=True, kw_only=True):
    """How a traced sample went, in seconds from just before the spawn; ``None`` where the trace does not say."""

    startup: float | None = None
    first_result: float | None = None
    steady: float | None = None
    phases: tuple[Phase, ...] = ()
    steps: tuple[MemoryStep, ...] = ()
    peak_rss: int = 0
    """The largest VmHWM that a process read of itself at its end, in bytes; 0 where none did."""


def read_trace(path: Path) -> list[Event]:
    """The events in the order of their beginning. A last line that was cut off by a kill is left out."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    events: list[Event] = []
    for line in lines:
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except msgspec.DecodeError:
            continue
    return sorted(events, key=lambda event: event.ts)


def course(events: Sequence[Event], spawned_ns: int) -> Course:
    """The course of the sample whose process was started at ``spawned_ns``."""
    if not events:
        return Course()
    first = next((event.ts for event in events if event.kind == "mark" and event.name == FIRST_RESULT), None)
    ready = _ready(events, first)
    return Course(
        startup=None if ready is None else (ready - spawned_ns) / 1e9,
        first_result=None if first is None else (first - spawned_ns) / 1e9,
        steady=None if first is None else _steady(events, first),
        phases=_phases(events, spawned_ns, first),
        steps=tuple(step for event in events if (step := _memory_step(event)) is not None),
        peak_rss=max((int(event.args.get("memory", {}).get("peak", 0)) for event in events), default=0),
    )


def _ready(events: Iterable[Event], first: int | None) -> int | None:
    """When the last of the models was loaded that the first result needed. A run without any is ready with its store
    open: nothing is left between it and the look-up."""
    before = [event for event in events if first is None or event.ts < first]
    loads = [event.end for event in before if event.kind == "load"]
    stores = [event.end for event in before if event.name == "open store"]
    return max(loads or stores, default=None)


def _steady(events: Iterable[Event], first: int) -> float | None:
    """Mean seconds from one result to the next, from the first to the last."""
    later = [event.end for event in events if event.kind == "parent" and event.name == "write" and event.end > first]
    return (max(later) - first) / 1e9 / len(later) if later else None


def _phases(events: Sequence[Event], spawned_ns: int, first: int | None) -> tuple[Phase, ...]:
    """What was done until the first result; waiting and moments are no phases."""
    roles = {event.pid: str(event.args.get("role", "parent")) for event in events if event.name == "process"}
    return tuple(
        Phase(
            name=_NAMES.get(event.kind, "{}").format(event.name),
            began=(event.ts - spawned_ns) / 1e9,
            seconds=event.dur / 1e9,
            process=roles.get(event.pid, "parent"),
        )
        for event in events
        if event.kind not in ("mark", "wait", "collector") and (first is None or event.ts < first)
    )


def _memory_step(event: Event) -> MemoryStep | None:
    if event.kind != "load" or "before" not in event.args or "after" not in event.args:
        return None
    before, after = event.args["before"], event.args["after"]
    return MemoryStep(
        model=event.name,
        anon_before=before.get("anon", 0),
        anon_after=after.get("anon", 0),
        file_before=before.get("file", 0),
        file_after=after.get("file", 0),
    )
