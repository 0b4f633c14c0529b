"""The process that compiles a model: exports, optimises, compares, and reports to its parent.

It is separate, so that its end frees torch's memory and a crash is only a failed step. It reads a line of JSON, the
order, from stdin, which stays open: when it closes, the parent has died, and this process ends too. Reports go to
stdout, one JSON value a line; everything that libraries print goes to stderr.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.manifest import NAME, OPTIMISED, SETTINGS, ArtefactFile, ArtefactManifest
from imgtool.artefacts.requested_model import BLIP
from imgtool.compiling.interface import Exporter
from imgtool.compiling.lossy.twin import make_fast
from imgtool.compiling.optimise import optimise
from imgtool.compiling.sources import reading
from imgtool.compiling.winograd import rewrite_where_faster
from imgtool.errors import ImgtoolError
from imgtool.files import is_full, no_space, writable
from imgtool.ground.sealed import encode_sealed
from imgtool.weights.hashing import measure, sampled_sha256


class CompileOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to compile, from the folder ``source`` into the existing folder ``into``.

    ``arguments`` are for the exporter, ``remedy`` is what to do if the weights are damaged. ``manifest`` lacks only
    what compiling finds out. ``is_exported``: ``into`` has the graphs already, and only the lossy twin is added.
    ``calibrate`` is a folder of pictures to adjust and to judge that twin by.
    """

    source: str
    into: str
    remedy: str
    arguments: dict[str, Any] = {}
    manifest: ArtefactManifest
    threads: int
    fast: bool = False
    is_exported: bool = False
    calibrate: str | None = None


class CompilePhase(msgspec.Struct, frozen=True, tag=True):
    """A phase begins; ``words`` describe it."""

    words: str


class CompileFinished(msgspec.Struct, frozen=True, tag=True):
    """It is done. The parent decides whether the model is installed."""

    manifest: ArtefactManifest


class CompileRefused(msgspec.Struct, frozen=True, tag=True):
    """It failed. ``kind`` is the name of the exception's class; ``exit_code`` is that of its error."""

    kind: str
    message: str
    remedy: str = ""
    exit_code: int = 1


CompileReport = CompilePhase | CompileFinished | CompileRefused


def exporter_of(kind: str) -> Exporter:
    """The exporter of models of ``kind``."""
    if kind == BLIP:
        from imgtool.compiling.blip import export as blip
        from imgtool.compiling.blip import parity as blip_parity
        from imgtool.compiling.blip import program as blip_program

        return Exporter(blip.export, blip_parity.check_parity, blip_program.open_program, blip_program.feeds)
    from imgtool.compiling.easyocr import export as easyocr
    from imgtool.compiling.easyocr import parity as easyocr_parity
    from imgtool.compiling.easyocr import program as easyocr_program

    return Exporter(
        easyocr.export,
        easyocr_parity.check_parity,
        easyocr_program.open_program,
        easyocr_program.feeds,
        {easyocr.DETECTOR: easyocr_program.USUAL_SIZES},
    )


def main(exporter_for: Callable[[str], Exporter] = exporter_of) -> None:
    """Carry out the order on stdin. Tests pass another ``exporter_for``."""
    reports = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def say(report: CompileReport) -> None:
        reports.write(msgspec.json.encode(report) + b"\n")

    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=CompileOrder)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(order.into)
    try:
        with writable(folder), reading(folder):
            say(CompileFinished(carry_out(order, exporter_for(order.manifest.kind), say)))
    except Exception as error:  # noqa: BLE001 - whatever a library raises is a failed step, told to the parent
        if not isinstance(error, ImgtoolError) and is_full(folder):
            error = no_space(folder)
        told = (error.remedy, int(error.exit_code)) if isinstance(error, ImgtoolError) else ()
        say(CompileRefused(type(error).__name__, str(error), *told))


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(1)


def carry_out(order: CompileOrder, exporter: Exporter, say: Callable[[CompileReport], None]) -> ArtefactManifest:
    """Fill ``order.into``; returns the complete manifest.

    Raises:
        ImgtoolError: the weights or a library are missing or damaged.
        OSError: the folder cannot be written.
    """
    source, folder, manifest = Path(order.source), Path(order.into), order.manifest
    if not order.is_exported:
        # Here, because whoever only asks about compiled models imports this module too.
        from imgtool.inference.denormals import zero_denormals

        say(CompilePhase("exporting"))
        export = exporter.export(source, folder, order.remedy, **order.arguments)
        (folder / SETTINGS).write_bytes(msgspec.json.encode(export.settings))
        denormals, methods = 0, {}
        for name in export.graphs:
            say(CompilePhase(f"optimising {name}"))
            denormals += zero_denormals(folder / f"{name}.onnx").zeroed
            if (told := _optimise(folder, name, exporter, order.threads)) is not None:
                methods[name] = told
            # What optimising multiplied into each other may be smaller still.
            denormals += zero_denormals(folder / f"{name}{OPTIMISED}").zeroed
        manifest = msgspec.structs.replace(
            manifest,
            graphs=export.graphs,
            exporter=export.exporter,
            opset=export.opset,
            files=describe(folder),
            denormals=denormals,
            methods=methods,
        )
        # The comparison opens the graphs as a run does, which needs the manifest.
        (folder / NAME).write_bytes(encode_sealed(manifest))
        say(CompilePhase("comparing with the original"))
        manifest = msgspec.structs.replace(manifest, parity=exporter.check_parity(source, folder, order.threads))
    if order.fast:
        say(CompilePhase("measuring what is fast on this machine"))
        calibrate = None if order.calibrate is None else Path(order.calibrate)
        fast = make_fast(folder, manifest, exporter, order.threads, calibrate)
        manifest = msgspec.structs.replace(manifest, fast=fast, files=describe(folder))
    return manifest


def _optimise(folder: Path, name: str, exporter: Exporter, threads: int) -> str | None:
    """Optimise the graph ``name``, by Winograd's method if that is faster; returns what was done beyond the usual."""
    usual = exporter.convolutions.get(name)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        rewritten = Path(place) / f"{name}.onnx"
        found = None
        if usual is not None:
            path = folder / f"{name}.onnx"
            found = rewrite_where_faster(path, rewritten, usual.inputs, usual.multiple, threads)
        optimise(folder, name, None if found is None else rewritten)
    if found is None:
        return None
    return f"{found.layers} convolutions by Winograd's method, {found.speed_up:.2g} times as fast"


def describe(folder: Path) -> tuple[ArtefactFile, ...]:
    """Every file in ``folder`` except the manifest, with its hashes, flushed to the disk."""
    described = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        found, name = measure(path), path.relative_to(folder).as_posix()
        sample = sampled_sha256([path])
        described.append(
            ArtefactFile(path=name, size=found.size, sha256=found.sha256, sample=sample, mtime_ns=found.mtime_ns)
        )
    return tuple(described)
