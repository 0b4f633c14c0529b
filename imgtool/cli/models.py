"""``imgtool models``: every engine, whether it can run here, and what to do if not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgtool.cli.boundary import boundary

if TYPE_CHECKING:
    from imgtool.analyzers.interface import AnalyzerSpec, Probe

_LANGUAGES_SHOWN = 4


def models(
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
) -> None:
    """List the engines: available or missing, why, remedy, languages, size."""
    with boundary():
        from imgtool.analyzers.registry import ANALYZERS, load_class
        from imgtool.config import resolve

        options = resolve({}).engine
        classes = [load_class(target) for targets in ANALYZERS.values() for target in targets]
        rows = [(cls.spec, cls.probe(options)) for cls in classes if cls.spec.task != "thumbnail"]
        if json:
            _print_json(rows)
        else:
            _print_table(rows)


def _print_json(rows: list[tuple[AnalyzerSpec, Probe]]) -> None:
    import msgspec

    objects: list[dict[str, Any]] = [
        {**msgspec.to_builtins(spec), **msgspec.to_builtins(probe)} for spec, probe in rows
    ]
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(objects), indent=2).decode() + "\n")


def _print_table(rows: list[tuple[AnalyzerSpec, Probe]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("task", "engine", "backend", "state", "model", "languages", "size"):
        table.add_column(heading, overflow="fold")
    for spec, probe in rows:
        state = Text("available", "green") if probe.available else Text("missing", "yellow")
        model = " ".join(filter(None, (probe.model, probe.model_version)))
        table.add_row(
            spec.task, spec.name, spec.backend.value, state, model, _languages(probe.languages), _size(probe.size_bytes)
        )
    console = Console()
    console.print(table)
    for spec, probe in rows:
        who = f"{spec.name} ({spec.backend.value})"
        if probe.details:
            console.print(f"\n{who}: {probe.details}", markup=False, highlight=False)
        if not probe.available:
            console.print(f"\n{who}: {probe.reason}\n  remedy: {probe.remedy}", markup=False, highlight=False)


def _languages(codes: Sequence[str]) -> str:
    shown = ", ".join(codes[:_LANGUAGES_SHOWN])
    more = len(codes) - _LANGUAGES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size else ""
