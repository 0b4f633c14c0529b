"""``imgtool bench cache``: what keeping answers is worth, and what a look-up costs as the store grows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from imgtool.cli.boundary import boundary

if TYPE_CHECKING:
    from imgtool.bench.experiments.cache import AtSize, CacheBench
    from imgtool.bench.experiments.repeated import Repeated

Text = Optional[str]  # noqa: UP045 - as in cli/options.py
Number = Optional[float]  # noqa: UP045
_BUSY = 3
"""A wall time so many times the processor time is not the store's doing."""

Many = Optional[list[str]]  # noqa: UP045


def cache(
    paths: Annotated[Many, typer.Argument(help="What the repeated run analyzes.", show_default="drawn images")] = None,
    records: Annotated[int, typer.Option(min=1, max=100_000_000, help="Largest store to look up in.")] = 1_000_000,
    lookups: Annotated[int, typer.Option(min=100, max=10_000_000, help="Look-ups a process.")] = 20_000,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Fresh processes a size.")] = 3,
    images: Annotated[int, typer.Option(min=1, max=100_000, help="Images to draw for the repeated run.")] = 20,
    options: Annotated[Text, typer.Option(metavar="TEXT", help="Options of analyze for it, in quotes.")] = None,
    scratch: Annotated[Text, typer.Option(metavar="DIR", help="Where the scratch store is made.")] = None,
    max_p99: Annotated[Text, typer.Option(metavar="TIME", help="Exit 7 where a hit's p99 is above, as 1ms.")] = None,
    min_hit_rate: Annotated[
        Number, typer.Option(metavar="PERCENT", min=0, max=100, help="Exit 7 where the hit rate is below.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """Hit rate of a repeated run, latency of a hit, look-ups a second up to a million records."""
    with boundary(verbose=verbose):
        from imgtool.bench.experiments.cache import CacheBench, measure
        from imgtool.bench.experiments.repeated import measure_repeated
        from imgtool.cli.analyze.parser import engine_options
        from imgtool.cli.bench.common import folder_option, print_json, seconds_option, split_options, teller

        limit = seconds_option("--max-p99", max_p99)
        say, place = teller(quiet), folder_option("--scratch", scratch)
        chosen = split_options(options)
        models = engine_options(chosen)
        say("analyzing twice")
        repeated = measure_repeated(paths or [], images=images, options=chosen, models=models, folder=place)
        sizes = tuple(measure(records, lookups=lookups, runs=runs, folder=place, say=say))
        found = CacheBench(repeated=repeated, sizes=sizes)
        if json:
            print_json(found)
        else:
            _print(found)
        _judge(found, limit, min_hit_rate)


def _print(found: CacheBench) -> None:
    from rich.table import Table

    from imgtool.cli.bench.common import data_console
    from imgtool.cli.console import megabytes

    console = data_console()
    if found.repeated is not None:
        console.print(_sentence(found.repeated), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("records", "size", "hit p50", "p99", "of runs", "cold p99", "miss p50", "look-ups/s", "merged/s"):
        table.add_column(heading, justify="right", overflow="fold")
    for size in found.sizes:
        table.add_row(f"{size.records:,}", megabytes(size.bytes), *_row(size))
    console.print()
    console.print(table)
    last = found.sizes[-1]
    wall, cpu = last.spread(lambda run: run.hits.p99)[1], last.spread(lambda run: run.cpu.p99)[1]
    if wall > _BUSY * cpu:
        console.print(
            f"\nbusy: p99 is {micro(wall)} of wall time and {micro(cpu)} of processor time: look-ups waited for other "
            "programs or the disk; close those, or raise --runs",
            soft_wrap=True,
        )


def _row(size: AtSize) -> tuple[str, ...]:
    low, p99, high = size.spread(lambda run: run.hits.p99)
    return (
        micro(size.spread(lambda run: run.hits.median)[1]),
        micro(p99),
        f"{low * 1e6:,.0f}..{micro(high)}",
        micro(size.cold.hits.p99),
        micro(size.spread(lambda run: run.misses.median)[1]),
        f"{size.spread(lambda run: run.per_second)[1]:,.0f}",
        f"{size.filled_per_second:,.0f}",
    )


def _sentence(repeated: Repeated) -> str:
    return (
        f"repeated run: {repeated.hits:,} of {repeated.images:,} images from the cache "
        f"({repeated.hit_rate_percent:.0f} %); {1000 * repeated.seconds / repeated.images:.1f} ms an image, "
        f"{1000 * repeated.first_seconds / repeated.images:.0f} ms the first time"
    )


def micro(seconds: float) -> str:
    """``17 µs``."""
    return f"{seconds * 1e6:,.0f} µs"


def _judge(found: CacheBench, limit: float | None, rate: float | None) -> None:
    """Leave with exit code 7 where a figure is worse than was asked for."""
    from imgtool.errors import ExitCode

    complaints = []
    p99 = found.sizes[-1].spread(lambda run: run.hits.p99)[1]
    if limit is not None and p99 > limit:
        complaints.append(f"p99 of a hit is {micro(p99)} at {found.sizes[-1].records:,} records, above {micro(limit)}")
    if rate is not None and found.repeated is not None and found.repeated.hit_rate_percent < rate:
        complaints.append(f"the hit rate is {found.repeated.hit_rate_percent:.1f} %, below {rate:g} %")
    for complaint in complaints:
        sys.stderr.write(f"regression: {complaint}\n")
    if complaints:
        raise typer.Exit(ExitCode.REGRESSION)
