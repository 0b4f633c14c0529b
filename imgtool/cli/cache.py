"""``imgtool cache``: look at the cached results, and remove them with a plan shown first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgtool.cli import completion
from imgtool.cli.analyze.options import Text
from imgtool.cli.boundary import boundary, verdict
from imgtool.cli.console import Messages, data_console, megabytes, plain_table, print_json, print_line

if TYPE_CHECKING:
    from imgtool.engine.cache.shared.redis_client import RedisClient
    from imgtool.engine.cache.upkeep import CacheStats, RemovalPlan, VerifyReport
    from imgtool.options import EngineOptions

app = typer.Typer(help="Show, clear, prune and verify the cached results.", no_args_is_help=True)

Dir = Annotated[
    str | None,
    typer.Option("--cache-dir", metavar="DIR", help="Another cache than the configured one.", show_default=False),
]
SharedCache = Annotated[
    str | None,
    typer.Option("--shared-cache", metavar="URL", help="Another than the configured one.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be removed.")]


@app.command()
def stats(
    cache_dir: Dir = None,
    shared_cache: SharedCache = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the number of results, their size, and the engines they come from; and the shared cache, if there is one."""
    with boundary():
        from imgtool.engine.cache.upkeep import stats as look
        from imgtool.options import cache_root

        options = _options(cache_dir, shared_cache)
        found, shared = look(cache_root(options)), _shared_figures(options)
        if json:
            shown = {name: value for name, value in vars(found).items() if name != "set_aside"}
            print_json({**shown, "shared": shared})
        else:
            _print_stats(found, shared)


@app.command()
def clear(
    cache_dir: Dir = None,
    shared: Annotated[bool, typer.Option("--shared", help="The shared cache instead, for all machines.")] = False,
    shared_cache: SharedCache = None,
    dry_run: DryRun = False,
) -> None:
    """Remove all results, the index of files and the search index."""
    with boundary():
        if shared:
            _clear_shared(_options(cache_dir, shared_cache), dry_run)
            return
        from dataclasses import replace

        from imgtool.database.interface import embedded_folders
        from imgtool.engine.cache.listing import occupied
        from imgtool.engine.cache.upkeep import plan_clear

        root = _root(cache_dir)
        plan, more = plan_clear(root), embedded_folders(root)
        _carry_out(replace(plan, paths=plan.paths + more, bytes=plan.bytes + sum(map(occupied, more))), dry_run)


@app.command()
def prune(
    cache_dir: Dir = None,
    older_than: Annotated[Text, typer.Option(metavar="TIME", help="Results older than this, such as 30d.")] = None,
    max_size: Annotated[Text, typer.Option(metavar="SIZE", help="The oldest, until this much is left.")] = None,
    engine: Annotated[
        Text, typer.Option(metavar="NAME", help="Results of this engine.", autocompletion=completion.every_engine)
    ] = None,
    failures: Annotated[bool, typer.Option("--failures", help="Remembered failures.")] = False,
    stale_index: Annotated[bool, typer.Option("--stale-index", help="Files not seen for 90 days.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove some of the results. Choose them with at least one option."""
    with boundary():
        from imgtool.engine.cache.upkeep import plan_prune
        from imgtool.errors import UsageProblem
        from imgtool.quantities import parse_duration, parse_option, parse_size

        if not (older_than or max_size or engine or failures or stale_index):
            raise UsageProblem(
                "nothing chosen to prune", "--older-than, --max-size, --engine, --failures or --stale-index"
            )
        age = None if older_than is None else parse_option("--older-than", older_than, parse_duration)
        size = None if max_size is None else parse_option("--max-size", max_size, parse_size)
        _carry_out(plan_prune(_root(cache_dir), age, size, engine, failures, stale_index), dry_run)


@app.command()
def verify(
    cache_dir: Dir = None,
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is damaged.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Read everything and report what is damaged (exit code 6)."""
    with boundary():
        from imgtool.engine.cache.upkeep import plan_repair
        from imgtool.engine.cache.upkeep import verify as check
        from imgtool.errors import ExitCode

        root = _root(cache_dir)
        report = check(root)
        with verdict(ExitCode.OK if report.sound or repair else ExitCode.NOT_WRITABLE):
            _print_report(report)
        if repair:
            _carry_out(plan_repair(root, report), dry_run)
        elif not report.sound:
            place = ["--cache-dir", cache_dir] if cache_dir is not None else []
            command = shlex.join(["imgtool", "cache", "verify", "--repair", *place])
            Messages().error(
                "the cache is damaged",
                f"{command} (removes what is damaged; the next run computes it)",
                code="cache_damaged",
                exit_code=ExitCode.NOT_WRITABLE,
            )
            raise typer.Exit(ExitCode.NOT_WRITABLE)


def _options(cache_dir: str | None, shared_cache: str | None = None) -> EngineOptions:
    from imgtool.config import resolve

    return resolve({"cache_dir": cache_dir, "shared_cache": shared_cache}).engine


def _root(cache_dir: str | None) -> Path:
    from imgtool.options import cache_root

    return cache_root(_options(cache_dir))


def _shared_client(options: EngineOptions) -> tuple[str, RedisClient] | None:
    """How the shared cache is shown, and a client with the patience of a person; ``None`` where there is none."""
    if options.shared_cache in (None, "off"):
        return None
    from imgtool.engine.cache.shared.url import check_url, without_password

    check_url(options.shared_cache)
    from imgtool.engine.cache.shared.redis_client import RedisClient

    return without_password(options.shared_cache), RedisClient(options.shared_cache, 2.0, 5.0)


def _shared_figures(options: EngineOptions) -> dict[str, Any] | None:
    """The shared cache in figures; ``trouble`` says why there are none."""
    if (found := _shared_client(options)) is None:
        return None
    from msgspec.structs import asdict

    from imgtool.errors import ImgtoolError

    place, client = found
    try:
        return {"server": place, **asdict(client.figures()), "trouble": None}
    except ImgtoolError as error:
        return {"server": place, "trouble": str(error)}
    finally:
        client.close()


def _clear_shared(options: EngineOptions, dry_run: bool) -> None:
    from imgtool.engine.cache.shared.redis_client import SharedCacheFailure
    from imgtool.errors import OutputNotWritable, UsageProblem

    if (found := _shared_client(options)) is None:
        raise UsageProblem("no shared cache is configured", "name it with --shared-cache URL")
    place, client = found
    try:
        if not dry_run:
            client.clear()
    except SharedCacheFailure as error:
        raise OutputNotWritable(f"the shared cache {place} {error}", error.remedy) from None
    finally:
        client.close()
    verb = "would be" if dry_run else "are"
    print_line(f"all answers in {place} {verb} ignored from now on, by every machine; the server drops them in time")


def _carry_out(plan: RemovalPlan, dry_run: bool) -> None:
    """Show a plan, then do it, unless it is only to be shown."""
    from imgtool.engine.cache.upkeep import execute

    if plan.is_empty:
        print_line("nothing to remove")
        return
    counts = (
        (plan.records, "records"),
        (plan.answers, "answers"),
        (plan.failures, "failures"),
        (plan.index_entries, "files of the index"),
        (len(plan.paths), "files or folders"),
    )
    parts = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    verb = "would remove" if dry_run else "removing"
    print_line(f"{verb} {parts} (about {megabytes(plan.bytes)}) in {plan.root}")
    for example in plan.examples:
        print_line(f"  {example}")
    if not dry_run:
        print_line(f"freed {megabytes(execute(plan))}")


def _print_stats(found: CacheStats, shared: Mapping[str, Any] | None) -> None:
    limit = f" of {megabytes(found.limit_bytes)}" if found.limit_bytes else ""
    for name, value in (
        ("folder", str(found.path)),
        ("records", f"{found.entries:,} ({megabytes(found.bytes)}{limit})"),
        ("failures", f"{found.failures:,} remembered"),
        ("file index", f"{found.index_entries:,} files ({megabytes(found.index_bytes)})"),
        ("trouble", found.trouble or ""),
        ("shared", "" if shared is None else _shared_line(shared)),
    ):
        if value:
            print_line(f"{name:<12}{value}")
    if found.answers:
        table = plain_table("engine", "model", "version", "answers", figures=1)
        for row in found.answers:
            table.add_row(row.engine, row.model, row.model_version, f"{row.answers:,}")
        print_line("")
        data_console().print(table)


def _shared_line(shared: Mapping[str, Any]) -> str:
    if shared["trouble"]:
        return f"{shared['server']} {shared['trouble']}"
    from datetime import datetime

    since = datetime.fromtimestamp(shared["epoch"] / 1000).strftime("%Y-%m-%d %H:%M")
    limit = f" of {megabytes(shared['limit_bytes'])}" if shared["limit_bytes"] else ""
    size = "" if shared["bytes"] is None else f" ({megabytes(shared['bytes'])}{limit})"
    return f"{shared['server']}: {shared['keys']:,} keys{size}, answers since {since}"


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
