"""The commands of ``imgtool``: what exists; each command's body lives in a file of its own."""

from __future__ import annotations

import os
import shlex
import sys
from collections import UserDict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from imgtool import trace
from imgtool.cli.boundary import boundary, end_politely_on_signals, output_lost
from imgtool.cli.console import Messages
from imgtool.cli.log_format import add_option, begin, is_json
from imgtool.errors import ExitCode
from imgtool.ground.home import has_home, without_home


class _WhenNamed(UserDict[str, Any]):
    """Commands by name. Each is imported and built when it is asked for: to build all takes a third of a start."""

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if not isinstance(found, TyperCommand | TyperGroup):
            alone = typer.Typer(add_completion=False, callback=lambda: None)
            found(alone)
            found = self.data[name] = typer.main.get_command(alone).commands[name]  # type: ignore[attr-defined]
            add_option(found)
        return found


class _Commands(TyperGroup):
    """The commands; a word that is none of them is answered with the command that was probably meant."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        add_option(self)
        self.commands = _WhenNamed({**_COMMANDS, **self.commands})

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run a command. Where logs are for programs, so is what the parser says of a mistake."""
        if not is_json():
            return super().main(*arguments, **named)
        try:
            code = super().main(*arguments, **{**named, "standalone_mode": False})
        except Exception as error:
            # Typer has no public name for what its parser raises; what it shares is a message for people.
            if not hasattr(error, "format_message"):
                raise
            where = getattr(error, "ctx", None)
            remedy = f"{where.command_path if where is not None else 'imgtool'} --help"
            Messages().error(error.format_message(), remedy, code="usage_problem", exit_code=ExitCode.USAGE)
            code = ExitCode.USAGE
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what comes before the command's name.

        Raises:
            typer.Exit: the command does not exist; what was probably meant has been said.
        """
        own = {name for option in self.get_params(ctx) for name in option.opts}
        if args and not ctx.resilient_parsing and args[0] not in own and args[0] not in self.commands:
            with boundary():
                self._suggest(args)
        return super().parse_args(ctx, args)

    def _suggest(self, args: list[str]) -> None:
        from difflib import get_close_matches

        from imgtool.errors import UsageProblem

        word, rest = args[0], args[1:]
        if _names_images(word) or (word.startswith("-") and any(map(_names_images, rest))):
            raise UsageProblem(f"no command was given. Did you mean: {shlex.join(['imgtool', 'analyze', *args])}")
        if word.startswith("-"):
            return  # an option that does not exist: Typer's own message says so
        if near := get_close_matches(word, self.commands, n=1):
            raise UsageProblem(f"there is no command {word!r}. Did you mean: {shlex.join(['imgtool', near[0], *rest])}")
        raise UsageProblem(f"there is no command {word!r}", f"imgtool --help; commands: {', '.join(self.commands)}")


def _names_images(word: str) -> bool:
    try:
        return word == "-" or "*" in word or Path(word).exists()
    except OSError:  # too long a name
        return False


app = typer.Typer(
    cls=_Commands,
    name="imgtool",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: imgtool analyze ./photos",
)


def _version(wanted: bool) -> None:
    if wanted:
        from imgtool import __version__

        typer.echo(f"imgtool {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Caption images, read their text and label them, in bulk. Results are cached, and models start fast."""
    if not has_home() and not {"HOME", "XDG_CACHE_HOME", "IMGTOOL_CACHE_DIR"} & os.environ.keys():
        quiet = not {"-q", "--quiet"}.isdisjoint(sys.argv)
        text = "this user has no home: the cache and models are in"
        Messages(quiet=quiet).notice(f"{text} {without_home()} (`export HOME=...` names another place)")


def _analyze(app: typer.Typer) -> None:
    from imgtool.cli.analyze.command import analyze
    from imgtool.cli.help import ManyOptions

    app.command(
        "analyze",
        cls=ManyOptions,
        short_help="Caption images, read their text, label them.",
        epilog="`imgtool models ENGINE` lists the parameters of --ocr, --classifier and --codes.",
    )(analyze)


def _search(app: typer.Typer) -> None:
    from imgtool.cli.search.command import Search, search

    short = "Find analyzed images by their text, caption, labels and more."
    app.command("search", cls=Search, short_help=short)(search)


def _models(app: typer.Typer) -> None:
    from imgtool.cli.models import models

    app.command("models", short_help="List the engines and their parameters.")(models)


def _warm_cache(app: typer.Typer) -> None:
    from imgtool.cli.help import ManyOptions
    from imgtool.cli.warm.command import warm_cache

    app.command("warm-cache", cls=ManyOptions, short_help="Fetch and compile models before the first run.")(warm_cache)


def _cache(app: typer.Typer) -> None:
    from imgtool.cli.cache import app as cache

    app.add_typer(cache, name="cache", short_help="Show, clear, prune and verify cached results.")


def _database(app: typer.Typer) -> None:
    from imgtool.cli.database.command import app as database

    app.add_typer(database, name="database", short_help="Create, check, export and import the database of results.")


def _bench(app: typer.Typer) -> None:
    from imgtool.cli.bench.command import app as bench

    app.add_typer(bench, name="bench", short_help="Measure startup, speed and memory, and compare.")


def _profile(app: typer.Typer) -> None:
    from imgtool.cli.profile.command import SETTINGS, profile

    short = "Show where a run spends its time and memory."
    app.command("profile", context_settings=SETTINGS, no_args_is_help=True, short_help=short)(profile)


def _serve(app: typer.Typer) -> None:
    from imgtool.cli.serve.command import app as serve

    app.add_typer(serve, name="serve", short_help="Answer over HTTP: a service with jobs, events and metrics.")


def _schema(app: typer.Typer) -> None:
    from imgtool.cli.schema import schema

    app.command("schema", short_help="Print the JSON Schema of a result.")(schema)


_COMMANDS = {
    "analyze": _analyze,
    "search": _search,
    "models": _models,
    "warm-cache": _warm_cache,
    "cache": _cache,
    "database": _database,
    "bench": _bench,
    "profile": _profile,
    "serve": _serve,
    "schema": _schema,
}


def main() -> None:
    """Entry point of the ``imgtool`` script."""
    trace.process_started("parent")
    end_politely_on_signals()
    try:
        with boundary():
            begin(sys.argv[1:])
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    try:
        app()
    except OSError as error:  # from help; each command has a boundary of its own
        code = output_lost(error)
        if code is None:
            raise
        sys.exit(code)
    except SystemExit as ended:
        # Rich and Click leave with 1 where the reader of a help has gone.
        if ended.code == 1 and isinstance(ended.__context__, BrokenPipeError):
            sys.exit(0)
        raise
