"""A profile as one page with a tab a view. It needs no network, and no second file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from html import escape

from imgtool.bench.report.wording import bytes_text, seconds_text
from imgtool.profiling.compare import Change
from imgtool.profiling.page.markup import (
    asset,
    cards,
    digest_policy,
    fill,
    heading,
    legend,
    legend_style,
    notes,
    paragraph,
    table,
)
from imgtool.profiling.page.pictures import Picture, flame, gantt, icicle, timeline
from imgtool.profiling.page.svg import STYLE, picture
from imgtool.profiling.record import Absence, Cpu, ImportTree, Memory, Phases, Profile

_ROWS = 25
_ORIGINS = (("ours", "imgtool"), ("library", "libraries"), ("standard", "Python"), ("native", "native code"))
_KINDS = (
    ("k-start", "start, imports"),
    ("k-parent", "parent"),
    ("k-load", "load"),
    ("k-warm-up", "warm-up"),
    ("k-decode", "decode"),
    ("k-task", "task"),
    ("k-wait", "wait"),
    ("k-collector", "garbage collector"),
)


def page(profile: Profile, changed: Sequence[Change] | None = None) -> str:
    """The page of ``profile``; with ``changed``, a tab about what is different from an earlier one."""
    sections = [("overview", "Overview", _overview(profile))]
    sections += [(name, title, body) for name, title, body in _views(profile) if body]
    if changed is not None:
        sections.append(("changes", "Changes", _changes(changed)))
    style = STYLE + asset("style.css") + legend_style()
    script = asset("script.js")
    return fill(
        asset("page.html"),
        {
            "policy": digest_policy(style, script),
            "title": escape("Profile: " + " ".join(profile.command)),
            "about": escape(f"imgtool {profile.version}, {profile.created}, {profile.machine.get('processor', '')}"),
            "style": style,
            "script": script,
            "tabs": "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in sections),
            "sections": "\n".join(f'<section id="{name}">{body}</section>' for name, _, body in sections),
        },
    )


def _views(profile: Profile) -> Iterable[tuple[str, str, str]]:
    """Each view's name, title and body; an empty body where the profile has no such view."""
    yield "phases", "Phases", _given(profile.phases, _phases)
    yield "memory", "Memory", _given(profile.memory, lambda memory: _memory(memory, profile.phases))
    yield "cpu", "CPU", _given(profile.cpu, _cpu)
    yield "imports", "Imports", _given(profile.imports, _imports)


def _given(value: object, draw: Callable[..., str]) -> str:
    return draw(value) if value is not None else ""


def _figure(drawn: Picture, below: str = "", *, zooms: bool = False) -> str:
    shown = picture(drawn.body, drawn.height, drawn.title)
    if zooms:
        shown = shown.replace('class="picture"', 'class="picture zooms"', 1)
    return f'<div class="figure">{shown}{below}</div>'


# -- the sections


def _overview(profile: Profile) -> str:
    parts = [cards(_headline(profile)), notes([*map(absence_text, profile.absences), *profile.notices])]
    if profile.phases is not None:
        parts += [heading("Where the wall time went"), _phase_table(profile.phases, 8)]
    if profile.cpu is not None and profile.cpu.functions:
        parts += [heading("Functions with most time of their own"), _function_table(profile.cpu, 5, own=True)]
    if profile.imports:
        parts += [heading("Who asked for the imports"), _cause_table(profile.imports, 5)]
    parts += [heading("Runs"), paragraph(_RUNS, quiet=True)]
    parts.append(table(["run", "wall time"], [[name, seconds_text(s)] for name, s in profile.runs.items()], [1]))
    parts += [heading("Machine"), table(["what", "value"], list(map(list, profile.machine.items())))]
    return "".join(parts)


_RUNS = (
    "Each view comes from a run of its own, so that none disturbs another: compare their wall times to see what "
    "looking on cost. Phases and memory share one, for both only read."
)


def _headline(profile: Profile) -> Iterable[tuple[str, str]]:
    phases, memory = profile.phases, profile.memory
    if phases is not None:
        yield seconds_text(phases.wall_seconds), "wall time"
        first = next((mark for mark in phases.marks if mark.name == "first result"), None)
        if first is not None:
            yield seconds_text(first.began), "first result"
    if memory is not None and memory.peak is not None:
        yield bytes_text(memory.peak.anon), "peak of own memory"
        yield bytes_text(memory.peak.file), "mapped files then"
    if profile.imports:
        yield seconds_text(sum(tree.seconds for tree in profile.imports)), "imports, all processes"


def absence_text(absence: Absence) -> str:
    """``cpu: py-spy is not installed (the command that installs it)``."""
    return f"{absence.view}: {absence.reason}" + (f" ({absence.remedy})" if absence.remedy else "")


def _phases(phases: Phases) -> str:
    return "".join(
        [
            _figure(gantt(phases), legend(_KINDS)),
            paragraph("trace.json holds the same for ui.perfetto.dev or chrome://tracing.", quiet=True),
            heading("Where the wall time went"),
            paragraph(
                "Every instant is counted once, for what the run was waiting for: a task before a load before decoding "
                "before the parent. Busy is what all of a phase took together, at the same time or not.",
                quiet=True,
            ),
            _phase_table(phases, 100),
        ]
    )


def _phase_table(phases: Phases, limit: int) -> str:
    wall = max(phases.wall_seconds, 1e-9)
    rows = [
        [
            f"{row.name} | {row.process}",
            seconds_text(row.wall_seconds),
            f"{row.wall_seconds / wall:.0%}",
            seconds_text(row.busy_seconds),
            str(row.count),
        ]
        for row in phases.rows[:limit]
    ]
    gap = phases.unexplained_seconds
    rows.append(["unexplained", seconds_text(gap), f"{gap / wall:.0%}", "", ""])
    return table(["phase", "of the wall", "share", "busy", "times"], rows, [1, 2, 3, 4])


def _memory(memory: Memory, phases: Phases | None) -> str:
    parts = []
    if memory.times or memory.rss_times:
        marks = (("anon-square", "own memory"), ("file-square", "mapped files"), ("rss-square", "memory_profiler"))
        parts.append(_figure(timeline(memory, phases), legend((*marks, ("band-square", "a model loads")))))
    if memory.peak is not None:
        there = "; ".join(memory.peak.spans) or "nothing that is traced"
        size = f"{bytes_text(memory.peak.anon)} own and {bytes_text(memory.peak.file)} mapped"
        parts += [heading("Peak"), paragraph(f"At {seconds_text(memory.peak.at)}: {size}, during {there}.")]
    if memory.steps:
        parts += [heading("Before and after each model"), _step_table(memory)]
    if memory.collectors:
        parts += [heading("Garbage collector"), _collector_table(memory)]
    if memory.lines:
        parts += [heading("Line by line"), f"<pre>{escape(memory.lines)}</pre>"]
    return "".join(parts)


def _step_table(memory: Memory) -> str:
    rows = [
        [
            step.model,
            bytes_text(step.anon_before),
            bytes_text(step.anon_after),
            f"{(step.anon_after - step.anon_before) / 1e6:+.0f} MB",
            f"{(step.file_after - step.file_before) / 1e6:+.0f} MB",
        ]
        for step in memory.steps
    ]
    return table(["model", "before", "after", "own", "files"], rows, [1, 2, 3, 4])


def _collector_table(memory: Memory) -> str:
    rows = [
        [
            each.process,
            ", ".join(f"{count} of {generation}" for generation, count in each.collections.items()) or "none",
            seconds_text(each.pause_seconds),
            seconds_text(each.longest_seconds),
            str(each.uncollectable),
        ]
        for each in memory.collectors
    ]
    return table(["process", "times, of generation", "pauses", "longest", "lost"], rows, [2, 3, 4])


def _cpu(cpu: Cpu) -> str:
    about = f"{cpu.tool}, covering {cpu.covers}."
    if cpu.rate:
        about += f" {cpu.samples} samples at {cpu.rate} a second, {seconds_text(cpu.seconds)} over all threads."
    if cpu.waiting:
        about += f" Left out: {cpu.waiting} samples of threads that waited for work."
    parts = [paragraph(about, quiet=True)]
    if cpu.stacks:
        parts.append(_figure(flame(cpu), legend(_ORIGINS), zooms=True))
        parts.append(paragraph("Click a bar to look closer; click beside it to go back.", quiet=True))
    parts += [heading("Time of their own"), _function_table(cpu, _ROWS, own=True)]
    parts += [heading("Time with what they called"), _function_table(cpu, _ROWS, own=False)]
    return "".join(parts)


def _function_table(cpu: Cpu, limit: int, *, own: bool) -> str:
    ordered = sorted(cpu.functions, key=lambda f: -(f.own_seconds if own else f.total_seconds))[:limit]
    rows = [
        [f"{f.name} | {f.where}", f.process, seconds_text(f.own_seconds), seconds_text(f.total_seconds)]
        for f in ordered
    ]
    return table(["function", "process", "own", "total"], rows, [2, 3])


def _imports(trees: Sequence[ImportTree]) -> str:
    parts = [heading("Who asked for them"), _cause_table(trees, 12)]
    for tree in trees:
        parts.append(heading(f"{tree.process}: {len(tree.imports)} modules, {seconds_text(tree.seconds)}"))
        parts.append(_figure(icicle(tree), legend(_ORIGINS[:3]), zooms=True))
        longest = sorted(tree.imports, key=lambda each: -each.own_seconds)[:_ROWS]
        rows = [
            [
                f"{each.name} | {each.cause and 'asked for by ' + each.cause}",
                seconds_text(each.own_seconds),
                seconds_text(each.cumulative_seconds),
            ]
            for each in longest
        ]
        parts.append(table(["module", "itself", "with what it imports"], rows, [1, 2]))
    return "".join(parts)


def causes(trees: Iterable[ImportTree]) -> list[tuple[str, str, float, int]]:
    """Process, module of ours that asked, seconds of the imports' own time, number; the most expensive first."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for tree in trees:
        for each in tree.imports:
            key = tree.process, each.cause.partition(":")[0] or "the interpreter"
            seconds[key] += each.own_seconds
            counts[key] += 1
    ordered = sorted(seconds, key=lambda key: -seconds[key])
    return [(*key, seconds[key], counts[key]) for key in ordered]


def _cause_table(trees: Sequence[ImportTree], limit: int) -> str:
    rows = [[module, process, seconds_text(s), str(n)] for process, module, s, n in causes(trees)[:limit]]
    return table(["asked for by", "process", "seconds", "modules"], rows, [2, 3])


def _changes(changed: Sequence[Change]) -> str:
    if not changed:
        return paragraph("Nothing differs noticeably.")
    about = "One run against one run: differences to look into, not verdicts. imgtool bench repeats and decides."
    rows = [
        [
            f"{change.what} | {change.view}",
            _amount(change, change.before),
            _amount(change, change.after),
            ("+" if change.difference >= 0 else "−") + _amount(change, abs(change.difference)),
        ]
        for change in changed
    ]
    return paragraph(about, quiet=True) + table(["what", "before", "after", "difference"], rows, [1, 2, 3])


def _amount(change: Change, value: float) -> str:
    return bytes_text(value) if change.unit == "bytes" else seconds_text(value)
