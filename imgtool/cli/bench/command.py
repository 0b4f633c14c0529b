"""``imgtool bench``: how soon, how fast, how large; against other arms, and against an earlier run."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from imgtool.cli.bench.report import report
from imgtool.cli.bench.soak import soak
from imgtool.cli.bench.throughput import throughput
from imgtool.cli.boundary import boundary

Text = Optional[str]  # noqa: UP045 - as in cli/options.py
Many = Optional[list[str]]  # noqa: UP045
Flag = Annotated[bool, typer.Option()]

_ARMS, _RUNS, _GATE, _OUT = "What is compared", "How", "Gate", "Output"
DEFAULT = "startup"


class _DefaultGroup(TyperGroup):
    """``imgtool bench`` with anything but the name of an experiment is ``imgtool bench startup``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default experiment's name first where none is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_DefaultGroup,
    help="Measure startup, first result, throughput and memory in fresh processes, compare, and gate. "
    "Without the name of an experiment it is `bench startup`: see `imgtool bench startup --help`.",
)


def _option(panel: str, help: str, *names: str, takes: str | None = None, default: str | bool = False) -> object:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=takes, show_default=default)


@app.command(DEFAULT)
def startup(
    ctx: typer.Context,
    paths: Annotated[Many, typer.Argument(help="Images to analyze.", show_default="drawn, 1000 x 600")] = None,
    arms: Annotated[
        Text,
        _option(
            _ARMS,
            "Built-in arms: eager, lazy, parallel, compiled, compiled-fast, cached.",
            takes="NAMES",
            default="those whose models are here",
        ),
    ] = None,
    arm: Annotated[Many, _option(_ARMS, "An arm of any analyze options. Repeatable.", takes="NAME=OPTIONS")] = None,
    command: Annotated[
        Many, _option(_ARMS, "An arm that is any program, such as an older install. Repeatable.", takes="NAME=COMMAND")
    ] = None,
    reference: Annotated[
        Text, _option(_ARMS, "What others are compared with.", takes="NAME", default="the first")
    ] = None,
    tasks: Annotated[
        Text, _option(_ARMS, "Tasks of every arm.", "--tasks", "-t", takes="NAMES", default="caption,text")
    ] = None,
    languages: Annotated[
        Text, _option(_ARMS, "Languages of the text.", "--languages", "-l", takes="CODES", default="ko,en")
    ] = None,
    weights: Annotated[Text, _option(_ARMS, "real or synthetic.", takes="NAME", default="real where here")] = None,
    scale: Annotated[
        Text, _option(_ARMS, "Size of synthetic weights, full or small.", takes="NAME", default="full")
    ] = None,
    runs: Annotated[Text, _option(_RUNS, "Counted runs an arm.", "--runs", "-n", takes="N", default="10")] = None,
    warm_ups: Annotated[Text, _option(_RUNS, "Runs before them that are not counted.", takes="N", default="1")] = None,
    steady: Annotated[
        Text, _option(_RUNS, "Images after the first, for the time an image.", takes="N", default="2")
    ] = None,
    page_cache: Annotated[
        Text, _option(_RUNS, "Models' files in memory or not: warm, cold or both.", takes="STATE", default="warm")
    ] = None,
    timeout: Annotated[Text, _option(_RUNS, "For one run.", takes="TIME", default="10m")] = None,
    self_test: Annotated[
        bool, _option(_RUNS, "An arm against itself: what difference can this machine show?", "--self-test")
    ] = False,
    save: Annotated[Text, _option(_GATE, "Save everything, as a baseline for later.", takes="FILE")] = None,
    baseline: Annotated[
        Text,
        _option(_GATE, "What budgets compare with: a saved run, or an arm.", takes="FILE", default="the reference"),
    ] = None,
    fail_slower: Annotated[Text, _option(_GATE, "Exit 7 where slower by more.", takes="PERCENT")] = None,
    fail_memory: Annotated[Text, _option(_GATE, "Exit 7 where memory grew by more.", takes="PERCENT")] = None,
    max_startup: Annotated[Text, _option(_GATE, "Exit 7 where startup takes longer.", takes="TIME")] = None,
    max_first_result: Annotated[Text, _option(_GATE, "The same of the first result.", takes="TIME")] = None,
    max_wall: Annotated[Text, _option(_GATE, "The same of a whole run.", takes="TIME")] = None,
    max_memory: Annotated[Text, _option(_GATE, "Exit 7 where its processes take more.", takes="SIZE")] = None,
    across_machines: Annotated[
        bool,
        _option(_GATE, "Compare with another machine's file, by ratios to the reference arm.", "--across-machines"),
    ] = False,
    confirm: Annotated[
        bool, _option(_GATE, "Run again before failing.", "--confirm/--no-confirm", default="confirm")
    ] = True,
    json: Annotated[Text, _option(_OUT, "Everything as JSON; - is stdout.", takes="FILE")] = None,
    markdown: Annotated[Text, _option(_OUT, "For a pull request or a step summary.", takes="FILE")] = None,
    html: Annotated[Text, _option(_OUT, "A report with every sample.", takes="FILE")] = None,
    history: Annotated[Text, _option(_OUT, "Add this run to a folder, and draw the trend.", takes="DIR")] = None,
    quiet: Annotated[bool, _option(_OUT, "Nothing on stderr but errors.", "--quiet", "-q")] = False,
    verbose: Annotated[bool, _option(_OUT, "Tracebacks.", "--verbose", "-v")] = False,
) -> None:
    """Startup, first result, time an image and memory of loading strategies, each run a fresh process."""
    with boundary(verbose=verbose):
        from imgtool.cli.bench.options import resolve
        from imgtool.cli.bench.startup import StartupBench

        given = {name: value for name, value in ctx.params.items() if name not in ("quiet", "verbose")}
        raise typer.Exit(StartupBench(resolve(given), quiet=quiet).run())


app.command("report")(report)
app.command("throughput")(throughput)
app.command("soak")(soak)
