"""Options of ``imgtool analyze`` that ``bench`` and ``profile`` take, read by its own parser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from imgtool.errors import UsageProblem

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Every parameter of ``analyze`` as ``words`` set it. A mistake ends the command in the parser's own words."""
    from imgtool.cli.analyze.command import analyze
    from imgtool.cli.help import ManyOptions

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(cls=ManyOptions)(analyze)
    parameters: dict[str, Any] = typer.main.get_command(app).make_context("imgtool analyze", list(words)).params
    return parameters


def flags_of(words: Sequence[str]) -> dict[str, Any]:
    """The options among ``words`` that were given, by name, as :func:`imgtool.config.resolve` takes them.

    Raises:
        UsageProblem: they cannot be read, or name a path.
    """
    from imgtool.cli.analyze.command import NOT_OPTIONS

    if shows := {"--help", "-h", "--help-all"} & set(words):
        raise UsageProblem(f"{shows.pop()} only shows something and ends", "leave it out")
    try:
        given = parse(words)
    except Exception as error:
        # Typer has no public name for what its parser raises; what it shares is a message for people.
        if not hasattr(error, "format_message"):
            raise
        raise UsageProblem(f"{' '.join(words)}: {error.format_message()}", "as for imgtool analyze") from error
    if named := [*(given["paths"] or ()), *([given["from_file"]] if given["from_file"] else ())]:
        raise UsageProblem(f"the options of analyze name {named[0]!r}", "paths go to bench itself: imgtool bench PATH")
    return {name: value for name, value in given.items() if name not in NOT_OPTIONS and value not in (None, (), [])}


def engine_flags(words: Sequence[str]) -> dict[str, Any]:
    """The same for a caller that runs the engine itself: options of the output are refused.

    Raises:
        UsageProblem: they cannot be read, name a path, or say where results go.
    """
    import msgspec

    from imgtool.options import EngineOptions

    found = flags_of(words)
    names = {field.name for field in msgspec.structs.fields(EngineOptions)}
    if foreign := [name for name in found if name not in names]:
        raise UsageProblem(f"--{foreign[0].replace('_', '-')} is no option of the engine", "leave it out")
    return found


def engine_options(words: Sequence[str]) -> EngineOptions:
    """What options of ``imgtool analyze`` mean, with environment and configuration files taken in.

    Raises:
        UsageProblem: they cannot be read.
    """
    from imgtool.config import resolve

    return resolve(flags_of(words)).engine
