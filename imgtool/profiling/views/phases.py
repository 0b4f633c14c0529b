"""Where the wall time went: every instant is counted once, for what the run was waiting for.

Several things happen at the same time: the parent waits while the worker loads, the next image is decoded while a model
runs. An instant belongs to the open span of the highest rank (``_RANKS``); spans of the same rank share it evenly. So
the rows sum to the wall time, and time in which no span is open is a separate figure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from imgtool.profiling.record import PhaseRow, Phases, Span
from imgtool.profiling.views.trace_file import PARENT, Trace

_RANKS = {"task": 6, "load": 5, "warm-up": 5, "decode": 4, "wait": 1}
_WORKER_START, _PARENT = 3, 2

PhaseKey = tuple[str, str, str]
"""Name, kind, process."""


def phases_of(trace: Trace) -> Phases:
    """The phases of a run."""
    threads: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for span in trace.spans:
        threads[span.pid, span.tid].append(span)
    pieces = [piece for spans in threads.values() for piece in innermost(spans)]
    walls = _divide(pieces, trace.wall_seconds)
    counts: dict[PhaseKey, int] = defaultdict(int)
    busy: dict[PhaseKey, float] = defaultdict(float)
    for span in trace.spans:
        counts[_key(span)] += 1
    for span in pieces:
        busy[_key(span)] += span.seconds
    rows = [
        PhaseRow(
            name=key[0],
            kind=key[1],
            process=key[2],
            count=counts[key],
            busy_seconds=seconds,
            wall_seconds=walls.get(key, 0.0),
        )
        for key, seconds in busy.items()
    ]
    return Phases(
        wall_seconds=trace.wall_seconds,
        unexplained_seconds=max(0.0, trace.wall_seconds - sum(walls.values())),
        rows=tuple(sorted(rows, key=lambda row: -row.wall_seconds)),
        spans=trace.spans,
        marks=trace.marks,
    )


def _key(span: Span) -> PhaseKey:
    name = f"{span.kind} {span.name}" if span.kind in ("load", "warm-up") else span.name
    return name, span.kind, span.process.split()[0]


def innermost(spans: Sequence[Span]) -> list[Span]:
    """The spans of one thread, cut so that each moment is in the innermost span only."""
    pieces: list[Span] = []
    open_spans: list[Span] = []
    at = 0.0

    def until(moment: float) -> None:
        nonlocal at
        if open_spans and moment > at:
            pieces.append(replace(open_spans[-1], began=at, seconds=moment - at))
        at = max(at, moment)

    for span in sorted(spans, key=lambda span: (span.began, -span.seconds)):
        while open_spans and open_spans[-1].ended <= span.began:
            until(open_spans[-1].ended)
            open_spans.pop()
        until(span.began)
        open_spans.append(span)
    while open_spans:
        until(open_spans[-1].ended)
        open_spans.pop()
    return pieces


def _divide(pieces: Sequence[Span], wall: float) -> dict[PhaseKey, float]:
    """Sweep over all beginnings and ends; each interval goes to the open spans of the highest rank."""
    turns = [(max(0.0, span.began), 1, index) for index, span in enumerate(pieces) if span.began < wall]
    turns += [(min(wall, span.ended), 0, index) for index, span in enumerate(pieces) if span.began < wall]
    open_by_rank: dict[int, set[int]] = defaultdict(set)
    shares: dict[PhaseKey, float] = defaultdict(float)
    at = 0.0
    for moment, begins, index in sorted(turns):
        ranks = [rank for rank, members in open_by_rank.items() if members]
        if ranks and moment > at:
            members = open_by_rank[max(ranks)]
            for member in members:
                shares[_key(pieces[member])] += (moment - at) / len(members)
        at = max(at, moment)
        span = pieces[index]
        group = open_by_rank[_RANKS.get(span.kind, _PARENT if span.process == PARENT else _WORKER_START)]
        group.add(index) if begins else group.discard(index)
    return shares
