"""Help for a command with many options: ``--help`` shows the common ones, ``--help-all`` every one."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from imgtool.cli.analyze.former_options import as_now
from imgtool.cli.analyze.options import RARE_PANELS

ON_BY_DEFAULT = {"cache", "isolate", "csv_bom"}
"""Switches of which help shows the form that turns them off."""


def _show_all(ctx: typer.Context, asked: bool) -> None:
    if asked and isinstance(ctx.command, ManyOptions | ManyOptionsGroup):
        ctx.command.left_out = ()
        for parameter in ctx.command.params:
            if parameter.param_type_name == "option":  # what an argument is, the text above the options says
                parameter.hidden = False  # type: ignore[attr-defined]
        typer.echo(ctx.get_help())
        raise typer.Exit()


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all", callback=_show_all, is_eager=True, help="Show every option, including rarely used ones."
    ),
]


class ManyOptions(TyperCommand):
    """A command that leaves the panels of rare options out of ``--help``, and understands earlier options."""

    left_out: tuple[str, ...] = RARE_PANELS

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        known = {name for option in self.params for name in (*option.opts, *option.secondary_opts)}
        return super().parse_args(ctx, args if ctx.resilient_parsing else as_now(args, known))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help. The process ends after it, so options may be changed here for what is shown."""
        _shorten(self.params, self.left_out)
        super().format_help(ctx, formatter)


class ManyOptionsGroup(TyperGroup):
    """The same for a command that has commands of its own."""

    left_out: tuple[str, ...] = RARE_PANELS

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        _shorten(self.params, self.left_out)
        super().format_help(ctx, formatter)


def _shorten(parameters: list[Any], left_out: tuple[str, ...]) -> None:
    for option in parameters:
        if str(getattr(option, "rich_help_panel", "")) in left_out:
            option.hidden = True
        if option.secondary_opts:  # one form of a switch is enough: of --strict and --no-strict, the one that acts
            if option.name in ON_BY_DEFAULT:
                option.opts = option.secondary_opts
            option.secondary_opts = []
