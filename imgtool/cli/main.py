"""The commands of ``imgtool``: what exists; each command's body lives in a file of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from imgtool import trace
from imgtool.cli import cache, models, schema
from imgtool.cli.analyze.command import analyze
from imgtool.cli.bench.command import app as bench_app
from imgtool.cli.boundary import end_politely_on_signals
from imgtool.cli.database.command import app as database_app
from imgtool.cli.profile.command import app as profile_app
from imgtool.cli.search.command import search
from imgtool.cli.warm.command import warm_cache

app = typer.Typer(
    name="imgtool",
    help="Batch image analysis that starts at once: captions, text and labels for folders of images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from imgtool import __version__

        typer.echo(f"imgtool {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Batch image analysis that starts at once: captions, text and labels for folders of images."""


app.command("analyze")(analyze)
app.command("search")(search)
app.command("models")(models.models)
app.command("warm-cache")(warm_cache)
app.command("schema")(schema.schema)
app.add_typer(cache.app, name="cache")
app.add_typer(database_app, name="database")
app.add_typer(bench_app, name="bench")
app.add_typer(profile_app, name="profile")


def main() -> None:
    """Entry point of the ``imgtool`` script."""
    trace.process_started("parent")
    end_politely_on_signals()
    app()
