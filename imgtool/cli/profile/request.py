"""What was typed after ``imgtool profile``, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgtool.cli.analyze.command import NOT_OPTIONS
from imgtool.cli.bench.common import parsed_option
from imgtool.config import resolve
from imgtool.errors import UsageProblem
from imgtool.profiling.runner import ProfileRequest, views_of
from imgtool.profiling.views.lines import check_target
from imgtool.profiling.views.memory import INTERVAL_SECONDS
from imgtool.quantities import parse_duration

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
    command: tuple[str, ...],
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
    seconds = INTERVAL_SECONDS if interval is None else parsed_option("--interval", interval, parse_duration)
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
        command=command,
    )
    return request, _COLD if no_cache else "" if parsed["cache"] is False else _WARM
