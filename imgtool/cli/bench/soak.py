"""``imgtool bench soak``: start again and again, or call again and again, and see what stays behind or creeps up."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from imgtool.cli.boundary import boundary

if TYPE_CHECKING:
    from rich.console import Console

    from imgtool.bench.experiments.leak import Leak
    from imgtool.bench.experiments.soak import Drift, Soak
    from imgtool.bench.measure.experiment import Contender

Text = Optional[str]  # noqa: UP045 - as in cli/options.py
Number = Optional[int]  # noqa: UP045
Many = Optional[list[str]]  # noqa: UP045

_RESTARTS, _CALLS = 100, 500
_TOLD_EVERY = 10
_NAMES_SHOWN = 5


def soak(
    image: Annotated[Text, typer.Argument(help="The image to analyze each time.", show_default="a drawn one")] = None,
    arm: Annotated[Many, typer.Option(metavar="NAME[=OPTIONS]", help="What to start, as in bench. Repeatable.")] = None,
    command: Annotated[Many, typer.Option(metavar="NAME=COMMAND", help="Any other program. Repeatable.")] = None,
    restarts: Annotated[
        Number, typer.Option(min=3, max=1_000_000, help="Fresh starts of each.", show_default="100, 0 with --leak")
    ] = None,
    leak: Annotated[bool, typer.Option("--leak", help="Call the engine again and again in one process.")] = False,
    calls: Annotated[int, typer.Option(min=35, max=10_000_000, help="How often, after a tenth to warm up.")] = _CALLS,
    tolerance: Annotated[str, typer.Option(metavar="SIZE", help="Growth a call that is no leak.")] = "10kB",
    options: Annotated[Text, typer.Option(metavar="TEXT", help="Options of analyze for all, in quotes.")] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="For one start.")] = "300s",
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """100 fresh starts: all succeed, nothing is left behind, nothing drifts. With --leak: does memory grow with calls?

    Exit code 7 where a start failed, something was left behind, grew or leaked; 8 where a leak cannot be told.
    """
    with boundary(verbose=verbose):
        from imgtool.cli.bench.common import contenders, made_ready, seconds_option, size_option, split_options, teller

        seconds, bytes_a_call = seconds_option("--timeout", timeout), size_option("--tolerance", tolerance)
        common, say = split_options(options), teller(quiet)
        assert seconds is not None
        with tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as scratch:
            picture = _picture(image, Path(scratch))
            chosen = contenders(arm or [], command or [], common, [str(picture)])
            if leak:
                _check_engines(chosen)
            starts = restarts if restarts is not None else 0 if leak else _RESTARTS
            ready = [made_ready(one, common, Path(scratch), seconds, say) for one in chosen] if starts else []
            soaks = [_soak(one, starts, seconds, say) for one in ready]
            leaks = {one.arm.name: _leak(one, picture, common, calls, bytes_a_call, say) for one in chosen if leak}
        _report(soaks, leaks, json)


def _picture(image: str | None, scratch: Path) -> Path:
    from imgtool.bench.arms.images import draw_in_child
    from imgtool.errors import PathMissing

    if image is None:
        return Path(draw_in_child(scratch, ((640, 480),), 1).files[0])
    path = Path(image)
    if not path.is_file():
        raise PathMissing(f"{image} is no file", "name one image")
    return path.absolute()


def _check_engines(chosen: Sequence[Contender]) -> None:
    """Refuse arms that have no engine of imgtool's to look into, or whose engine is not to compute.

    Raises:
        UsageProblem: there is one.
    """
    from imgtool.bench.arms.cached import is_cached
    from imgtool.bench.data.record import ArmKind
    from imgtool.errors import UsageProblem

    for one in chosen:
        name, remedy = one.arm.name, "an arm of analyze options, or lazy"
        if one.arm.kind is not ArmKind.ANALYZE:
            raise UsageProblem(f"arm {name}: --leak looks into imgtool's engine", remedy)
        if is_cached(one):
            raise UsageProblem(f"arm {name}: --leak computes every answer anew, and keeps none", remedy)


def _soak(contender: Contender, restarts: int, timeout: float, say: Callable[[str], None]) -> Soak:
    from imgtool.bench.data.record import RunSample
    from imgtool.bench.experiments.soak import soak as run

    name = contender.arm.name
    say(f"{name}: {restarts} starts")

    def said(number: int, sample: RunSample) -> None:
        if sample.error is not None:
            say(f"{name}: start {number + 1} failed: {sample.error}")
        elif (number + 1) % _TOLD_EVERY == 0:
            say(f"{name}: {number + 1} of {restarts}")

    return run(contender.arm, restarts, timeout=timeout, said=said)


def _leak(
    contender: Contender, picture: Path, common: Sequence[str], calls: int, tolerance: int, say: Callable[[str], None]
) -> Leak:
    from imgtool.bench.experiments.leak import measure_leak
    from imgtool.cli.analyze.parser import engine_flags

    arm = contender.arm
    say(f"{arm.name}: {calls} calls in one process")
    with tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as scratch:
        flags = engine_flags((*common, *arm.options))
        return measure_leak(flags, picture, calls=calls, scratch=Path(scratch), tolerance=tolerance)


def _report(soaks: Sequence[Soak], leaks: dict[str, Leak], json: bool) -> None:
    """Print, and leave with the exit code that the worst of it deserves."""
    from imgtool.bench.experiments.leak import LeakVerdict
    from imgtool.cli.bench.common import data_console, print_json
    from imgtool.errors import ExitCode

    if json:
        print_json({"schema_version": 1, "tool": "imgtool bench soak", "restarts": soaks, "leaks": leaks})
    else:
        console = data_console()
        for found in soaks:
            _print_soak(console, found)
        for name, leak in leaks.items():
            _print_leak(console, name, leak)
    verdicts = {leak.verdict for leak in leaks.values()}
    if LeakVerdict.LEAK in verdicts or not all(found.sound for found in soaks):
        raise typer.Exit(ExitCode.REGRESSION)
    if LeakVerdict.INCONCLUSIVE in verdicts:
        raise typer.Exit(ExitCode.INCONCLUSIVE)


def _print_soak(console: Console, found: Soak) -> None:
    console.print(f"{found.arm}: {found.succeeded} of {found.restarts} starts succeeded")
    for failure in found.failures[:_NAMES_SHOWN]:
        console.print(f"  start {failure.restart + 1} {failure.reason}", soft_wrap=True)
        if failure.stderr_tail:
            console.print("    " + failure.stderr_tail.strip().replace("\n", "\n    "), soft_wrap=True)
    for line in _left_behind(found):
        console.print(f"  left behind: {line}", soft_wrap=True)
    for drift in found.drifts:
        console.print(f"  {_drift(drift)}", soft_wrap=True)


def _left_behind(found: Soak) -> list[str]:
    lines = [
        f"{len(names)} {what}: {', '.join(names[:_NAMES_SHOWN])}{' ...' if len(names) > _NAMES_SHOWN else ''}"
        for what, names in (
            ("temporary files", found.files),
            ("pieces of shared memory", found.shared_memory),
            ("processes", found.processes),
        )
        if names
    ]
    if found.outlived:
        lines.append(f"{found.outlived} processes outlived the one that was started")
    return lines or ["nothing: no files, no shared memory, no processes"]


def _drift(drift: Drift) -> str:
    from imgtool.bench.report.units import bytes_text, seconds_text

    words = {True: "grows", False: "no drift", None: "cannot be told: the spread is too large"}
    said = words[drift.grows] if drift.judged or not drift.grows else "grows; or the machine was busier, see below"
    median = bytes_text(drift.median) if drift.is_memory else seconds_text(drift.median)
    return (
        f"{drift.name}: {median}, {drift.change:+.1%} over all starts ({drift.low:+.1%} to {drift.high:+.1%}): {said}"
    )


def _print_leak(console: Console, name: str, found: Leak) -> None:
    from rich.table import Table

    from imgtool.bench.stats.slope import Slope

    console.print(f"{name}: {found.verdict.value} over {found.calls} calls ({', '.join(found.engines)})")
    console.print(f"  {found.reason}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("calls", "anonymous, kB a call", "C heap, kB a call", "objects a call"):
        table.add_column(heading, justify="right", overflow="fold")

    def kilobytes(slope: Slope | None) -> str:
        if slope is None:
            return "not readable here"
        return f"{slope.estimate / 1e3:+.1f} ({slope.low / 1e3:.1f}..{slope.high / 1e3:.1f})"

    for one in found.rounds:
        table.add_row(f"{one.calls:,}", kilobytes(one.anon), kilobytes(one.heap), f"{one.objects.estimate:+.1f}")
    console.print(table)
