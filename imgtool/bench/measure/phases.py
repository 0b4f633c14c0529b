"""What a sample's trace says: when it was ready, when it had its first result, and its phases until then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from imgtool.bench.data.record import MemoryStep, SamplePhase

FIRST_RESULT = "first result"
_NAMES = {"load": "load {}", "warm-up": "warm up {}"}
"""Names of phases by the kind of their span; others have the span's own name."""


class Event(Struct, frozen=True):
    """A line of a trace. Times are nanoseconds of the monotonic clock."""

    name: str
    kind: str
    ts: int
    dur: int
    pid: int
    tid: int = 0
    thread: str = ""
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
    phases: tuple[SamplePhase, ...] = ()
    steps: tuple[MemoryStep, ...] = ()
    peak_rss: int = 0
    """The largest VmHWM that a process read of itself at its end, in bytes; 0 where none did."""


def read_trace(path: Path) -> list[Event]:
    """The events in the order of their beginning; none where there is no file. A line that a kill cut off is left
    out."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    events: list[Event] = []
    for line in lines:
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except (msgspec.DecodeError, RecursionError):
            continue
    return sorted(events, key=lambda event: event.ts)


def course(events: Sequence[Event], spawned_ns: int) -> Course:
    """The course of the sample whose process was started at ``spawned_ns``."""
    first = next((event.ts for event in events if event.kind == "mark" and event.name == FIRST_RESULT), None)
    before = [event for event in events if first is None or event.ts < first]
    loads = [event for event in events if event.kind == "load"]
    # Ready is when the last model was loaded that the first result needed. A run without any is ready with its store
    # open: only the look-up is left then.
    ready = max(
        [event.end for event in before if event.kind == "load"]
        or [event.end for event in before if event.name == "open store"],
        default=None,
    )
    writes = [event.end for event in events if event.kind == "parent" and event.name == "write"]
    later = [end for end in writes if first is not None and end > first]
    roles = {event.pid: str(event.args.get("role", "parent")) for event in events if event.name == "process"}
    return Course(
        startup=None if ready is None else (ready - spawned_ns) / 1e9,
        first_result=None if first is None else (first - spawned_ns) / 1e9,
        steady=(max(later) - first) / 1e9 / len(later) if first is not None and later else None,
        phases=tuple(
            SamplePhase(
                name=_NAMES.get(event.kind, "{}").format(event.name),
                began=(event.ts - spawned_ns) / 1e9,
                seconds=event.dur / 1e9,
                process=roles.get(event.pid, "parent"),
            )
            for event in before
            if event.kind not in ("mark", "wait", "collector")
        ),
        steps=tuple(step for event in loads if (step := memory_step(event.name, event.args)) is not None),
        peak_rss=max((int(event.args.get("memory", {}).get("peak", 0)) for event in events), default=0),
    )


def memory_step(model: str, args: Mapping[str, Any]) -> MemoryStep | None:
    """What loading ``model`` added, from the ``args`` of its span; ``None`` where the system does not tell."""
    if not args.get("before") or not args.get("after"):
        return None
    before, after = args["before"], args["after"]
    return MemoryStep(
        model=model,
        anon_before=before.get("anon", 0),
        anon_after=after.get("anon", 0),
        file_before=before.get("file", 0),
        file_after=after.get("file", 0),
    )
