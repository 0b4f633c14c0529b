"""``imgtool bench throughput``: images a second, by arm, batch size and number of threads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from imgtool.cli.boundary import boundary

if TYPE_CHECKING:
    from imgtool.bench.experiments.throughput import Cell, Measured, Throughput
    from imgtool.bench.measure.experiment import Contender
    from imgtool.bench.stats.statistics import Summary

Text = Optional[str]  # noqa: UP045 - as in cli/options.py
Many = Optional[list[str]]  # noqa: UP045

_MOST_IMAGES = 5000  # they stand on a command line


def throughput(
    paths: Annotated[Many, typer.Argument(help="Images and folders.", show_default="drawn images")] = None,
    arm: Annotated[Many, typer.Option(metavar="NAME[=OPTIONS]", help="An arm, as in bench. Repeatable.")] = None,
    command: Annotated[Many, typer.Option(metavar="NAME=COMMAND", help="Any program, on its images.")] = None,
    sizes: Annotated[str, typer.Option(metavar="SIZES", help="Of drawn images, in turns.")] = "1000x600",
    images: Annotated[int, typer.Option(min=2, max=_MOST_IMAGES, help="How many to draw.")] = 20,
    batch_sizes: Annotated[Text, typer.Option(metavar="N,N", help="Batch sizes to try.", show_default="8")] = None,
    threads: Annotated[
        Text, typer.Option(metavar="N,N", help="Numbers of threads to try.", show_default="the granted cores")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, max=1000, help="Fresh processes a combination.")] = 5,
    options: Annotated[Text, typer.Option(metavar="TEXT", help="Options of analyze for all, in quotes.")] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="For one run.")] = "30m",
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """Images a second, a core and a thread more, each combination in fresh processes. Exit code 3 where one failed."""
    with boundary(verbose=verbose):
        from imgtool.bench.experiments.throughput import Throughput, measure
        from imgtool.cli.bench.common import (
            made_ready,
            numbers_option,
            print_json,
            seconds_option,
            split_options,
            teller,
        )
        from imgtool.errors import ExitCode
        from imgtool.ground.cores import granted_cores

        seconds, say = seconds_option("--timeout", timeout), teller(quiet)
        assert seconds is not None
        batches = numbers_option("--batch-sizes", batch_sizes) if batch_sizes is not None else (8,)
        counts = numbers_option("--threads", threads) if threads is not None else (granted_cores(),)
        wanted = _sizes(sizes)
        common = split_options(options)
        with tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as scratch:
            files = _images(paths or [], wanted, images, Path(scratch))
            chosen = _cells(arm or [], command or [], common, files, batches, counts)
            cells = [(cell, made_ready(each, common, Path(scratch), seconds, say)) for cell, each in chosen]
            measured = measure(cells, len(files), runs=runs, timeout=seconds, say=say)
            found = Throughput(
                images=len(files),
                image_bytes=sum(Path(file).stat().st_size for file in files),
                sizes=() if paths else tuple(f"{width}x{height}" for width, height in wanted),
                cores=granted_cores(),
                runs=runs,
                cells=tuple(measured),
            )
        if json:
            print_json(found)
        else:
            _print(found)
        if any(cell.error is not None for cell in found.cells):
            raise typer.Exit(ExitCode.SOME_FAILED)


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Widths and heights of ``1000x600,4000x3000``."""
    from imgtool.errors import UsageProblem

    found = []
    for part in text.split(","):
        width, _, height = part.strip().lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and 1 <= int(width) <= 20_000 and 1 <= int(height) <= 20_000):
            raise UsageProblem(f"--sizes: {part!r} is no size like 1000x600", "width x height, up to 20000 each")
        found.append((int(width), int(height)))
    return tuple(found)


def _images(paths: Sequence[str], sizes: tuple[tuple[int, int], ...], count: int, scratch: Path) -> tuple[str, ...]:
    from imgtool.bench.arms.images import draw_in_child
    from imgtool.engine.files.discover import ImageRef, discover
    from imgtool.errors import NoImages, PathMissing, UsageProblem

    if not paths:
        return draw_in_child(scratch, sizes, count).files
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
    threads: tuple[int, ...],
) -> list[tuple[Cell, Contender]]:
    """Every combination that means something: the eager program has no batches, a foreign one neither setting."""
    from imgtool.bench.data.record import ArmKind
    from imgtool.bench.experiments.throughput import Cell
    from imgtool.cli.bench.common import contenders

    found: dict[Cell, Contender] = {}
    for count in threads:
        for batch in batches:
            words = (*common, "--batch-size", str(batch), "--threads", str(count))
            for contender in contenders(arms, commands, words, files):
                kind = contender.arm.kind
                cell = Cell(
                    arm=contender.arm.name,
                    batch_size=batch if kind is ArmKind.ANALYZE else None,
                    threads=None if kind is ArmKind.COMMAND else count,
                )
                found.setdefault(cell, contender)
    order = list(dict.fromkeys(cell.arm for cell in found))
    return sorted(found.items(), key=lambda item: (order.index(item[0].arm), item[0].batch_size or 0))


def _print(found: Throughput) -> None:
    from rich.table import Table

    from imgtool.cli.bench.common import data_console
    from imgtool.formats.clean import printable, printable_prose

    console = data_console()
    sizes = f" of {', '.join(found.sizes)}" if found.sizes else ""
    console.print(f"{found.images} images{sizes}, {found.cores} cores, {found.runs} runs of each", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm", overflow="fold")
    for heading in ("batch", "threads", "images/s", "overall", "a core", "a CPU s", "efficiency"):
        table.add_column(heading, justify="right", overflow="fold")
    for cell in found.cells:
        if cell.error is None:
            table.add_row(printable(cell.cell.arm), *_row(cell))
    console.print(table)
    for cell in found.cells:
        if cell.error is not None:
            from imgtool.bench.experiments.throughput import cell_text

            console.print(printable(f"{cell_text(cell.cell)} failed: {cell.error}"), style="red", soft_wrap=True)
            for line in cell.stderr_tail.strip().splitlines()[-5:]:
                console.print("  " + printable_prose(line), soft_wrap=True)
    _advise(found)


def _row(found: Measured) -> tuple[str, ...]:
    cell = found.cell
    return (
        "" if cell.batch_size is None else str(cell.batch_size),
        "" if cell.threads is None else str(cell.threads),
        "not known" if found.steady is None else _rate(found.steady),
        "" if found.overall is None else _rate(found.overall),
        "" if found.per_core is None else f"{found.per_core:.2f}",
        "" if found.per_cpu_second is None else f"{found.per_cpu_second:.2f}",
        "" if found.efficiency is None else f"{found.efficiency:.0%}",
    )


def _rate(rate: Summary) -> str:
    """Median and standard deviation."""
    spread = "" if rate.standard_deviation is None else f" ± {rate.standard_deviation:.2f}"
    return f"{rate.median:.2f}{spread}"


def _advise(found: Throughput) -> None:
    from imgtool.bench.report.findings import NOISY
    from imgtool.cli.bench.common import data_console
    from imgtool.formats.clean import printable

    rates = [(cell.rate.spread or 0.0, cell.cell.arm) for cell in found.cells if cell.rate is not None]
    widest, arm = max(rates, default=(0.0, ""))
    if widest >= NOISY:
        data_console().print(
            f"spread is {widest:.0%} ({printable(arm)}): close other programs, or raise --runs", soft_wrap=True
        )
