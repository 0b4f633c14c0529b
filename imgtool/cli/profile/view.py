"""A profile in a few lines on stdout; all of it is in the folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgtool.bench.report.wording import bytes_text, seconds_text
from imgtool.formats.clean import printable
from imgtool.profiling.compare import Change
from imgtool.profiling.page.html import causes
from imgtool.profiling.record import Profile

_ROWS = 5


def print_summary(profile: Profile, changed: Sequence[Change] | None, page: Path) -> None:
    """The largest of each view, and where the rest is."""
    lines = [*_phases(profile), *_memory(profile), *_cpu(profile), *_imports(profile), *_changes(changed), f"{page}"]
    sys.stdout.write("\n".join(map(printable, lines)) + "\n")


def _phases(profile: Profile) -> Iterator[str]:
    if (phases := profile.phases) is not None:
        yield f"wall time {seconds_text(phases.wall_seconds)}, of which"
        for row in phases.rows[:_ROWS]:
            yield f"  {seconds_text(row.wall_seconds):>8}  {row.process}: {row.name}"


def _memory(profile: Profile) -> Iterator[str]:
    if profile.memory is None or profile.memory.peak is None:
        return
    peak = profile.memory.peak
    there = f" during {peak.spans[-1]}" if peak.spans else ""
    yield f"peak {bytes_text(peak.anon)} of own memory, {bytes_text(peak.file)} of mapped files{there}"
    for step in profile.memory.steps:
        own, file = step.anon_after - step.anon_before, step.file_after - step.file_before
        yield f"  {bytes_text(own):>8}  {step.model}, and {bytes_text(file)} of files"


def _cpu(profile: Profile) -> Iterator[str]:
    if profile.cpu is not None:
        yield f"busy functions ({profile.cpu.tool}), time of their own"
        for function in profile.cpu.functions[:_ROWS]:
            yield f"  {seconds_text(function.own_seconds):>8}  {function.name} ({function.where})"


def _imports(profile: Profile) -> Iterator[str]:
    if profile.imports:
        yield f"imports {seconds_text(sum(tree.seconds for tree in profile.imports))}, asked for by"
        for process, module, seconds, count in causes(profile.imports)[:_ROWS]:
            yield f"  {seconds_text(seconds):>8}  {process}: {module}, {count} modules"


def _changes(changed: Sequence[Change] | None) -> Iterator[str]:
    if changed is not None:
        yield "changed" if changed else "nothing changed noticeably"
        for change in sorted(changed, key=lambda c: -abs(c.difference) / max(c.before, c.after, 1e-9))[:_ROWS]:
            sign, size = "+" if change.difference >= 0 else "−", abs(change.difference)
            yield f"  {sign}{bytes_text(size) if change.unit == 'bytes' else seconds_text(size)}  {change.what}"
