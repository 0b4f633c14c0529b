"""``imgtool search``: find images by the results that are stored about them."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from imgtool.cli import completion
from imgtool.cli.boundary import boundary
from imgtool.errors import UsageProblem

Text = str | None
Flag = bool | None


class Search(TyperCommand):
    """The command, which says what to do about a query that begins with a minus."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line; ends with ``typer.Exit`` where such a query was taken for options."""
        wanted = next((word for word in args if re.match(r"-\w{2}", word)), None)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer has no public name for what its parser raises.
            if wanted is None or type(error).__name__ != "NoSuchOption":
                raise
            command = shlex.join(["imgtool", "search", "--", wanted])
            with boundary():
                raise UsageProblem(f"{wanted} is no option", f"if it is a query: {command}") from error


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", hidden=True, show_default=False, autocompletion=completion.query)
    ],
    paths: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", hidden=True)] = None,
    format: Annotated[
        Text,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="table, json, jsonl, csv, xlsx, parquet or html.",
            autocompletion=completion.formats,
        ),
    ] = None,
    output: Annotated[
        Text, typer.Option("--output", "-o", metavar="FILE", help="Write to a file; its suffix sets the format.")
    ] = None,
    csv_bom: Annotated[
        Flag,
        typer.Option("--csv-bom/--no-csv-bom", help="Whether CSV begins with a byte order mark (default: in files)."),
    ] = None,
    null: Annotated[bool, typer.Option("--null", "-0", help="Print only paths, each followed by NUL.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=0, metavar="N", help="Most hits (default: 20 in a table, else all); 0: all."),
    ] = None,
    database: Annotated[
        Text,
        typer.Option(
            "--database",
            metavar="URL",
            help="Database to search (default: the one in the cache).",
            autocompletion=completion.databases,
        ),
    ] = None,
    cache_dir: Annotated[Text, typer.Option("--cache-dir", metavar="DIR", help="Where results are stored.")] = None,
    quiet: Annotated[Flag, typer.Option("--quiet/--no-quiet", "-q", help="Only errors on stderr.")] = None,
    verbose: Annotated[Flag, typer.Option("--verbose/--no-verbose", "-v", help="Show tracebacks.")] = None,
) -> None:
    """Find analyzed images by text, caption, labels, codes and path.

    imgtool search 'harbour "one way" label:sign -path:old pages:>1' ./photos

    Quote QUERY as a whole. All words must occur; "..." is a phrase, harb* the
    beginning of a word, -word excludes, OR and brackets combine.
    Put -- before a query that begins with a minus.

    Words can be looked for in text: caption: label: code: path:
    Values: status: has: format: engine: model: error: sha256:
    Numbers: page: pages: width: height: size: lines: modified:
    (pages:>1, size:1MB..5MB, modified:2024-06)
    """
    with boundary(verbose=bool(verbose)):
        from imgtool.config import resolve

        given = {"format": format, "output": output, "csv_bom": csv_bom, "database": database, "cache_dir": cache_dir}
        resolved = resolve({**given, "quiet": quiet, "verbose": verbose})
        with boundary(verbose=resolved.output.verbose):
            from imgtool.cli.search.run import SearchRun

            raise typer.Exit(SearchRun(resolved, query, paths or (), null=null, limit=limit).run())
