"""One ``imgtool profile`` command: options checked, runs done, folder written, figures said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.cli.console import Messages
from imgtool.cli.profile.view import print_summary
from imgtool.errors import ExitCode, UsageProblem
from imgtool.ground.versioned import encode
from imgtool.profiling.compare import changes, read_profile
from imgtool.profiling.folder import PAGE, open_folder, write_folder
from imgtool.profiling.page.html import absence_text
from imgtool.profiling.record import MemoryTool, Profile
from imgtool.profiling.runner import Request, Runner, views_of
from imgtool.profiling.views.lines import check_target
from imgtool.profiling.views.memory import INTERVAL_SECONDS

_COLD = "all runs answer anew (--no-cache), so that each does the same work; --cache profiles with kept answers"
_WARM = "with --cache the first run answers for the others: profile twice, and look at the second profile"


@dataclass(frozen=True)
class Asked:
    """What was typed. ``parsed`` is what ``analyze`` makes of its part."""

    arguments: tuple[str, ...]
    parsed: dict[str, Any]
    views: tuple[str, ...]
    rate: int
    native: bool
    interval: str | None
    memory_tool: str
    line_by_line: str | None
    output: Path
    format: str
    compare: str | None
    command: tuple[str, ...]
    quiet: bool


def profile(asked: Asked) -> ExitCode:
    """Do what was asked; returns the exit code.

    Raises:
        imgtool.errors.ImgtoolError: an option makes no sense, the folder cannot be written, or the first run failed.
    """
    messages = Messages(quiet=asked.quiet)
    request, notice = _request(asked)
    # Read before anything is written: it may be the very folder that is written.
    former = read_profile(Path(asked.compare).expanduser()) if asked.compare is not None else None
    open_folder(asked.output)
    found = Runner(request, messages.plain).profile()
    found = _with_notice(found, notice)
    changed = None if former is None else changes(former, found)
    write_folder(asked.output, found, changed)
    _say(found, messages)
    if asked.format == "json":
        import sys

        sys.stdout.write(encode(found).decode())
    else:
        print_summary(found, changed, asked.output / PAGE)
    return ExitCode.INTERRUPTED if found.interrupted else ExitCode.OK


def _request(asked: Asked) -> tuple[Request, str]:
    if asked.format not in ("text", "json"):
        raise UsageProblem(f"there is no format {asked.format}", "formats are text and json")
    _check_paths(asked.parsed)
    _check_values(asked.parsed)
    cold = asked.parsed["cache"] is None and asked.parsed["cache_dir"] is None
    request = Request(
        arguments=(*asked.arguments, *(("--no-cache",) if cold else ())),
        folder=asked.output,
        views=views_of(asked.views),
        rate=asked.rate,
        native=asked.native,
        interval_seconds=_interval(asked.interval),
        memory_tool=_memory_tool(asked.memory_tool),
        line_by_line=check_target(asked.line_by_line) if asked.line_by_line is not None else None,
        command=asked.command,
    )
    return request, _COLD if cold else "" if asked.parsed["cache"] is False else _WARM


def _check_paths(parsed: dict[str, Any]) -> None:
    paths = parsed["paths"] or ()
    if not paths and not parsed["from_file"]:
        raise UsageProblem("no paths given", "imgtool profile ./photos, or --from-file LIST")
    if "-" in (*paths, parsed["from_file"]):
        raise UsageProblem(
            "paths from stdin can be read once, and a profile needs several runs", "put them into a file: --from-file"
        )


def _check_values(parsed: dict[str, Any]) -> None:
    from imgtool.cli.analyze.command import NOT_OPTIONS
    from imgtool.config import resolve

    resolve({name: value for name, value in parsed.items() if name not in NOT_OPTIONS})


def _interval(text: str | None) -> float:
    from imgtool.cli.bench.common import seconds_option

    seconds = seconds_option("--interval", text)
    if seconds is not None and not 0.001 <= seconds <= 10:
        raise UsageProblem(f"--interval {text} is no sensible time between looks", "1ms to 10s")
    return INTERVAL_SECONDS if seconds is None else seconds


def _memory_tool(name: str) -> MemoryTool:
    try:
        return MemoryTool(name)
    except ValueError:
        raise UsageProblem(f"there is no memory tool {name}", "memory_profiler or memray") from None


def _with_notice(found: Profile, notice: str) -> Profile:
    from msgspec.structs import replace as changed

    return changed(found, notices=(*found.notices, notice)) if notice else found


def _say(found: Profile, messages: Messages) -> None:
    for absence in found.absences:
        messages.notice(absence_text(absence))
    for notice in found.notices:
        messages.notice(notice)
