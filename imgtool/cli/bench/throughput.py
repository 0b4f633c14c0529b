"""``imgtool bench throughput``: images per second, by arm, batch size, workers and threads, beside the roofline."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgtool.cli.analyze.options import Many, Text
from imgtool.cli.boundary import boundary, verdict
from imgtool.cli.console import Messages, data_console, plain_table, print_json
from imgtool.files import scratch_folder

if TYPE_CHECKING:
    from rich.console import Console

    from imgtool.bench.experiments.throughput import Cell, Throughput
    from imgtool.bench.measure.experiment import Contender
    from imgtool.bench.stats.statistics import Summary

_MOST_IMAGES = 5000  # they are on a command line
_COUNTED_IMAGES = 6
"""Of which the work is counted, evenly spread."""


def throughput(
    paths: Annotated[Many, typer.Argument(help="Images and folders.", show_default="drawn images")] = None,
    arm: Annotated[Many, typer.Option(metavar="NAME[=OPTIONS]", help="An arm, as in bench. Repeatable.")] = None,
    command: Annotated[Many, typer.Option(metavar="NAME=COMMAND", help="Any program, on its images.")] = None,
    shell: Annotated[bool, typer.Option("--shell", "-S", help="Run commands by sh.")] = False,
    sizes: Annotated[str, typer.Option(metavar="SIZES", help="Sizes of drawn images, in turns.")] = "1000x600",
    images: Annotated[int, typer.Option(min=2, max=_MOST_IMAGES, help="How many to draw.")] = 20,
    batch_sizes: Annotated[Text, typer.Option(metavar="N,N", help="Batch sizes to try.", show_default="8")] = None,
    threads: Annotated[
        Text, typer.Option(metavar="N,N", help="Numbers of threads to try.", show_default="what pays")
    ] = None,
    workers: Annotated[
        Text, typer.Option(metavar="N,N", help="Numbers of workers to try.", show_default="what pays")
    ] = None,
    roofline: Annotated[bool, typer.Option(help="Compare with what this processor can do at most.")] = True,
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=1000, help="Fresh processes a combination.")] = 5,
    options: Annotated[Text, typer.Option(metavar="TEXT", help="Options of analyze for all arms, in quotes.")] = None,
    ignore_failure: Annotated[
        Text, typer.Option("--ignore-failure", "-i", metavar="CODES", help="Exit codes that are no failure; or all.")
    ] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="For one run.")] = "30m",
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """Images per second, and what more threads add; each combination in fresh processes. Exit code 3 if one failed."""
    with boundary(verbose=verbose):
        from imgtool.bench.arms.commands import split_words
        from imgtool.bench.experiments.throughput import Throughput, measure
        from imgtool.cli.bench.common import made_ready
        from imgtool.cli.bench.options import parse_exit_codes
        from imgtool.errors import ExitCode
        from imgtool.ground.cores import granted_cores
        from imgtool.quantities import parse_duration, parse_option

        seconds, say = parse_option("--timeout", timeout, parse_duration), Messages(quiet=quiet).faint
        batches = parse_option("--batch-sizes", batch_sizes or "8", _numbers)
        counts = parse_option("--threads", threads, _numbers) if threads else (None,)
        crews = parse_option("--workers", workers, _numbers) if workers else (None,)
        wanted = parse_option("--sizes", sizes, _sizes)
        ignored = parse_option("--ignore-failure", ignore_failure, parse_exit_codes) if ignore_failure else ()
        common = split_words(options or "")
        with scratch_folder("bench") as scratch:
            files = _images(paths or [], wanted, images, scratch)
            chosen = _cells(arm or [], command or [], common, files, batches, counts, crews, shell=shell)
            cells = [(cell, made_ready(each, common, scratch, seconds, say)) for cell, each in chosen]
            measured = measure(cells, len(files), runs=runs, timeout=seconds, say=say, ignored_codes=ignored)
            found = Throughput(
                images=len(files),
                image_bytes=sum(Path(file).stat().st_size for file in files),
                sizes=() if paths else tuple(f"{width}x{height}" for width, height in wanted),
                cores=granted_cores(),
                runs=runs,
                cells=tuple(measured.cells),
                interrupted=measured.interrupted,
            )
            if roofline and not found.interrupted:
                found = _with_rooflines(found, chosen, common, files, say)
        if found.interrupted and not any(cell.runs for cell in found.cells):
            raise KeyboardInterrupt
        failed = any(cell.error is not None for cell in found.cells)
        code = ExitCode.INTERRUPTED if found.interrupted else ExitCode.SOME_FAILED if failed else ExitCode.OK
        with verdict(code):
            if json:
                print_json(found)
            else:
                _print(found)
        if found.interrupted:
            Messages().error("interrupted: what was measured until then is above")
        if code is not ExitCode.OK:
            raise typer.Exit(code)


def _numbers(text: str) -> tuple[int, ...]:
    """``1,2,4`` as numbers of at least 1, each once, in order."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise ValueError(f"{text!r} is not a list of numbers like 1,2,4")
    return tuple(dict.fromkeys(map(int, parts)))


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Widths and heights of ``1000x600,4000x3000``."""
    found = []
    for part in text.split(","):
        width, _, height = part.strip().lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and 1 <= int(width) <= 20_000 and 1 <= int(height) <= 20_000):
            raise ValueError(f"{part!r} is not a size like 1000x600, up to 20000 each")
        found.append((int(width), int(height)))
    return tuple(found)


def _images(paths: Sequence[str], sizes: tuple[tuple[int, int], ...], count: int, scratch: Path) -> tuple[str, ...]:
    from imgtool.bench.arms.drawn_images import draw_in_child
    from imgtool.engine.files.discover import ImageRef, discover
    from imgtool.errors import NoImages, PathMissing, UsageProblem

    if not paths:
        return draw_in_child(scratch, sizes, count)
    if missing := [path for path in paths if not Path(path).exists()]:
        raise PathMissing(f"{missing[0]} does not exist", "name images or folders")
    found = tuple(str(Path(ref.path).absolute()) for ref in discover(paths) if isinstance(ref, ImageRef))
    if len(found) < 2:
        raise NoImages("a rate needs at least two images", "name a folder with more, or leave the paths out")
    if len(found) > _MOST_IMAGES:
        raise UsageProblem(f"{len(found):,} images are more than {_MOST_IMAGES:,}", "name a smaller folder")
    return found


def _cells(
    arms: Sequence[str],
    commands: Sequence[str],
    common: Sequence[str],
    files: Sequence[str],
    batches: tuple[int, ...],
    threads: tuple[int | None, ...],
    crews: tuple[int | None, ...] = (None,),
    *,
    shell: bool = False,
) -> list[tuple[Cell, Contender]]:
    """Every combination that means something: the eager program has no batches, a foreign one neither setting."""
    from imgtool.bench.data.record import ArmKind
    from imgtool.bench.experiments.throughput import Cell
    from imgtool.cli.bench.common import contenders

    found: dict[Cell, Contender] = {}
    for count, batch, crew in itertools.product(threads, batches, crews):
        given = (("--threads", count), ("--workers", crew))
        words = [*common, "--batch-size", str(batch)]
        words += [word for flag, value in given if value is not None for word in (flag, str(value))]
        for contender in contenders(arms, commands, words, files, shell=shell):
            kind = contender.arm.kind
            cell = Cell(
                arm=contender.arm.name,
                batch_size=batch if kind is ArmKind.ANALYZE else None,
                threads=None if kind is ArmKind.COMMAND else count,
                workers=crew if kind is ArmKind.ANALYZE else None,
            )
            found.setdefault(cell, contender)
    order = list(dict.fromkeys(cell.arm for cell in found))
    return sorted(found.items(), key=lambda item: (order.index(item[0].arm), item[0].batch_size or 0))


def _with_rooflines(
    found: Throughput,
    chosen: Sequence[tuple[Cell, Contender]],
    common: Sequence[str],
    files: Sequence[str],
    say: Callable[[str], None],
) -> Throughput:
    """``found`` with the least time of an image for each arm of ``analyze``, at the rates of this machine."""
    from msgspec.structs import replace

    from imgtool.bench.arms.definitions import CACHED
    from imgtool.bench.data.record import ArmKind
    from imgtool.bench.experiments.throughput import rooflines
    from imgtool.bench.roofline.bounds import measure_rates
    from imgtool.bench.roofline.work import work_of
    from imgtool.cli.analyze.parser import engine_options
    from imgtool.engine.plan import make_plan
    from imgtool.ground.cores import granted_cores

    arms = {
        contender.arm.name: contender.arm.options
        for _, contender in chosen
        if contender.arm.kind is ArmKind.ANALYZE and contender.arm.name != CACHED
    }
    threads = max((cell.threads or granted_cores() for cell, _ in chosen), default=granted_cores())
    say("counting what the networks compute")
    some = tuple(files[:: max(1, len(files) // _COUNTED_IMAGES)][:_COUNTED_IMAGES])
    parts = {name: work_of(make_plan(engine_options((*common, *words))), some, threads) for name, words in arms.items()}
    rates = measure_rates(threads)
    return replace(found, rates=rates, rooflines=rooflines(found.cells, parts, rates))


def _print_rooflines(found: Throughput, console: Console) -> None:
    if (rates := found.rates) is None or not found.rooflines:
        return
    console.print(
        f"\nroofline: {rates.float_ops / 1e9:.0f} billion operations a second in single precision, "
        f"{rates.int8_ops / 1e9:.0f} in 8 bits, {rates.bytes_read / 1e9:.1f} GB of weights a second, "
        f"with {rates.threads} thread{'s' if rates.threads > 1 else ''}",
        soft_wrap=True,
    )
    for arm, roofline in found.rooflines.items():
        parts = sorted(roofline.parts, key=lambda part: -part.seconds(rates))
        told = ", ".join(f"{part.name} {part.seconds(rates):.3f}" for part in parts if part.seconds(rates) >= 0.0005)
        share = f"{roofline.share:.2f} of it is reached"
        console.print(f"  {arm}: {share}; at least {roofline.seconds:.3f} s an image ({told})", soft_wrap=True)


def _print(found: Throughput) -> None:
    from imgtool.bench.report.findings import NOISY
    from imgtool.formats.clean import printable, printable_prose

    console = data_console()
    sizes = f" of {', '.join(found.sizes)}" if found.sizes else ""
    console.print(f"{found.images} images{sizes}, {found.cores} cores, {found.runs} runs of each", soft_wrap=True)
    heads = ("arm", "batch", "workers", "threads", "images/s", "a core", "CPU", "own MB", "efficiency")
    table = plain_table(*heads, figures=8)
    for result in found.cells:
        if result.error is None:
            cell = result.cell
            table.add_row(
                printable(cell.arm),
                str(cell.batch_size or ""),
                str(cell.workers or ""),
                str(cell.threads or ""),
                "" if result.rate is None else _rate(result.rate) + (" *" if result.steady is None else ""),
                "" if result.per_core is None else f"{result.per_core:.2f}",
                "" if result.busy is None else f"{result.busy:.0%}",
                "" if result.peak_anon is None else f"{result.peak_anon / 1e6:.0f}",
                "" if result.efficiency is None else f"{result.efficiency:.0%}",
            )
    console.print(table)
    if any(result.overall is not None and result.steady is None for result in found.cells):
        console.print("* from before the process was started to its end; the others from the first result to the last")
    _print_rooflines(found, console)
    for result in found.cells:
        if result.error is not None:
            console.print(printable(f"{result.cell} failed: {result.error}"), style="red", soft_wrap=True)
            for line in result.stderr_tail.strip().splitlines()[-5:]:
                console.print("  " + printable_prose(line), soft_wrap=True)
            if (code := result.error.removeprefix("exited with code ")) != result.error:
                console.print(f"  --ignore-failure {code} counts such runs")
    spreads = [(each.rate.spread or 0.0, each.cell.arm) for each in found.cells if each.rate is not None]
    widest, name = max(spreads, default=(0.0, ""))
    if widest >= NOISY:
        advice = "close other programs, or raise --runs"
        console.print(f"spread is {widest:.0%} ({printable(name)}): {advice}", soft_wrap=True)


def _rate(rate: Summary) -> str:
    """Median and standard deviation."""
    spread = "" if rate.standard_deviation is None else f" ± {rate.standard_deviation:.2f}"
    return f"{rate.median:.2f}{spread}"
