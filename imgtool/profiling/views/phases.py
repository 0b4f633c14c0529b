"""Where the wall time went: every instant counted once, for what the run was waiting for.

Several things happen at a time: the parent waits while the worker loads, the next image is decoded while a model runs.
An instant belongs to the open span of the highest rank (see ``_RANKS``); spans of the same rank share it evenly. So the
rows sum to the wall time, and what no span explains is a row of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from imgtool.profiling.record import PhaseRow, Phases, Span
from imgtool.profiling.views.trace_file import PARENT, Trace

_RANKS = {"task": 6, "load": 5, "warm-up": 5, "decode": 4}
_WORKER_START, _PARENT, _WAIT = 3, 2, 1

Phase = tuple[str, str, str]
"""Name, kind, process."""


def phases_of(trace: Trace) -> Phases:
    """The phases of a run."""
    pieces = [piece for spans in _by_thread(trace.spans).values() for piece in leaves(spans)]
    walls = _divide(pieces, trace.wall_seconds)
    counts: dict[Phase, int] = defaultdict(int)
    busy: dict[Phase, float] = defaultdict(float)
    for span in trace.spans:
        counts[_phase(span)] += 1
    for span in pieces:
        busy[_phase(span)] += span.seconds
    rows = [
        PhaseRow(
            name=phase[0],
            kind=phase[1],
            process=phase[2],
            count=counts[phase],
            busy_seconds=busy[phase],
            wall_seconds=walls.get(phase, 0.0),
        )
        for phase in busy
    ]
    return Phases(
        wall_seconds=trace.wall_seconds,
        unexplained_seconds=max(0.0, trace.wall_seconds - sum(walls.values())),
        rows=tuple(sorted(rows, key=lambda row: -row.wall_seconds)),
        spans=trace.spans,
        marks=trace.marks,
    )


def _phase(span: Span) -> Phase:
    name = f"{span.kind} {span.name}" if span.kind in ("load", "warm-up") else span.name
    return name, span.kind, span.process.split()[0]


def _by_thread(spans: Iterable[Span]) -> dict[tuple[int, int], list[Span]]:
    threads: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for span in spans:
        threads[span.pid, span.tid].append(span)
    return threads


def leaves(spans: Sequence[Span]) -> list[Span]:
    """The spans of one thread without what lies inside others: time counts for the innermost."""
    ordered = sorted(spans, key=lambda span: (span.began, -span.seconds))
    pieces: list[Span] = []
    open_spans: list[Span] = []
    at = 0.0

    def until(moment: float) -> None:
        nonlocal at
        if open_spans and moment > at:
            pieces.append(_piece(open_spans[-1], at, moment))
        at = max(at, moment)

    for span in ordered:
        while open_spans and open_spans[-1].ended <= span.began:
            until(open_spans[-1].ended)
            open_spans.pop()
        until(span.began)
        at = max(at, span.began)
        open_spans.append(span)
    while open_spans:
        until(open_spans[-1].ended)
        open_spans.pop()
    return pieces


def _piece(span: Span, began: float, ended: float) -> Span:
    from msgspec.structs import replace

    return replace(span, began=began, seconds=ended - began)


def _rank(span: Span) -> int:
    if span.kind in _RANKS:
        return _RANKS[span.kind]
    if span.kind == "wait":
        return _WAIT
    return _PARENT if span.process == PARENT else _WORKER_START


def _divide(leaves: Sequence[Span], wall: float) -> dict[Phase, float]:
    """Sweep over all beginnings and ends; each interval goes to the open spans of the highest rank."""
    turns = [(max(0.0, span.began), 1, index) for index, span in enumerate(leaves) if span.began < wall]
    turns += [(min(wall, span.ended), 0, index) for index, span in enumerate(leaves) if span.began < wall]
    open_by_rank: dict[int, set[int]] = defaultdict(set)
    shares: dict[Phase, float] = defaultdict(float)
    at = 0.0
    for moment, begins, index in sorted(turns):
        ranks = [rank for rank, members in open_by_rank.items() if members]
        if ranks and moment > at:
            members = open_by_rank[max(ranks)]
            for member in members:
                shares[_phase(leaves[member])] += (moment - at) / len(members)
        at = max(at, moment)
        group = open_by_rank[_rank(leaves[index])]
        group.add(index) if begins else group.discard(index)
    return shares
