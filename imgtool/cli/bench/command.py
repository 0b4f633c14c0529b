"""``imgtool bench``: startup, speed and memory, against other arms and against an earlier run."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from imgtool.cli.analyze.options import Many, Text, option
from imgtool.cli.bench.report import report
from imgtool.cli.bench.soak import soak
from imgtool.cli.bench.throughput import throughput
from imgtool.cli.boundary import boundary

_ARMS, _COMMANDS, _RUNS, _GATE, _OUT = "Arms", "Commands", "Runs", "Gate", "Output"
DEFAULT = "startup"


class _DefaultGroup(TyperGroup):
    """``imgtool bench`` without the name of an experiment is ``imgtool bench startup``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default experiment's name first where none is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


class _WithParameters(TyperCommand):
    """A command whose ``--parameter`` takes two words, a name and its values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the two words."""
        joined, rest = [], iter(args)
        for word in rest:
            joined.append(word)
            if word == "--":
                break
            if word in ("--parameter", "-L") and "=" not in (name := next(rest, "")):
                joined.append(f"{name}={next(rest, '')}")
            elif word in ("--parameter", "-L"):
                joined.append(name)
        return super().parse_args(ctx, [*joined, *rest])


app = typer.Typer(
    cls=_DefaultGroup,
    help="Measure startup, first result, throughput and memory in fresh processes, compare, and fail on regressions. "
    "Without one of the commands below it runs `bench startup`, whose --help lists the options.",
)


@app.command(DEFAULT, cls=_WithParameters)
def startup(
    ctx: typer.Context,
    paths: Annotated[
        Many,
        typer.Argument(
            metavar="[COMMAND|IMAGE]...", help="Commands to compare, or images to analyze.", show_default="drawn images"
        ),
    ] = None,
    arms: Annotated[
        Text,
        option(
            _ARMS,
            "Built-in arms: eager, lazy, parallel, compiled, compiled-fast, cached.",
            "--arms",
            takes="NAMES",
            default="those whose models are here",
        ),
    ] = None,
    arm: Annotated[
        Many, option(_ARMS, "An arm with its own options of analyze. Repeatable.", takes="NAME=OPTIONS")
    ] = None,
    command: Annotated[
        Many,
        option(_COMMANDS, "A command with a name of its own. Repeatable.", takes="NAME=COMMAND"),
    ] = None,
    shell: Annotated[
        bool, option(_COMMANDS, "Run commands by sh; its own start is not counted.", "--shell", "-S")
    ] = False,
    parameter: Annotated[
        Many,
        option(
            _COMMANDS,
            "Run commands once for each value of {NAME}; several: every combination.",
            "--parameter",
            "-L",
            takes="NAME A,B,C",
        ),
    ] = None,
    setup: Annotated[
        Many, option(_COMMANDS, "Run once before all runs of a command. For each, or one for all.", takes="COMMAND")
    ] = None,
    prepare: Annotated[Many, option(_COMMANDS, "Run before each run of a command.", takes="COMMAND")] = None,
    cleanup: Annotated[Many, option(_COMMANDS, "Run once after all runs of a command.", takes="COMMAND")] = None,
    ignore_failure: Annotated[
        Text,
        option(_RUNS, "Exit codes that are no failure, such as 3; or all.", "--ignore-failure", "-i", takes="CODES"),
    ] = None,
    reference: Annotated[
        Text, option(_ARMS, "The arm that the others are compared with.", takes="NAME", default="the first")
    ] = None,
    tasks: Annotated[
        Text, option(_ARMS, "Tasks of every arm.", "--tasks", "-t", takes="NAMES", default="caption,text")
    ] = None,
    languages: Annotated[
        Text, option(_ARMS, "Languages of the text task.", "--languages", "-l", takes="CODES", default="ko,en")
    ] = None,
    weights: Annotated[
        Text, option(_ARMS, "real or synthetic.", "--weights", takes="NAME", default="real if they are here")
    ] = None,
    scale: Annotated[
        Text, option(_ARMS, "Size of synthetic weights, full or small.", "--scale", takes="NAME", default="full")
    ] = None,
    runs: Annotated[Text, option(_RUNS, "Runs an arm.", "--runs", "-n", takes="N", default="10")] = None,
    warm_ups: Annotated[Text, option(_RUNS, "Warm-up runs before them, not counted.", takes="N", default="1")] = None,
    steady: Annotated[
        Text, option(_RUNS, "Images after the first, to measure the time an image.", takes="N", default="2")
    ] = None,
    page_cache: Annotated[
        Text,
        option(
            _RUNS, "Page cache of the models' files: warm, cold or both.", "--page-cache", takes="STATE", default="warm"
        ),
    ] = None,
    timeout: Annotated[Text, option(_RUNS, "Limit of one run.", takes="TIME", default="10m")] = None,
    self_test: Annotated[
        bool, option(_RUNS, "Compare an arm with itself: which difference can this machine detect?", "--self-test")
    ] = False,
    save: Annotated[Text, option(_GATE, "Save everything, as a baseline or for bench report.", takes="FILE")] = None,
    baseline: Annotated[
        Text,
        option(
            _GATE, "What relative budgets compare with: a saved run, or an arm.", takes="FILE", default="the reference"
        ),
    ] = None,
    fail_slower: Annotated[Text, option(_GATE, "Exit 7 if slower by more than this.", takes="PERCENT")] = None,
    fail_memory: Annotated[Text, option(_GATE, "Exit 7 if memory grew by more than this.", takes="PERCENT")] = None,
    max_startup: Annotated[Text, option(_GATE, "Exit 7 if startup takes longer than this.", takes="TIME")] = None,
    max_first_result: Annotated[
        Text, option(_GATE, "Exit 7 if the first result takes longer than this.", takes="TIME")
    ] = None,
    max_wall: Annotated[Text, option(_GATE, "Exit 7 if the whole run takes longer than this.", takes="TIME")] = None,
    max_memory: Annotated[
        Text, option(_GATE, "Exit 7 if its processes take more memory than this.", takes="SIZE")
    ] = None,
    across_machines: Annotated[
        bool,
        option(_GATE, "Allow a baseline of another machine: compare ratios to the reference arm.", "--across-machines"),
    ] = False,
    confirm: Annotated[
        bool,
        option(_GATE, "Measure failing arms once more before exit 7.", "--confirm/--no-confirm", default="confirm"),
    ] = True,
    json: Annotated[Text, option(_OUT, "Write everything as JSON; - is stdout.", takes="FILE")] = None,
    markdown: Annotated[
        Text, option(_OUT, "Write the report as Markdown, for a pull request; - is stdout.", takes="FILE")
    ] = None,
    html: Annotated[Text, option(_OUT, "Write the report as a page with charts.", takes="FILE")] = None,
    junit: Annotated[Text, option(_OUT, "Write the gate's checks as JUnit XML; - is stdout.", takes="FILE")] = None,
    history: Annotated[
        Text, option(_OUT, "Add this run to a folder, and write a page with the trend there.", takes="DIR")
    ] = None,
    quiet: Annotated[bool, option(_OUT, "Nothing on stderr but errors.", "--quiet", "-q")] = False,
    verbose: Annotated[bool, option(_OUT, "Tracebacks.", "--verbose", "-v")] = False,
) -> None:
    """Compare commands, or loading strategies of analyze: time and memory, each run in a fresh process.

    imgtool bench 'sleep 1' 'sleep 2' compares two commands. Without one, the built-in arms that can run are compared.
    """
    with boundary(verbose=verbose):
        from imgtool.cli.bench.options import resolve
        from imgtool.cli.bench.startup import StartupBench

        given = {name: value for name, value in ctx.params.items() if name not in ("quiet", "verbose")}
        raise typer.Exit(StartupBench(resolve(given), quiet=quiet).run())


app.command("report")(report)
app.command("throughput")(throughput)
app.command("soak")(soak)
