"""A profile as a page: an overview, and a section for each view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from imgtool.bench.report.units import bytes_text, scale_for, seconds_text
from imgtool.page.charts import REST, Bar, Curve, Track, in_lanes, joined, timeline, tracks
from imgtool.page.document import Block, Bullets, Cards, Chart, Code, Facts, Frame, Paragraph, Section, Table, as_html
from imgtool.profiling.record import Absence, Cpu, ImportTree, MemoryTimeline, Phases, Profile, Span
from imgtool.profiling.views.cpu import FLAME_GRAPH
from imgtool.profiling.views.phases import innermost

_ROWS = 25
_KINDS = {
    "start": ("c0", "start, imports"),
    "parent": ("c8", "parent"),
    "load": ("c2", "load"),
    "warm-up": ("c6", "warm-up"),
    "decode": ("c7", "decode"),
    "task": ("c1", "task"),
    "wait": (REST, "wait"),
    "collector": ("c3", "garbage collector"),
}
"""Colour and name of each kind of span."""


def page(profile: Profile) -> str:
    """The page of ``profile``, as HTML."""
    about = f"imgtool {profile.version}, {profile.created}, {profile.machine.get('processor', '')}"
    sections = [
        Section("", list(_overview(profile))),
        Section("Phases", list(_phases(profile.phases)) if profile.phases else ()),
        Section("Memory", list(_memory(profile.memory, profile.phases)) if profile.memory else ()),
        Section("CPU", list(_cpu(profile.cpu)) if profile.cpu else ()),
        Section("Imports", list(_imports(profile.imports)) if profile.imports else ()),
        Section("Runs and machine", list(_runs(profile))),
    ]
    return as_html("Profile: " + " ".join(profile.command), about, sections)


def _overview(profile: Profile) -> Iterator[Block]:
    phases, memory = profile.phases, profile.memory
    figures = []
    if phases is not None:
        figures.append((seconds_text(phases.wall_seconds), "wall time"))
        firsts = [mark.began for mark in phases.marks if mark.name == "first result"]
        figures += [(seconds_text(first), "first result") for first in firsts[:1]]
    if memory is not None and memory.peak is not None:
        figures.append((bytes_text(memory.peak.anon), "peak of own memory"))
        figures.append((bytes_text(memory.peak.file), "mapped files at the peak"))
    if profile.imports:
        figures.append((seconds_text(sum(tree.seconds for tree in profile.imports)), "imports, all processes"))
    yield Cards(figures)
    yield Bullets([*map(absence_text, profile.absences), *profile.notices], style="notes")


def absence_text(absence: Absence) -> str:
    """``cpu: py-spy is not installed (and its remedy)``."""
    return f"{absence.view}: {absence.reason}" + (f" ({absence.remedy})" if absence.remedy else "")


def _phases(phases: Phases) -> Iterator[Block]:
    threads: dict[str, list[Span]] = defaultdict(list)
    for span in phases.spans:
        # The collector stops whatever runs: on the same line its bars would hide labels.
        thread = "garbage collector" if span.kind == "collector" else span.thread
        threads[f"{span.process} · {thread}"].append(span)
    wall = max(phases.wall_seconds, 1e-9)
    rows = [Track(name, joined(map(_bar, innermost(spans)), wall)) for name, spans in threads.items()]
    drawn = tracks(rows, wall, scale_for(wall, memory=False).tick, "Processes and threads over time")
    yield Chart(drawn, tuple(_KINDS.values()), note="trace.json opens in ui.perfetto.dev and chrome://tracing.")
    listed = [
        (
            row.name,
            row.process,
            seconds_text(row.wall_seconds),
            f"{row.wall_seconds / wall:.0%}",
            seconds_text(row.busy_seconds),
            str(row.count),
        )
        for row in phases.rows
    ]
    gap = phases.unexplained_seconds
    listed.append(("unexplained", "", seconds_text(gap), f"{gap / wall:.0%}", "", ""))
    heads = ("phase", "process", "wall time", "share", "busy", "times")
    yield Table(heads, listed, (0, 1), caption="Where the wall time went")
    yield Paragraph(
        "Every instant of the wall time is counted once, for what the run was waiting for: a task before a load before "
        "decoding before the parent. Busy is the sum over all threads.",
        "quiet",
    )


def _bar(span: Span) -> Bar:
    title = f"{span.name} ({span.kind}): {seconds_text(span.seconds)}, from {seconds_text(max(0.0, span.began))}"
    label = "" if span.kind == "wait" else span.name
    return Bar(max(0.0, span.began), span.seconds, title, _KINDS.get(span.kind, (REST, ""))[0], label)


def _memory(memory: MemoryTimeline, phases: Phases | None) -> Iterator[Block]:
    if memory.times or memory.rss_times:
        yield _memory_chart(memory, phases)
    if memory.peak is not None:
        during = "; ".join(memory.peak.spans) or "nothing that is traced"
        size = f"{bytes_text(memory.peak.anon)} own and {bytes_text(memory.peak.file)} mapped"
        yield Paragraph(f"Peak at {seconds_text(memory.peak.at)}: {size}, during {during}.")
    if memory.steps:
        steps = [
            (
                step.model,
                bytes_text(step.anon_before),
                bytes_text(step.anon_after),
                f"{(step.anon_after - step.anon_before) / 1e6:+.0f} MB",
                f"{(step.file_after - step.file_before) / 1e6:+.0f} MB",
            )
            for step in memory.steps
        ]
        heads = ("model", "own memory before", "after", "change", "change of mapped files")
        yield Table(heads, steps, caption="Before and after each model")
    if memory.collectors:
        collections = [
            (
                each.process,
                ", ".join(f"{count} of {generation}" for generation, count in each.collections.items()) or "none",
                seconds_text(each.pause_seconds),
                seconds_text(each.longest_seconds),
                str(each.uncollectable),
            )
            for each in memory.collectors
        ]
        heads = ("process", "collections of generation", "pauses", "longest", "uncollectable")
        yield Table(heads, collections, (0, 1), caption="Garbage collector")
    if memory.lines:
        yield Code(memory.lines, caption="Line by line")


def _memory_chart(memory: MemoryTimeline, phases: Phases | None) -> Chart:
    wall = max(phases.wall_seconds if phases else max((*memory.times, *memory.rss_times)), 1e-9)
    spans = phases.spans if phases else ()
    rows = []
    for name, kind in (("models load", "load"), ("tasks run", "task"), ("collector pauses", "collector")):
        bars = [_bar(span) for span in sorted(spans, key=lambda span: span.began) if span.kind == kind]
        lanes = in_lanes(joined(bars, wall))
        rows += [Track("" if number else name, lane) for number, lane in enumerate(lanes)]
    both = [anon + file for anon, file in zip(memory.anon, memory.file, strict=True)]
    drawn = timeline(
        [
            Curve("c5", memory.times, both),
            Curve("c0", memory.times, memory.anon),
            Curve("rss", memory.rss_times, memory.rss, filled=False),
        ],
        rows,
        duration=wall,
        time_text=scale_for(wall, memory=False).tick,
        value_text=scale_for(max((*both, *memory.rss)), memory=True).tick,
        bands=[_bar(span) for span in spans if span.kind == "load"],
        marker=memory.peak.at if memory.peak else None,
        label="Memory of all processes over time",
    )
    legend = (
        ("c0", "own memory"),
        ("c5", "mapped files"),
        ("c3", "memory_profiler (line)"),
        ("loading", "a model loads"),
    )
    return Chart(drawn, legend)


def _cpu(cpu: Cpu) -> Iterator[Block]:
    about = f"{cpu.tool}, covering {cpu.covers}."
    if cpu.rate:
        about += f" {cpu.samples} samples at {cpu.rate} a second, {seconds_text(cpu.seconds)} over all threads."
    yield Paragraph(about, "quiet")
    if cpu.flame_graph:
        yield Frame(FLAME_GRAPH, "Flame graph, by py-spy: click a frame to zoom")
    if cpu.rate:
        yield Paragraph("cpu.speedscope.json opens in speedscope.app.", "quiet")
    for caption, own in (("By own time", True), ("By total time, with the functions they called", False)):
        ordered = sorted(cpu.functions, key=lambda f: -(f.own_seconds if own else f.total_seconds))[:_ROWS]
        rows = [
            (f"{f.name}\n{f.where}", f.process, seconds_text(f.own_seconds), seconds_text(f.total_seconds))
            for f in ordered
        ]
        yield Table(("function", "process", "own", "total"), rows, (0, 1), caption=caption)


def _imports(trees: Sequence[ImportTree]) -> Iterator[Block]:
    causes = [(module, process, seconds_text(s), str(n)) for process, module, s, n in import_causes(trees)[:12]]
    yield Table(("module of imgtool", "process", "seconds", "modules"), causes, (0, 1), caption="Imported by")
    for tree in trees:
        longest = sorted(tree.imports, key=lambda each: -each.own_seconds)[:_ROWS]
        rows = [
            (
                f"{each.name}\n{each.cause and 'imported by ' + each.cause}".strip(),
                seconds_text(each.own_seconds),
                seconds_text(each.cumulative_seconds),
            )
            for each in longest
        ]
        caption = f"{tree.process}: {len(tree.imports)} modules, {seconds_text(tree.seconds)}"
        yield Table(("module", "own", "total"), rows, caption=caption)


def import_causes(trees: Iterable[ImportTree]) -> list[tuple[str, str, float, int]]:
    """Process, module of ours that asked, seconds of the imports' own time, number; the most expensive first."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for tree in trees:
        for each in tree.imports:
            key = tree.process, each.cause.partition(":")[0] or "the interpreter"
            seconds[key] += each.own_seconds
            counts[key] += 1
    return [(*key, seconds[key], counts[key]) for key in sorted(seconds, key=lambda key: -seconds[key])]


def _runs(profile: Profile) -> Iterator[Block]:
    yield Table(("run", "wall time"), [(name, seconds_text(s)) for name, s in profile.runs.items()])
    yield Paragraph(
        "Each view has a run of its own, so that none disturbs another: the difference is profiling overhead. Phases "
        "and memory share a run, because both only read.",
        "quiet",
    )
    yield Facts(profile.machine)
