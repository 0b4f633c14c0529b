"""``imgtool warm-cache``: models fetched, verified, loaded and tried before anybody waits for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgtool.cli.analyze import options as o
from imgtool.cli.boundary import boundary
from imgtool.cli.warm.request import Request

if TYPE_CHECKING:
    from imgtool.config import Resolved
    from imgtool.errors import ExitCode
    from imgtool.warming.units import Unit

_MODELS, _LOOK, _SOURCE, _ROOM = "Which models", "Look, do not change", "Where from", "Making room"


def _flag(panel: str, help: str, *names: str) -> object:
    return typer.Option(*names, help=help, rich_help_panel=panel)


def _value(panel: str, help: str, *names: str, takes: str) -> object:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=takes, show_default=False)


Models = Annotated[
    o.Many,
    typer.Argument(
        metavar="[MODEL]...",
        help="blip-base, easyocr, blip-base@REVISION, or a task: caption, text. Default: what the options configure.",
        show_default=False,
    ),
]
Analyze = Annotated[
    o.Many, _value(_MODELS, "Then answer these images, so that answers are kept too. Repeatable.", takes="PATH")
]
NoLoad = Annotated[bool, _flag(_MODELS, "Only fetch; do not compile, load and try.", "--no-load")]
NoCompile = Annotated[bool, _flag(_MODELS, "Leave compiling out.", "--no-compile")]
Anew = Annotated[bool, _flag(_MODELS, "Compile again what is compiled already.", "--compile")]
Calibrate = Annotated[
    o.Text,
    _value(_MODELS, "With --precision fast: adjust to these pictures and judge by them.", "--calibrate", takes="DIR"),
]
Check = Annotated[
    bool, _flag(_LOOK, "Say whether a run needs the network: exit 0, or 5 with what is missing.", "--check")
]
FullCheck = Annotated[bool, _flag(_LOOK, "The same, by the hash of every file.", "--full-check")]
DryRun = Annotated[bool, _flag(_LOOK, "Say what would be fetched or removed.", "--dry-run", "-n")]
From = Annotated[o.Text, _value(_SOURCE, "Take the files from a folder.", "--from", takes="DIR")]
Offline = Annotated[bool, _flag(_SOURCE, "Use what is on this machine; no network call at all.", "--offline")]
Refresh = Annotated[bool, _flag(_SOURCE, "Ask whether the hub has a newer version.", "--refresh")]
Prune = Annotated[bool, _flag(_ROOM, "Remove former versions and unfinished files instead.", "--prune")]
MaxSize = Annotated[o.Text, _value(_ROOM, "With --prune: only until this much is left.", takes="SIZE")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]

_NOT_OPTIONS = {
    *(
        "names",
        "analyze",
        "no_load",
        "no_compile",
        "anew",
        "calibrate",
        "check",
        "full_check",
        "dry_run",
        "source",
        "offline",
        "refresh",
    ),
    *("prune", "max_size", "json"),
}


def warm_cache(
    ctx: typer.Context,
    names: Models = None,
    analyze: Analyze = None,
    languages: o.Languages = None,
    weights: o.Weights = None,
    scale: o.Scale = None,
    precision: o.Precision = None,
    caption_model: o.CaptionModel = None,
    easyocr_dir: o.EasyocrDir = None,
    no_load: NoLoad = False,
    no_compile: NoCompile = False,
    anew: Anew = False,
    calibrate: Calibrate = None,
    check: Check = False,
    full_check: FullCheck = False,
    dry_run: DryRun = False,
    source: From = None,
    offline: Offline = False,
    refresh: Refresh = False,
    prune: Prune = False,
    max_size: MaxSize = None,
    json: Json = False,
    cache_dir: o.CacheDir = None,
    device: o.Device = None,
    load_timeout: o.LoadTimeout = None,
    quiet: o.Quiet = None,
    verbose: o.Verbose = None,
) -> None:
    """Fetch models, verify, compile, load and try each once: runs need no network. Twice does nothing."""
    with boundary(verbose=bool(verbose)):
        from imgtool.config import resolve

        resolved = resolve({name: value for name, value in ctx.params.items() if name not in _NOT_OPTIONS})
        with boundary(verbose=resolved.output.verbose):
            request = Request(
                names=tuple(names or ()),
                analyze=tuple(analyze or ()),
                load=not no_load,
                compile=not no_compile and not no_load,
                anew=anew,
                calibrate=Path(calibrate).expanduser() if calibrate is not None else None,
                check=check or full_check,
                full=full_check,
                dry_run=dry_run,
                source=Path(source).expanduser() if source is not None else None,
                offline=offline,
                refresh=refresh,
                prune=prune,
                max_size=_size(max_size),
                json=json,
            )
            request.require_sense()
            raise typer.Exit(_answer(request, resolved))


def _answer(request: Request, resolved: Resolved) -> ExitCode:
    from imgtool.weights.store import store_for

    request.require_options(resolved.engine)
    store = store_for(resolved.engine)
    if request.prune:
        from imgtool.cli.warm.inspect import prune

        return prune(store, request, resolved.engine)
    units = _units(request, resolved)
    if request.check:
        from imgtool.cli.warm.inspect import check

        return check(units, store, request, resolved.engine)
    if request.dry_run:
        from imgtool.cli.warm.inspect import dry_run

        return dry_run(units, store, request)
    from imgtool.cli.warm.job import WarmJob

    return WarmJob(request, resolved, store).run(units)


def _units(request: Request, resolved: Resolved) -> tuple[Unit, ...]:
    from imgtool.warming.units import configured_units, named_units
    from imgtool.weights.languages import easyocr_codes

    codes = easyocr_codes(resolved.engine.languages)
    if request.names:
        return named_units(request.names, resolved.engine, codes)
    return configured_units(resolved.engine, codes)


def _size(text: str | None) -> int | None:
    from imgtool.errors import UsageProblem
    from imgtool.quantities import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageProblem(f"--max-size: {error}") from error
