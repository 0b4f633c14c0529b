"""The pictures of a profile: flame graph, icicle of imports, timeline of memory, processes and threads over time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from imgtool.bench.report.wording import bytes_text, seconds_text
from imgtool.profiling.page.svg import ROW, Bar, bars, text, time_axis
from imgtool.profiling.record import Cpu, ImportTree, Memory, Phases, Span
from imgtool.profiling.views.phases import leaves
from imgtool.profiling.views.stacks import Node, split_frame, tree_of, unfolded

_NARROWEST = 0.0012
"""Share of the width below which a bar is left out: about a pixel."""

_DEEPEST = 44
_PLOT = 200


class Picture(Struct, frozen=True):
    """``body`` is SVG, ``height`` in pixels, ``title`` for those who cannot see it."""

    body: str
    height: int
    title: str


def flame(cpu: Cpu) -> Picture:
    """Call stacks, callers below, width by samples."""
    root = tree_of(unfolded(cpu.stacks))
    found = list(_frames(root, 0, 0, max(1, root.total), cpu))
    deepest = max((bar.row for bar in found), default=0)
    turned = [Bar(b.left, b.width, deepest - b.row, b.label, b.title, b.kind) for b in found]
    return Picture(bars(turned), (deepest + 1) * ROW, "Flame graph of the sampled call stacks")


def _frames(node: Node, depth: int, before: int, whole: int, cpu: Cpu) -> Iterator[Bar]:
    share = node.total / whole
    if share < _NARROWEST or depth > _DEEPEST:
        return
    name, where = split_frame(node.name)
    seconds = seconds_text(node.total / max(1, cpu.rate))
    title = f"{name}{f' ({where})' if where else ''}: {seconds}, {share:.1%}"
    label = where.rpartition(":")[0] if name == "<module>" and where else name
    yield Bar(before / whole, share, depth, label, title, "whole" if depth < 3 else _origin(where))
    at = before
    for child in sorted(node.children.values(), key=lambda each: each.name):
        yield from _frames(child, depth + 1, at, whole, cpu)
        at += child.total


def _origin(where: str) -> str:
    """Whose code it is: ``ours``, ``standard``, ``native`` or ``library``."""
    file = where.rpartition(":")[0] or where
    if file.endswith((".so", ".dylib")) or ".so." in file or not file:
        return "native"
    return _origin_of_module(file.split("site-packages/")[-1].split("/")[0].removesuffix(".py"))


def _origin_of_module(name: str) -> str:
    top = name.split(".", maxsplit=1)[0]
    if top == "imgtool":
        return "ours"
    return "standard" if top in sys.stdlib_module_names or top.startswith(("<", "python3")) else "library"


def icicle(tree: ImportTree) -> Picture:
    """Imports, the importer above, width by time."""
    whole = max(tree.seconds, 1e-9)
    found = [
        Bar(0, 1, 0, f"{tree.process} {seconds_text(tree.seconds)}", f"all imports of the {tree.process}", "whole")
    ]
    ends = [0.0]
    for each in tree.imports:
        del ends[each.depth + 1 :]
        while len(ends) <= each.depth:  # the importer of an orphan is not there
            ends.append(ends[-1])
        left = ends[each.depth]
        ends[each.depth] = left + each.cumulative_seconds
        ends.append(left)
        if each.cumulative_seconds / whole >= _NARROWEST and each.depth <= _DEEPEST:
            figures = f"{seconds_text(each.cumulative_seconds)}, itself {seconds_text(each.own_seconds)}"
            asked = f", asked for by {each.cause}" if each.cause else ""
            share = max(0.0, min(each.cumulative_seconds / whole, 1 - left / whole))
            kind = _origin_of_module(each.name)
            found.append(Bar(left / whole, share, each.depth + 1, each.name, f"{each.name}: {figures}{asked}", kind))
    deepest = max(bar.row for bar in found)
    return Picture(bars(found), (deepest + 1) * ROW, f"Imports of the {tree.process}")


def gantt(phases: Phases) -> Picture:
    """Processes and threads over time, a track each."""
    tracks = _tracks(phases.spans)
    parts, top = [], 0
    for name, spans in tracks.items():
        pieces = leaves(spans)
        parts += [text("0", top + 12, name, kind="track"), bars(_spans(pieces, phases.wall_seconds), top + 16)]
        top += 16 + ROW + 4
    return Picture("".join(parts) + time_axis(top, phases.wall_seconds), top + 16, "Processes and threads over time")


def _tracks(spans: Iterable[Span]) -> dict[str, list[Span]]:
    tracks: dict[str, list[Span]] = {}
    for span in spans:
        # The collector stops whatever runs: drawn over it, its bars would hide labels.
        thread = "garbage collector" if span.kind == "collector" else span.thread
        tracks.setdefault(f"{span.process} · {thread}", []).append(span)
    return tracks


def _spans(spans: Sequence[Span], wall: float) -> Iterator[Bar]:
    """Bars of one track; those too narrow to see are joined with their neighbours of the same kind."""
    last: Bar | None = None
    for span in spans:
        left, width = max(0.0, span.began / wall), span.seconds / wall
        width = min(max(width, _NARROWEST), 1 - left)
        if last is not None and _joins(last, span, left, width):
            last = Bar(last.left, left + width - last.left, 0, last.label, "several " + span.name, last.kind)
            continue
        if last is not None:
            yield last
        title = f"{span.name} ({span.kind}): {seconds_text(span.seconds)}, from {seconds_text(max(0.0, span.began))}"
        label = "" if span.kind == "wait" else span.name
        last = Bar(left, max(width, 0.0), 0, label, title, f"k-{span.kind}")
    if last is not None:
        yield last


def _joins(last: Bar, span: Span, left: float, width: float) -> bool:
    near = left - (last.left + last.width) < _NARROWEST
    narrow = width <= 2 * _NARROWEST and last.width <= 20 * _NARROWEST
    return near and narrow and last.kind == f"k-{span.kind}" and last.left <= left


def timeline(memory: Memory, phases: Phases | None) -> Picture:
    """Memory of the process tree over time, and below it what loaded, ran and collected."""
    wall = phases.wall_seconds if phases else max((*memory.times, *memory.rss_times), default=1.0)
    wall = max(wall, 1e-9)
    highest = max([a + f for a, f in zip(memory.anon, memory.file, strict=True)] + [*memory.rss], default=1) * 1.08
    spans = phases.spans if phases else ()
    parts = [_bands(spans, wall), _areas(memory, wall, highest), _grid(highest), _peak(memory, wall)]
    top = _PLOT + 4
    for name, kinds in (("models load", ("load",)), ("tasks run", ("task",)), ("collector pauses", ("collector",))):
        members = sorted((s for s in spans if s.kind in kinds), key=lambda s: s.began)
        if members:
            parts += [text("0", top + 12, name, kind="track"), bars(_lanes(members, wall), top + 16)]
            top += 20 + ROW * (1 + max(bar.row for bar in _lanes(members, wall)))
    return Picture("".join(parts) + time_axis(top, wall), top + 16, "Memory of all processes over time")


def _lanes(spans: Sequence[Span], wall: float) -> list[Bar]:
    """Bars that overlap in time are put below each other."""
    ends: list[float] = []
    found: list[Bar] = []
    for thread in _by_lane(spans, ends):
        lane, members = thread
        found += [Bar(b.left, b.width, lane, b.label, b.title, b.kind) for b in _spans(members, wall)]
    return found


def _by_lane(spans: Sequence[Span], ends: list[float]) -> Iterable[tuple[int, list[Span]]]:
    lanes: dict[int, list[Span]] = {}
    for span in spans:
        lane = next((index for index, end in enumerate(ends) if end <= span.began), len(ends))
        ends[lane : lane + 1] = [span.ended]
        lanes.setdefault(lane, []).append(span)
    return lanes.items()


def _bands(spans: Iterable[Span], wall: float) -> str:
    return "".join(
        f'<rect class="band" x="{span.began / wall:.4%}" y="0" width="{span.seconds / wall:.4%}" height="{_PLOT}"/>'
        for span in spans
        if span.kind == "load"
    )


def _areas(memory: Memory, wall: float, highest: float) -> str:
    both = [a + f for a, f in zip(memory.anon, memory.file, strict=True)]
    shapes = [_area("file", memory.times, both, wall, highest), _area("anon", memory.times, memory.anon, wall, highest)]
    line = " ".join(_points(memory.rss_times, memory.rss, wall, highest))
    if line:
        shapes.append(f'<polyline class="rss" points="{line}"/>')
    inside = "".join(shapes)
    size = f'width="100%" height="{_PLOT}" viewBox="0 0 1000 {_PLOT}" preserveAspectRatio="none"'
    return f'<svg x="0" y="0" {size}>{inside}</svg>'


def _area(kind: str, times: Sequence[float], values: Sequence[int], wall: float, highest: float) -> str:
    points = list(_points(times, values, wall, highest))
    if not points:
        return ""
    first, last = points[0].split(",")[0], points[-1].split(",")[0]
    return f'<polygon class="{kind}" points="{first},{_PLOT} {" ".join(points)} {last},{_PLOT}"/>'


def _points(times: Sequence[float], values: Sequence[int], wall: float, highest: float) -> Iterator[str]:
    for at, value in zip(times, values, strict=True):
        yield f"{min(1, at / wall) * 1000:.1f},{(1 - value / highest) * _PLOT:.1f}"


def _grid(highest: float) -> str:
    parts = []
    for number in range(1, 5):
        y = _PLOT * (1 - number / 5)
        line = f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        parts.append(line + text("2", y - 3, bytes_text(highest * number / 5)))
    return "".join(parts)


def _peak(memory: Memory, wall: float) -> str:
    if memory.peak is None:
        return ""
    left = f"{min(1, memory.peak.at / wall):.4%}"
    return f'<line class="peak" x1="{left}" x2="{left}" y1="0" y2="{_PLOT}"><title>peak</title></line>'


def all_pictures(
    phases: Phases | None, memory: Memory | None, cpu: Cpu | None, imports: Sequence[ImportTree] | None
) -> Mapping[str, Picture]:
    """Every picture that can be drawn, by the name of its file without the suffix."""
    found: dict[str, Picture] = {}
    if phases is not None and phases.spans:
        found["phases"] = gantt(phases)
    if memory is not None and (memory.times or memory.rss_times):
        found["memory"] = timeline(memory, phases)
    if cpu is not None and cpu.stacks:
        found["cpu"] = flame(cpu)
    for tree in imports or ():
        found[f"imports-{tree.process.replace(' ', '-')}"] = icicle(tree)
    return found
