"""``imgtool search``: find pictures by what is kept about them."""

from __future__ import annotations

from typing import Annotated

import typer

from imgtool.cli.boundary import boundary

Text = str | None
Many = list[str] | None
Flag = bool | None

_QUERY = (
    'Words, "a phrase", prefix*, -without, OR, (groups), and fields: text: caption: label: code: path: status: has: '
    "format: engine: model: error: sha256: page: pages: width: height: size: lines: modified:. In one pair of quotes; "
    "after -- where it begins with a minus."
)


def search(
    query: Annotated[str, typer.Argument(help=_QUERY, show_default=False)],
    paths: Annotated[
        Many, typer.Argument(help="Only these files, and what lies in these folders.", show_default=False)
    ] = None,
    format: Annotated[
        Text, typer.Option("--format", "-f", metavar="NAME", help="As for analyze.", show_default="from -o, or table")
    ] = None,
    output: Annotated[
        Text, typer.Option("--output", "-o", metavar="FILE", help="Write to a file; .html is a gallery.")
    ] = None,
    null: Annotated[bool, typer.Option("--null", "-0", help="Only paths, each ended by NUL, for xargs -0.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", min=0, metavar="N", help="So many hits; 0 is all.", show_default="20 in a table, else all"
        ),
    ] = None,
    database: Annotated[
        Text,
        typer.Option("--database", metavar="URL", help="Where to search.", show_default="the one in the cache folder"),
    ] = None,
    cache_dir: Annotated[
        Text, typer.Option("--cache-dir", metavar="DIR", help="Which cache.", show_default="the user's cache folder")
    ] = None,
    quiet: Annotated[Flag, typer.Option("--quiet/--no-quiet", "-q", help="Nothing on stderr but errors.")] = None,
    verbose: Annotated[Flag, typer.Option("--verbose/--no-verbose", "-v", help="Tracebacks.")] = None,
) -> None:
    """Find pictures by the words in them, their captions, labels and codes, their paths, and how they came out.

    imgtool search 'harbour "one way" label:sign -path:old' photos
    """
    with boundary(verbose=bool(verbose)):
        from imgtool.config import resolve

        given = {"format": format, "output": output, "database": database, "cache_dir": cache_dir}
        resolved = resolve({**given, "quiet": quiet, "verbose": verbose})
        with boundary(verbose=resolved.output.verbose):
            from imgtool.cli.search.job import Search

            raise typer.Exit(Search(resolved, query, paths or (), null=null, limit=limit).run())
