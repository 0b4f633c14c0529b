"""One ``imgtool profile``: what was typed, checked first; then the runs, the folder, and a summary on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from imgtool.bench.report.units import bytes_text, seconds_text
from imgtool.cli.analyze.command import NOT_OPTIONS
from imgtool.cli.console import Messages
from imgtool.config import resolve
from imgtool.errors import ExitCode, UsageProblem
from imgtool.formats.clean import printable
from imgtool.ground.versioned import encode
from imgtool.profiling.output_folder import PAGE, open_folder, write_folder
from imgtool.profiling.page import absence_text, import_causes
from imgtool.profiling.record import Profile
from imgtool.profiling.runner import ProfileRequest, Runner, views_of
from imgtool.profiling.views.lines import check_target
from imgtool.profiling.views.memory import INTERVAL_SECONDS
from imgtool.quantities import parse_duration, parse_option

_ROWS = 5
_COLD = "no answers are taken from the cache (--no-cache), so that each run does the same work; --cache uses it"
_WARM = "with --cache the first run fills the cache for the others: profile twice, and read the second profile"


def request_of(
    arguments: Sequence[str],
    parsed: dict[str, Any],
    *,
    views: Sequence[str],
    rate: int,
    interval: str | None,
    line_by_line: str | None,
    folder: Path,
) -> tuple[ProfileRequest, str]:
    """The request, and a notice about the cache (empty if there is none). ``parsed`` is what ``analyze`` makes of
    ``arguments``.

    Raises:
        imgtool.errors.ImgtoolError: an option makes no sense.
    """
    paths = parsed["paths"] or ()
    if not paths and not parsed["from_file"]:
        raise UsageProblem("no paths given", "imgtool profile ./photos, or --from-file LIST")
    if "-" in (*paths, parsed["from_file"]):
        raise UsageProblem(
            "paths from stdin can be read once, and a profile needs several runs", "put them into a file: --from-file"
        )
    resolve({name: value for name, value in parsed.items() if name not in NOT_OPTIONS})
    seconds = INTERVAL_SECONDS if interval is None else parse_option("--interval", interval, parse_duration)
    if not 0.001 <= seconds <= 10:
        raise UsageProblem(f"--interval {interval} is out of range", "give a time from 1ms to 10s")
    no_cache = parsed["cache"] is None and parsed["cache_dir"] is None
    request = ProfileRequest(
        arguments=(*arguments, *(("--no-cache",) if no_cache else ())),
        folder=folder,
        views=views_of(views),
        rate=rate,
        interval_seconds=seconds,
        line_by_line=check_target(line_by_line) if line_by_line is not None else None,
        command=("imgtool", *sys.argv[1:]),
    )
    return request, _COLD if no_cache else "" if parsed["cache"] is False else _WARM


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
