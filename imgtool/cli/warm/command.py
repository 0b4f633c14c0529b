"""``imgtool warm-cache``: models fetched, verified, compiled, loaded and tried before anybody waits for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgtool.cli import completion
from imgtool.cli.analyze import options as o
from imgtool.cli.boundary import boundary
from imgtool.cli.help import HelpAll
from imgtool.cli.warm.request import WarmRequest

if TYPE_CHECKING:
    from imgtool.config import Resolved
    from imgtool.errors import ExitCode

_STEPS, _LOOK, _SOURCE, _ROOM = "What is done", "Look, change nothing", "Where files come from", "Disk space"
_ENGINE_OPTIONS = {
    *("languages", "weights", "scale", "precision", "caption_model", "easyocr_dir", "cache_dir", "device"),
    *("load_timeout", "quiet", "verbose"),
}


def warm_cache(
    ctx: typer.Context,
    names: Annotated[
        o.Many, typer.Argument(metavar="[MODEL]...", hidden=True, autocompletion=completion.models)
    ] = None,
    languages: o.Languages = None,
    weights: o.Weights = None,
    scale: o.Scale = None,
    precision: o.Precision = None,
    caption_model: o.CaptionModel = None,
    easyocr_dir: o.EasyocrDir = None,
    analyze: Annotated[o.Many, o.option(_STEPS, "Then analyze these images, too. Repeatable.", takes="PATH")] = None,
    no_load: Annotated[bool, o.option(_STEPS, "Only fetch; do not compile, load or try.", "--no-load")] = False,
    no_compile: Annotated[bool, o.option(_STEPS, "Do not compile.", "--no-compile")] = False,
    cluster: Annotated[o.Text, o.option(_STEPS, "On every node of this Ray cluster.", takes="ADDRESS")] = None,
    anew: Annotated[bool, o.option(_STEPS, "Compile again what is already compiled.", "--compile")] = False,
    calibrate: Annotated[o.Text, o.option(_STEPS, "Tune and judge --precision fast by these.", takes="DIR")] = None,
    check: Annotated[bool, o.option(_LOOK, "Exit 0 if a run needs no network, else 5.", "--check")] = False,
    full_check: Annotated[bool, o.option(_LOOK, "The same, and hash every file.", "--full-check")] = False,
    dry_run: Annotated[bool, o.option(_LOOK, "Say what would be fetched or removed.", "--dry-run", "-n")] = False,
    source: Annotated[o.Text, o.option(_SOURCE, "Take files from this folder.", "--from", takes="DIR")] = None,
    offline: Annotated[bool, o.option(_SOURCE, "Use what is here; no network call.", "--offline")] = False,
    refresh: Annotated[bool, o.option(_SOURCE, "Hash all files; fetch damaged and newer ones.", "--refresh")] = False,
    prune: Annotated[bool, o.option(_ROOM, "Remove old versions and unfinished files.", "--prune")] = False,
    max_size: Annotated[o.Text, o.option(_ROOM, "With --prune: stop when this much is left.", takes="SIZE")] = None,
    cache_dir: o.CacheDir = None,
    device: o.Device = None,
    load_timeout: o.LoadTimeout = None,
    quiet: o.Quiet = None,
    verbose: o.Verbose = None,
    json: Annotated[bool, o.option("Output", "Print JSON.", "--json")] = False,
    help_all: HelpAll = False,
) -> None:
    """Fetch, verify and compile models, and try each once, so that runs start at once and need no network.

    MODEL is blip-base, easyocr, blip-base@REVISION, caption or text. Default: all that the options ask for.
    """
    with boundary(verbose=bool(verbose)):
        from imgtool.config import resolve
        from imgtool.quantities import parse_option, parse_size

        resolved = resolve({name: value for name, value in ctx.params.items() if name in _ENGINE_OPTIONS})
        with boundary(verbose=resolved.output.verbose):
            if cluster is not None:
                from imgtool.cli.warm.nodes import warm_nodes

                raise typer.Exit(warm_nodes(cluster, sys.argv[1:], json=json))
            request = WarmRequest(
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
                max_size=None if max_size is None else parse_option("--max-size", max_size, parse_size),
                json=json,
            )
            request.require_sense(resolved.engine.weights, resolved.engine.precision)
            raise typer.Exit(_answer(request, resolved))


def _answer(request: WarmRequest, resolved: Resolved) -> ExitCode:
    from imgtool.warming.units import configured_units, named_units
    from imgtool.weights.languages import easyocr_codes
    from imgtool.weights.store import store_for

    options = resolved.engine
    store = store_for(options)
    if request.prune:
        from imgtool.cli.warm.inspect import prune

        return prune(store, request, options)
    codes = easyocr_codes(options.languages)
    units = named_units(request.names, options, codes) if request.names else configured_units(options, codes)
    if request.check:
        from imgtool.cli.warm.inspect import check

        return check(units, store, request, options)
    if request.dry_run:
        from imgtool.cli.warm.inspect import dry_run

        return dry_run(units, store, request)
    from imgtool.cli.warm.run import WarmRun

    return WarmRun(request, resolved, store).run(units)
