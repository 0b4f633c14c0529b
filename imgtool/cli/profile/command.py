"""``imgtool profile``: where the time and the memory of an ``analyze`` run go, and what became of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from imgtool.cli.boundary import boundary

Text = Optional[str]  # noqa: UP045 - as in cli/options.py
Many = Optional[list[str]]  # noqa: UP045

DEFAULT = "run"
FOLDER = "imgtool-profile"
_WHAT, _OUT = "What is looked at", "Output"


class _Group(TyperGroup):
    """``imgtool profile`` with anything but ``report`` is ``imgtool profile run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name first where none is named."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    help="Where the time and the memory go: `imgtool profile ./photos` runs the real analyze job and draws what it "
    "does. All options of analyze may follow; see `imgtool profile run --help`.",
)


def _option(panel: str, help: str, *names: str, takes: str | None = None, default: str | bool = False) -> object:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=takes, show_default=default)


@app.command(DEFAULT, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def run(
    arguments: Annotated[
        Many,
        typer.Argument(
            metavar="[PATHS] [ANALYZE OPTIONS]",
            help="Images, and any options of analyze; those that profile has too, after --.",
            show_default=False,
        ),
    ] = None,
    view: Annotated[
        Many,
        _option(_WHAT, "phases, memory, cpu, imports. Repeatable.", "--view", takes="NAMES", default="all there are"),
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", help="Samples of the cpu view a second.", rich_help_panel=_WHAT, min=1, max=1000)
    ] = 100,
    native: Annotated[
        bool, _option(_WHAT, "Native frames in the cpu view; slows the run.", "--native/--no-native", default="off")
    ] = False,
    interval: Annotated[Text, _option(_WHAT, "Between looks at memory.", takes="TIME", default="50ms")] = None,
    memory_tool: Annotated[
        str, _option(_WHAT, "memory_profiler, or memray for every allocation.", takes="NAME", default=True)
    ] = "memory_profiler",
    line_by_line: Annotated[
        Text, _option(_WHAT, "Memory of a function line by line.", takes="MODULE:FUNCTION", default="none")
    ] = None,
    output: Annotated[str, _option(_OUT, "Where to.", "--output", "-o", takes="DIR", default=True)] = FOLDER,
    format: Annotated[
        str, _option(_OUT, "text, or json for everything on stdout.", "--format", "-f", takes="NAME", default=True)
    ] = "text",
    compare: Annotated[Text, _option(_OUT, "An earlier profile: what changed?", takes="DIR", default="none")] = None,
    quiet: Annotated[bool, _option(_OUT, "Nothing on stderr but errors.", "--quiet", "-q")] = False,
    verbose: Annotated[bool, _option(_OUT, "Tracebacks.", "--verbose", "-v")] = False,
) -> None:
    """Run the real analyze job and write a folder with its phases, memory, cpu time and imports.

    Each view has a run of its own, but for phases and memory, which share one.
    """
    from imgtool.cli.analyze.parser import parse

    parsed = parse(arguments or [])
    with boundary(verbose=verbose):
        from imgtool.cli.profile.job import Asked, profile

        asked = Asked(
            arguments=tuple(arguments or ()),
            parsed=parsed,
            views=tuple(view or ()),
            rate=rate,
            native=native,
            interval=interval,
            memory_tool=memory_tool,
            line_by_line=line_by_line,
            output=Path(output).expanduser(),
            format=format,
            compare=compare,
            command=("imgtool", *sys.argv[1:]),
            quiet=quiet,
        )
        raise typer.Exit(profile(asked))


@app.command("report")
def report(
    before: Annotated[str, typer.Option("--before", help="What imgtool bench --save wrote.", metavar="FILE")],
    after: Annotated[str, typer.Option("--after", help="The same; may be the same file.", metavar="FILE")],
    before_arm: Annotated[
        Text, typer.Option(help="Which arm of it.", metavar="NAME", show_default="its reference")
    ] = None,
    after_arm: Annotated[
        Text, typer.Option(help="Which arm of it.", metavar="NAME", show_default="analyze without options, or the last")
    ] = None,
    output: Annotated[
        Text, typer.Option("--output", "-o", help="Write performance.md and performance.html there.", metavar="DIR")
    ] = None,
    title: Annotated[str, typer.Option(help="The report's heading.", metavar="TEXT")] = "Performance",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """The performance report: before against after, the main improvements, what is next, and how to go back."""
    with boundary(verbose=verbose):
        from imgtool.cli.profile.report import write_report

        write_report(before, after, (before_arm, after_arm), output, title)
