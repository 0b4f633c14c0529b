"""``imgtool models``: the engines, whether they can run here, what to do if not, and their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgtool.cli import completion
from imgtool.cli.boundary import boundary
from imgtool.cli.console import data_console, plain_table, print_json

if TYPE_CHECKING:
    from imgtool.analyzers.interface import AnalyzerSpec, Probe
    from imgtool.options import EngineOptions

_LANGUAGES_SHOWN = 4


def models(
    engine: Annotated[
        str | None, typer.Argument(metavar="[ENGINE]", hidden=True, autocompletion=completion.every_engine)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also how workers are restricted here.")] = False,
) -> None:
    """List the engines: whether each can run here, and what to do if not.

    With ENGINE, such as easyocr: that one in detail, and the parameters that it takes.
    """
    with boundary():
        from imgtool.analyzers.registry import ANALYZERS, load_class
        from imgtool.config import resolve
        from imgtool.errors import UsageProblem, nearest

        names = [name for name in ANALYZERS if name != "thumbnail"]
        if engine is not None and engine not in names:
            raise UsageProblem(f"there is no engine {engine!r}", nearest(engine, names))
        options = resolve({}).engine
        classes = [load_class(target) for name in ([engine] if engine else names) for target in ANALYZERS[name]]
        rows = [(cls.spec, cls.probe(options)) for cls in classes]
        if json:
            print_json([_json_object(spec, probe) for spec, probe in rows])
        elif engine is None:
            _print_table(rows)
        else:
            _print_engine(engine, rows)
        if verbose and not json:
            data_console().print(f"\nsandbox: {_sandbox(options)}", soft_wrap=True)


def _sandbox(options: EngineOptions) -> str:
    """How workers are restricted on this machine, in words."""
    from imgtool.ground.sandbox import support
    from imgtool.options import Sandbox

    found = support()
    if options.sandbox is Sandbox.OFF or not options.isolate:
        return "workers are not restricted, because that is switched off"
    if not found.complete:
        return f"workers are not restricted: {found.lacking}"
    own = "" if options.sandbox is Sandbox.ON else ". Engines of your own (MODULE:CLASS) are not restricted"
    return (
        "workers cannot open network connections or gain privileges, and can write only to temporary files and to"
        f" cleaned graphs in the cache (Landlock {found.landlock}, seccomp){own}"
    )


def _json_object(spec: AnalyzerSpec, probe: Probe) -> dict[str, Any]:
    import msgspec

    from imgtool.parameters import parameters_of

    option, parameters = parameters_of(spec.name)
    told = [
        {"option": option, "name": p.name, "takes": p.takes, "default": p.default, "meaning": p.meaning}
        for p in parameters
    ]
    return {**msgspec.to_builtins(spec), **msgspec.to_builtins(probe), "parameters": told}


def _print_table(rows: Sequence[tuple[AnalyzerSpec, Probe]]) -> None:
    from rich.text import Text

    table = plain_table("task", "engine", "backend", "state", "model", "size", "languages")
    for spec, probe in rows:
        state = Text("available", "green") if probe.available else Text("missing", "yellow")
        more = len(probe.languages) - _LANGUAGES_SHOWN
        languages = ", ".join(probe.languages[:_LANGUAGES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        table.add_row(spec.task, spec.name, spec.backend.value, state, probe.model, _size(probe), languages)
    console = data_console()
    console.print(table)
    for spec, probe in rows:
        who = f"{spec.name} ({spec.backend.value})"
        if probe.details:
            console.print(f"\n{who}: {probe.details}")
        if not probe.available:
            console.print(f"\n{who}: {probe.reason}")
            # A command that is folded cannot be pasted.
            console.print(f"  remedy: {probe.remedy}", soft_wrap=True)
    console.print("\nimgtool models ENGINE shows one engine and its parameters")


def _print_engine(engine: str, rows: Sequence[tuple[AnalyzerSpec, Probe]]) -> None:
    """Everything about one engine, in each of its backends, then its parameters: no line is cut or folded blindly."""
    from imgtool.parameters import parameters_of

    console = data_console()
    for spec, probe in rows:
        console.print(f"{spec.name} ({spec.backend.value}): {spec.summary}")
        facts = (
            ("state", "available" if probe.available else f"missing: {probe.reason}"),
            ("model", " ".join(filter(None, (probe.model, probe.model_version)))),
            ("size", _size(probe)),
            ("languages", ", ".join(probe.languages)),
            ("licence", spec.licence),
        )
        table = plain_table()
        for name, value in facts:
            if value:
                table.add_row(name, value)
        console.print(table)
        if not probe.available:
            console.print(f"remedy: {probe.remedy}", soft_wrap=True)
    option, parameters = parameters_of(engine)
    if not parameters:
        console.print(f"\n{engine} takes no parameters by name; `imgtool analyze --help-all` lists all options")
        return
    console.print(f"\nparameters, set with --{option} NAME=VALUE:")
    table = plain_table("name", "default", "takes", "meaning")
    for each in parameters:
        table.add_row(each.name, each.default, each.takes, each.meaning)
    console.print(table)


def _size(probe: Probe) -> str:
    return f"{probe.size_bytes / 1e6:.1f} MB" if probe.size_bytes else ""
