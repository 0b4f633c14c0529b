"""``imgtool database``: lay out, look at, export, import and tidy the database of results."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from imgtool.cli import completion
from imgtool.cli.boundary import boundary
from imgtool.cli.console import Messages, megabytes, print_json, print_line

if TYPE_CHECKING:
    from imgtool.config import Resolved
    from imgtool.database.interface import Database, Status

app = typer.Typer(help="Create, check, export and import the database of results.", no_args_is_help=True)

Text = str | None
Url = Annotated[
    Text,
    typer.Option(
        "--database",
        metavar="URL",
        help="sqlite:///FILE or postgresql://... (default: in the cache).",
        autocompletion=completion.databases,
    ),
]
Dir = Annotated[Text, typer.Option("--cache-dir", metavar="DIR", help="Where results are stored.")]
Verbose = Annotated[bool | None, typer.Option("--verbose/--no-verbose", "-v", help="Show tracebacks.")]


@app.command()
def init(database: Url = None, cache_dir: Dir = None, verbose: Verbose = None) -> None:
    """Create the tables. Does nothing if they exist."""
    _bring_up_to_date(database, cache_dir, bool(verbose))


@app.command()
def migrate(database: Url = None, cache_dir: Dir = None, verbose: Verbose = None) -> None:
    """Bring the tables up to date with this version."""
    _bring_up_to_date(database, cache_dir, bool(verbose))


@app.command()
def status(
    database: Url = None,
    cache_dir: Dir = None,
    check: Annotated[bool, typer.Option("--check", help="Read everything and report damage.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Verbose = None,
) -> None:
    """Show what it holds, and its migrations. Exit code 6 if it is damaged or a migration is missing."""
    with _opened(database, cache_dir, bool(verbose)) as (one, _):
        from imgtool.errors import ExitCode

        one.connect(write=False, check=False)
        found = one.status(thorough=check)
        print_json(found) if json else _print_status(found, checked=check)
        if found.trouble or found.pending:
            raise typer.Exit(ExitCode.NOT_WRITABLE)


@app.command()
def export(
    output: Annotated[Text, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    database: Url = None,
    cache_dir: Dir = None,
    verbose: Verbose = None,
) -> None:
    """Write everything as JSON Lines, for a back-up or another database."""
    with _opened(database, cache_dir, bool(verbose)) as (one, _):
        from pathlib import Path

        from imgtool.database.transfer import export as write
        from imgtool.formats.target import Target
        from imgtool.options import OutputFormat

        one.connect(write=False)
        with Target(None if output is None else Path(output), OutputFormat.JSON, careful=True) as target:
            assert isinstance(target.stream, TextIOWrapper)
            count = write(one, target.stream.buffer)
            if count:
                target.release()
        Messages().plain(f"{count:,} pages exported" + (f"; {output} stays as it was" if target.untouched else ""))


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON Lines; - is stdin.")],
    database: Url = None,
    cache_dir: Dir = None,
    verbose: Verbose = None,
) -> None:
    """Add an export, or the output of analyze -f jsonl. Importing twice changes nothing."""
    with _opened(database, cache_dir, bool(verbose)) as (one, embedded):
        from imgtool.database.transfer import import_into
        from imgtool.errors import PathMissing

        one.connect(create=embedded)
        try:
            source = sys.stdin.buffer if file == "-" else open(file, "rb")  # noqa: SIM115
        except OSError as error:
            raise PathMissing(
                f"{file} cannot be read: {error.strerror}", "check the name and the permissions of that file"
            ) from error
        with source:
            count = import_into(one, source)
        Messages().plain(f"{count:,} pages imported")


@app.command()
def prune(
    database: Url = None,
    cache_dir: Dir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be removed.")] = False,
    verbose: Verbose = None,
) -> None:
    """Remove files that no longer exist on this machine."""
    with _opened(database, cache_dir, bool(verbose)) as (one, _):
        from imgtool.database.entry import this_machine
        from imgtool.engine.files.words import real_path

        one.connect()
        gone = [
            (file_id, path)
            for file_id, path, machine in one.files()
            if machine == this_machine() and not os.path.lexists(real_path(path))
        ]
        for _, path in gone[:5]:
            print_line(f"  {path}")
        noun = "page" if len(gone) == 1 else "pages"
        if not dry_run:
            one.forget(file_id for file_id, _ in gone)
        print_line(f"{'would remove' if dry_run else 'removed'} {len(gone):,} {noun} of files that no longer exist")


# --------------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(url: str | None, cache_dir: str | None, verbose: bool) -> Iterator[tuple[Database, bool]]:
    """The database that a command is about, not connected yet, and whether it is the embedded one."""
    with boundary(verbose=verbose):
        from imgtool.config import resolve
        from imgtool.database.locate import choose

        resolved: Resolved = resolve({"database": url, "cache_dir": cache_dir})
        database, embedded = choose(resolved.output.database, resolved.engine)
        try:
            yield database, embedded
        finally:
            database.close()


def _bring_up_to_date(url: str | None, cache_dir: str | None, verbose: bool) -> None:
    with _opened(url, cache_dir, verbose) as (database, _):
        taken = database.migrate()
        for one in taken:
            print_line(f"migration {one.number} ({one.name}) applied")
        print_line(f"{database.place} is up to date")


def _print_status(found: Status, *, checked: bool) -> None:
    lines = [("database", found.place), (found.kind, found.version), ("size", megabytes(found.bytes))]
    lines += [(name, f"{count:,}") for name, count in found.counts.items()]
    lines += [("migration", f"{one.number} ({one.name})") for one in found.applied]
    lines += [("pending", f"{one.number} ({one.name}): imgtool database migrate") for one in found.pending]
    lines += [("damaged", line) for line in found.trouble]
    if checked and not found.trouble:
        lines.append(("check", "nothing is damaged"))
    for name, value in lines:
        print_line(f"{name:<12}{value}")
