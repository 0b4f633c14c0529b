"""``imgtool profile``: where the time and the memory of a real run go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from imgtool.cli.boundary import boundary

Text = Optional[str]  # noqa: UP045 - as in cli/options.py
Many = Optional[list[str]]  # noqa: UP045

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
        Many,
        typer.Option(
            "--view",
            help="phases, memory, cpu, imports. Repeatable.",
            metavar="NAMES",
            rich_help_panel=_VIEWS,
            show_default="all",
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", help="Samples per second of the cpu view.", rich_help_panel=_VIEWS, min=1, max=1000)
    ] = 100,
    interval: Annotated[
        Text,
        typer.Option(help="Time between memory samples.", metavar="TIME", rich_help_panel=_VIEWS, show_default="50ms"),
    ] = None,
    line_by_line: Annotated[
        Text,
        typer.Option(
            help="Measure the memory of a function line by line.", metavar="MODULE:FUNCTION", rich_help_panel=_VIEWS
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The folder to write.", metavar="DIR", rich_help_panel=_OUT)
    ] = FOLDER,
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="text, or json: the whole profile on stdout.", metavar="NAME", rich_help_panel=_OUT
        ),
    ] = "text",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.", rich_help_panel=_OUT)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.", rich_help_panel=_OUT)] = False,
) -> None:
    """Run the real analyze job and write a folder with its phases, memory, cpu time and imports.

    imgtool profile ./photos runs imgtool analyze ./photos; all options of analyze may follow. Each view has a run of
    its own, except phases and memory, which share one.
    """
    from imgtool.cli.analyze.parser import parse

    parsed = parse(arguments or [])
    with boundary(verbose=verbose):
        from imgtool.cli.profile.job import run_profile
        from imgtool.cli.profile.request import request_of

        request, notice = request_of(
            arguments or (),
            parsed,
            views=view or (),
            rate=rate,
            interval=interval,
            line_by_line=line_by_line,
            folder=Path(output).expanduser(),
            command=("imgtool", *sys.argv[1:]),
        )
        raise typer.Exit(run_profile(request, notice, format=format, quiet=quiet))
