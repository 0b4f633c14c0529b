"""``imgtool bench soak``: start again and again, or call again and again, and see what is left behind or grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgtool.cli.analyze.options import Many, Text
from imgtool.cli.boundary import boundary, verdict
from imgtool.cli.console import Messages, data_console, plain_table, print_json
from imgtool.files import scratch_folder

if TYPE_CHECKING:
    from rich.console import Console

    from imgtool.bench.data.record import RunSample
    from imgtool.bench.experiments.leak import Leak
    from imgtool.bench.experiments.soak import Soak
    from imgtool.bench.measure.experiment import Contender

_RESTARTS, _CALLS = 100, 500
_TOLD_EVERY = 10
_NAMES_SHOWN = 5


def soak(
    image: Annotated[Text, typer.Argument(help="The image to analyze each time.", show_default="a drawn one")] = None,
    arm: Annotated[Many, typer.Option(metavar="NAME[=OPTIONS]", help="An arm, as in bench. Repeatable.")] = None,
    command: Annotated[Many, typer.Option(metavar="NAME=COMMAND", help="Any other program. Repeatable.")] = None,
    shell: Annotated[bool, typer.Option("--shell", "-S", help="Run commands by sh.")] = False,
    restarts: Annotated[
        int | None,
        typer.Option(min=3, max=1_000_000, help="Fresh starts of each arm.", show_default="100, 0 with --leak"),
    ] = None,
    leak: Annotated[bool, typer.Option("--leak", help="Call the engine again and again in one process.")] = False,
    calls: Annotated[
        int, typer.Option(min=35, max=10_000_000, help="Calls with --leak, after a tenth as many to warm up.")
    ] = _CALLS,
    tolerance: Annotated[str, typer.Option(metavar="SIZE", help="Growth a call that is not a leak.")] = "10kB",
    options: Annotated[Text, typer.Option(metavar="TEXT", help="Options of analyze for all arms, in quotes.")] = None,
    ignore_failure: Annotated[
        Text, typer.Option("--ignore-failure", "-i", metavar="CODES", help="Exit codes that are no failure; or all.")
    ] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="For one start.")] = "300s",
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """Check that 100 fresh starts succeed, leave nothing behind and do not grow. --leak: does memory grow with calls?

    Exit code 7 if a start failed, something was left behind, grew or leaked; 8 if a leak is inconclusive.
    """
    with boundary(verbose=verbose):
        from imgtool.bench.arms.commands import split_words
        from imgtool.bench.arms.drawn_images import draw_in_child
        from imgtool.bench.experiments.leak import measure_leak
        from imgtool.bench.experiments.soak import soak as run
        from imgtool.cli.analyze.parser import engine_flags
        from imgtool.cli.bench.common import contenders, made_ready
        from imgtool.cli.bench.options import parse_exit_codes
        from imgtool.errors import PathMissing
        from imgtool.quantities import parse_duration, parse_option, parse_size

        seconds = parse_option("--timeout", timeout, parse_duration)
        bytes_a_call = parse_option("--tolerance", tolerance, parse_size)
        ignored = parse_option("--ignore-failure", ignore_failure, parse_exit_codes) if ignore_failure else ()
        common, say = split_words(options or ""), Messages(quiet=quiet).faint
        if image is not None and not Path(image).is_file():
            raise PathMissing(f"{image} is not a file", "name one image")
        starts = restarts if restarts is not None else 0 if leak else _RESTARTS
        with scratch_folder("bench") as scratch:
            drawn = image or draw_in_child(scratch / "image", ((640, 480),), 1)[0]
            picture = Path(drawn).absolute()
            chosen = contenders(arm or [], command or [], common, [str(picture)], shell=shell)
            if leak:
                _check_engines(chosen)

            def tell(number: int, sample: RunSample) -> None:
                if sample.error is not None:
                    say(f"{sample.arm}: start {number + 1} failed: {sample.error}")
                elif (number + 1) % _TOLD_EVERY == 0:
                    say(f"{sample.arm}: {number + 1} of {starts}")

            soaks: list[Soak] = []
            for one in chosen if starts else []:
                ready = made_ready(one, common, scratch, seconds, say)
                say(f"{ready.arm.name}: {starts} starts")
                soaks.append(run(ready.arm, starts, timeout=seconds, ignored_codes=ignored, on_sample=tell))
                if soaks[-1].interrupted:
                    break
            leaks: dict[str, Leak] = {}
            for one in chosen if leak and not any(found.interrupted for found in soaks) else []:
                say(f"{one.arm.name}: {calls} calls in one process")
                flags = engine_flags((*common, *one.arm.options))
                leaks[one.arm.name] = measure_leak(flags, picture, calls=calls, scratch=scratch, tolerance=bytes_a_call)
        _report(soaks, leaks, json)


def _report(soaks: Sequence[Soak], leaks: dict[str, Leak], json: bool) -> None:
    """Print, and leave with the exit code of the worst result."""
    from imgtool.bench.experiments.leak import LeakVerdict
    from imgtool.errors import ExitCode

    verdicts, code = {leak.verdict for leak in leaks.values()}, ExitCode.OK
    if LeakVerdict.LEAK in verdicts or not all(found.sound for found in soaks):
        code = ExitCode.REGRESSION
    elif LeakVerdict.INCONCLUSIVE in verdicts:
        code = ExitCode.INCONCLUSIVE
    if interrupted := any(found.interrupted for found in soaks):
        code = ExitCode.INTERRUPTED
    with verdict(code):
        if json:
            print_json({"schema_version": 1, "tool": "imgtool bench soak", "restarts": soaks, "leaks": leaks})
        else:
            console = data_console()
            for found in soaks:
                _print_soak(console, found)
            for name, leak in leaks.items():
                _print_leak(console, name, leak)
    if interrupted:
        Messages().error("interrupted: what was measured until then is above")
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _check_engines(chosen: Sequence[Contender]) -> None:
    """Refuse arms without an engine of imgtool's, and the arm whose engine does not compute.

    Raises:
        UsageProblem: there is one.
    """
    from imgtool.bench.arms.cached import is_cached
    from imgtool.bench.data.record import ArmKind
    from imgtool.errors import UsageProblem

    for one in chosen:
        name, remedy = one.arm.name, "name an arm of analyze options, or lazy"
        if one.arm.kind is not ArmKind.ANALYZE:
            raise UsageProblem(f"arm {name}: --leak needs imgtool's engine", remedy)
        if is_cached(one):
            raise UsageProblem(f"arm {name}: --leak computes every answer and keeps none", remedy)


def _print_soak(console: Console, found: Soak) -> None:
    from imgtool.bench.report.units import bytes_text, seconds_text

    console.print(f"{found.arm}: {found.succeeded} of {found.restarts} starts succeeded")
    for failure in found.failures[:_NAMES_SHOWN]:
        console.print(f"  start {failure.restart + 1} {failure.reason}", soft_wrap=True)
        if failure.stderr_tail:
            console.print("    " + failure.stderr_tail.strip().replace("\n", "\n    "), soft_wrap=True)
    left = [
        f"{len(names)} {what}: {', '.join(names[:_NAMES_SHOWN])}{' ...' if len(names) > _NAMES_SHOWN else ''}"
        for what, names in (
            ("temporary files", found.files),
            ("shared memory segments", found.shared_memory),
            ("processes", found.processes),
        )
        if names
    ]
    if found.outlived:
        left.append(f"{found.outlived} processes outlived the one that was started")
    for line in left or ["nothing: no files, no shared memory, no processes"]:
        console.print(f"  left behind: {line}", soft_wrap=True)
    words = {True: "grows", False: "no drift", None: "inconclusive: the spread is too large"}
    for drift in found.drifts:
        verdict = words[drift.grows]
        if drift.grows and not drift.judged:
            verdict = "grows, or the machine was busier: see processor time"
        median = bytes_text(drift.median) if drift.is_memory else seconds_text(drift.median)
        change = f"{drift.change:+.1%} over all starts ({drift.low:+.1%} to {drift.high:+.1%})"
        console.print(f"  {drift.name}: {median}, {change}: {verdict}", soft_wrap=True)


def _print_leak(console: Console, name: str, found: Leak) -> None:
    from imgtool.bench.stats.slope import Slope

    console.print(f"{name}: {found.verdict.value} over {found.calls} calls ({', '.join(found.engines)})")
    console.print(f"  {found.reason}", soft_wrap=True)
    table = plain_table("calls", "anonymous, kB a call", "C heap, kB a call", "objects a call", figures=4)

    def kilobytes(slope: Slope | None) -> str:
        if slope is None:
            return "not readable here"
        return f"{slope.estimate / 1e3:+.1f} ({slope.low / 1e3:.1f}..{slope.high / 1e3:.1f})"

    for one in found.rounds:
        table.add_row(f"{one.calls:,}", kilobytes(one.anon), kilobytes(one.heap), f"{one.objects.estimate:+.1f}")
    console.print(table)
