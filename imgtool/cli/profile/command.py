"""``imgtool profile``: where the time and the memory of a real run go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from imgtool.cli import completion
from imgtool.cli.analyze.options import Many, Text, option
from imgtool.cli.boundary import boundary

FOLDER = "imgtool-profile"
SETTINGS: dict[str, Any] = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Settings of the command: options that it does not know are for analyze."""

_VIEWS, _OUT = "Views", "Output"


def profile(
    arguments: Annotated[
        Many,
        typer.Argument(
            metavar="[PATHS] [ANALYZE OPTIONS]",
            help="Images, and any options of analyze; those that profile has too go after --.",
            show_default=False,
        ),
    ] = None,
    view: Annotated[
        Many, option(_VIEWS, "phases, memory, cpu, imports. Repeatable.", "--view", takes="NAMES", default="all")
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", help="Samples per second of the cpu view.", rich_help_panel=_VIEWS, min=1, max=1000)
    ] = 100,
    interval: Annotated[Text, option(_VIEWS, "Time between memory samples.", takes="TIME", default="50ms")] = None,
    line_by_line: Annotated[
        Text, option(_VIEWS, "Measure the memory of a function line by line.", takes="MODULE:FUNCTION")
    ] = None,
    output: Annotated[str, option(_OUT, "The folder to write.", "--output", "-o", takes="DIR", default=True)] = FOLDER,
    format: Annotated[
        str,
        option(
            _OUT,
            "text, or json: the whole profile on stdout.",
            "--format",
            "-f",
            takes="NAME",
            default=True,
            values=completion.words("text", "json"),
        ),
    ] = "text",
    quiet: Annotated[bool, option(_OUT, "Nothing on stderr but errors.", "--quiet", "-q")] = False,
    verbose: Annotated[bool, option(_OUT, "Tracebacks.", "--verbose", "-v")] = False,
) -> None:
    """Run the real analyze job and write a folder with its phases, memory, cpu time and imports.

    imgtool profile ./photos runs imgtool analyze ./photos; all options of analyze may follow. Each view has a run of
    its own, except phases and memory, which share one.
    """
    from imgtool.cli.analyze.parser import parse

    parsed = parse(arguments or [])
    with boundary(verbose=verbose):
        from imgtool.cli.profile.job import request_of, run_profile

        request, notice = request_of(
            arguments or (),
            parsed,
            views=view or (),
            rate=rate,
            interval=interval,
            line_by_line=line_by_line,
            folder=Path(output).expanduser(),
        )
        raise typer.Exit(run_profile(request, notice, format=format, quiet=quiet))
