"""One ``imgtool profile``: the runs, the folder, and a summary on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from msgspec.structs import replace

from imgtool.bench.report.units import bytes_text, seconds_text
from imgtool.cli.console import Messages
from imgtool.errors import ExitCode, UsageProblem
from imgtool.formats.clean import printable
from imgtool.ground.versioned import encode
from imgtool.profiling.output_folder import PAGE, open_folder, write_folder
from imgtool.profiling.page import absence_text, import_causes
from imgtool.profiling.record import Profile
from imgtool.profiling.runner import ProfileRequest, Runner

_ROWS = 5


def run_profile(request: ProfileRequest, notice: str, *, format: str, quiet: bool) -> ExitCode:
    """Do the runs, write the folder, print ``format`` (``text`` or ``json``); returns the exit code.

    Raises:
        imgtool.errors.ImgtoolError: the folder cannot be written, or the first run failed.
    """
    if format not in ("text", "json"):
        raise UsageProblem(f"there is no format {format}", "formats are text and json")
    messages = Messages(quiet=quiet)
    open_folder(request.folder)
    profile = Runner(request, messages.plain).profile()
    if notice:
        profile = replace(profile, notices=(*profile.notices, notice))
    write_folder(request.folder, profile)
    for line in (*map(absence_text, profile.absences), *profile.notices):
        messages.notice(line)
    if format == "json":
        sys.stdout.write(encode(profile).decode())
    else:
        lines = [*_summary(profile), str(request.folder / PAGE)]
        sys.stdout.write("\n".join(map(printable, lines)) + "\n")
    return ExitCode.INTERRUPTED if profile.interrupted else ExitCode.OK


def _summary(profile: Profile) -> Iterator[str]:
    """The largest figures of each view."""
    if (phases := profile.phases) is not None:
        yield f"wall time {seconds_text(phases.wall_seconds)}, of which"
        for row in phases.rows[:_ROWS]:
            yield f"  {seconds_text(row.wall_seconds):>8}  {row.process}: {row.name}"
    if profile.memory is not None and (peak := profile.memory.peak) is not None:
        during = f" during {peak.spans[-1]}" if peak.spans else ""
        yield f"peak {bytes_text(peak.anon)} of own memory, {bytes_text(peak.file)} of mapped files{during}"
        for step in profile.memory.steps:
            own, file = step.anon_after - step.anon_before, step.file_after - step.file_before
            yield f"  {bytes_text(own):>8}  {step.model}, and {bytes_text(file)} of files"
    if profile.cpu is not None:
        yield f"functions by their own time ({profile.cpu.tool})"
        for function in profile.cpu.functions[:_ROWS]:
            yield f"  {seconds_text(function.own_seconds):>8}  {function.name} ({function.where})"
    if profile.imports:
        yield f"imports {seconds_text(sum(tree.seconds for tree in profile.imports))}, imported by"
        for process, module, seconds, count in import_causes(profile.imports)[:_ROWS]:
            yield f"  {seconds_text(seconds):>8}  {process}: {module}, {count} modules"
