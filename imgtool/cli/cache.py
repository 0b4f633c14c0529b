"""``imgtool cache``: look at what is kept, and remove it with a plan shown first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from imgtool.cli.boundary import boundary

if TYPE_CHECKING:
    from imgtool.engine.cache.upkeep import CacheStats, RemovalPlan, VerifyReport

app = typer.Typer(help="Look at, clear, prune and verify the kept answers.", no_args_is_help=True)

Dir = Annotated[
    Optional[str],  # noqa: UP045 - as in cli/options.py
    typer.Option("--cache-dir", metavar="DIR", help="Which cache.", show_default="the user's cache folder"),
]
Text = Optional[str]  # noqa: UP045
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would go, remove nothing.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]


@app.command()
def stats(cache_dir: Dir = None, json: Json = False) -> None:
    """Entries, bytes, limit, and whose answers they are."""
    with boundary():
        from imgtool.engine.cache.upkeep import stats as look

        found = look(_root(cache_dir))
        if json:
            _print_json({name: value for name, value in vars(found).items() if name != "set_aside"})
        else:
            _print_stats(found)


@app.command()
def clear(cache_dir: Dir = None, dry_run: DryRun = False) -> None:
    """Remove every kept answer and the index of files."""
    with boundary():
        from imgtool.engine.cache.upkeep import plan_clear

        _carry_out(plan_clear(_root(cache_dir)), dry_run)


@app.command()
def prune(
    cache_dir: Dir = None,
    older_than: Annotated[Text, typer.Option(metavar="TIME", help="Answers older than this, such as 30d.")] = None,
    max_size: Annotated[Text, typer.Option(metavar="SIZE", help="The oldest, until this much is left.")] = None,
    engine: Annotated[Text, typer.Option(metavar="NAME", help="Answers of this engine.")] = None,
    failures: Annotated[bool, typer.Option("--failures", help="What is remembered of failures.")] = False,
    stale_index: Annotated[bool, typer.Option("--stale-index", help="Files not seen for 90 days.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a part: by age, size, engine; failures; stale files."""
    with boundary():
        from imgtool.engine.cache.upkeep import plan_prune
        from imgtool.errors import UsageProblem

        if not (older_than or max_size or engine or failures or stale_index):
            raise UsageProblem(
                "nothing chosen to prune", "--older-than, --max-size, --engine, --failures, --stale-index"
            )
        age, size = _duration(older_than), _size(max_size)
        _carry_out(plan_prune(_root(cache_dir), age, size, engine, failures, stale_index), dry_run)


@app.command()
def verify(
    cache_dir: Dir = None,
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is damaged.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Read everything and say what is damaged. Exit code 6 where something is."""
    with boundary():
        from imgtool.engine.cache.upkeep import plan_repair
        from imgtool.engine.cache.upkeep import verify as check
        from imgtool.errors import ExitCode

        root = _root(cache_dir)
        report = check(root)
        _print_report(report)
        if repair:
            _carry_out(plan_repair(root, report), dry_run)
        elif not report.sound:
            sys.stderr.write("`imgtool cache verify --repair` removes what is damaged; the next run computes it anew\n")
            raise typer.Exit(ExitCode.NOT_WRITABLE)


def _root(cache_dir: str | None) -> Path:
    from imgtool.config import resolve
    from imgtool.options import cache_root

    return cache_root(resolve({"cache_dir": cache_dir}).engine)


def _duration(text: str | None) -> float | None:
    from imgtool.quantities import parse_duration

    return None if text is None else _parsed("--older-than", text, parse_duration)


def _size(text: str | None) -> int | None:
    from imgtool.quantities import parse_size

    return None if text is None else _parsed("--max-size", text, parse_size)


def _parsed(flag: str, text: str, parse: Any) -> Any:
    from imgtool.errors import UsageProblem

    try:
        return parse(text)
    except ValueError as error:
        raise UsageProblem(f"{flag}: {error}") from error


def _carry_out(plan: RemovalPlan, dry_run: bool) -> None:
    """Show a plan, then do it, unless it is only to be shown."""
    from imgtool.engine.cache.upkeep import execute

    if plan.is_empty:
        print_line("nothing to remove")
        return
    print_line(f"{'would remove' if dry_run else 'removing'} {_described(plan)} in {plan.root}")
    for example in plan.examples:
        print_line(f"  {example}")
    if not dry_run:
        print_line(f"freed {megabytes(execute(plan))}")


def _described(plan: RemovalPlan) -> str:
    counts = (
        (plan.records, "records"),
        (plan.answers, "answers"),
        (plan.failures, "failures"),
        (plan.index_entries, "files of the index"),
        (len(plan.paths), "files or folders"),
    )
    parts = [f"{count:,} {what}" for count, what in counts if count]
    return f"{', '.join(parts)} (about {megabytes(plan.bytes)})"


def _print_stats(found: CacheStats) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    limit = f" of {megabytes(found.limit_bytes)}" if found.limit_bytes else ""
    for name, value in (
        ("folder", str(found.path)),
        ("records", f"{found.entries:,} ({megabytes(found.bytes)}{limit})"),
        ("failures", f"{found.failures:,} remembered"),
        ("file index", f"{found.index_entries:,} files ({megabytes(found.index_bytes)})"),
    ):
        console.print(f"{name:<12}{value}", markup=False, soft_wrap=True)
    if found.trouble:
        console.print(f"{'trouble':<12}{found.trouble}", markup=False, soft_wrap=True)
    if found.answers:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("engine", "model", "version"):
            table.add_column(heading, overflow="fold")
        table.add_column("answers", justify="right")
        for row in found.answers:
            table.add_row(row.engine, row.model, row.model_version, f"{row.answers:,}")
        console.print()
        console.print(table)


def _print_report(report: VerifyReport) -> None:
    print_line(f"{report.records:,} records are in order" + (", nothing is damaged" if report.sound else ""))
    if report.outdated:
        print_line(f"{report.outdated:,} records are of another version and count as absent")
    for what, names in (
        ("database damaged", report.database),
        ("file index damaged", report.index),
        ("unreadable", report.unreadable),
        ("refused, never loaded", report.refused),
        ("value file missing", report.missing_files),
        ("belongs to no record", report.orphan_files),
        ("set aside earlier", report.set_aside),
    ):
        for name in names:
            print_line(f"{what}: {name}")


def print_line(text: str) -> None:
    """A line of data."""
    sys.stdout.write(text + "\n")


def megabytes(size: int) -> str:
    """``1.2 GB``, ``34.5 MB``, ``12 kB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def _print_json(value: Any) -> None:
    import msgspec

    text = msgspec.json.encode(value, enc_hook=str)
    sys.stdout.write(msgspec.json.format(text, indent=2).decode() + "\n")
