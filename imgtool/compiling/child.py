"""The process that compiles: exports, optimises, compares, and tells its parent.

A process of its own, so that the gigabytes of torch go away with it and a crash is one failed step. The order comes as
a line of JSON on stdin, which stays open: when it ends, the parent is gone, and this process ends too. Reports go to
stdout, one JSON value a line; whatever else the libraries print goes to stderr.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.manifest import NAME, SETTINGS, ArtefactFile, ArtefactManifest
from imgtool.artefacts.requested_model import BLIP
from imgtool.compiling.fast import make_fast
from imgtool.compiling.interface import Exporter
from imgtool.compiling.optimise import optimise
from imgtool.compiling.sources import reading
from imgtool.errors import ImgtoolError
from imgtool.files import is_full, no_space, writable
from imgtool.ground.versioned import encode
from imgtool.weights.hashing import measure, sampled_sha256


class CompileOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compiled, from the folder ``source`` into the folder ``into``, which exists.

    ``arguments`` are for the exporter, ``remedy`` is what to do where the weights are damaged. ``manifest`` is complete
    but for what only compiling shows. ``is_exported``: ``into`` has the graphs already, only the lossy twin is wanted.
    """

    source: str
    into: str
    remedy: str
    arguments: dict[str, Any] = {}
    manifest: ArtefactManifest
    threads: int
    fast: bool = False
    is_exported: bool = False


class CompilePhase(msgspec.Struct, frozen=True, tag=True):
    """Something begins, in words."""

    words: str


class CompileFinished(msgspec.Struct, frozen=True, tag=True):
    """It is done; whether it may be installed is for the parent to say."""

    manifest: ArtefactManifest


class CompileRefused(msgspec.Struct, frozen=True, tag=True):
    """It went wrong. ``kind`` is the name of the exception's class; the exit code is that of its error."""

    kind: str
    message: str
    remedy: str = ""
    exit_code: int = 1


CompileReport = CompilePhase | CompileFinished | CompileRefused


def exporter_of(kind: str) -> Exporter:
    """The exporter of models of ``kind``."""
    if kind == BLIP:
        from imgtool.compiling.blip import export as blip

        return Exporter(blip.export, blip.check_parity, blip.answering)
    from imgtool.compiling.easyocr import export as easyocr

    return Exporter(easyocr.export, easyocr.check_parity, easyocr.answering)


def main(exporter_for: Callable[[str], Exporter] = exporter_of) -> None:
    """Carry out the order on stdin. ``exporter_for`` is another one in tests."""
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
    """Fill ``order.into``; returns the manifest, complete, of what is there now.

    Raises:
        ImgtoolError: the weights or a library are missing or damaged.
        OSError: the folder cannot be written.
    """
    source, folder, manifest = Path(order.source), Path(order.into), order.manifest
    if not order.is_exported:
        say(CompilePhase("exporting"))
        export = exporter.export(source, folder, order.remedy, **order.arguments)
        (folder / SETTINGS).write_bytes(msgspec.json.encode(export.settings))
        for name in export.graphs:
            say(CompilePhase(f"optimising {name}"))
            optimise(folder, name)
        manifest = msgspec.structs.replace(
            manifest, graphs=export.graphs, exporter=export.exporter, opset=export.opset, files=describe(folder)
        )
        # The comparison opens the graphs as a run does, which looks at the manifest.
        (folder / NAME).write_bytes(encode(manifest))
        say(CompilePhase("comparing with the original"))
        manifest = msgspec.structs.replace(manifest, parity=exporter.check_parity(source, folder, order.threads))
    if order.fast:
        say(CompilePhase("measuring what is fast on this machine"))
        fast = make_fast(folder, manifest, exporter.answering, order.threads)
        manifest = msgspec.structs.replace(manifest, fast=fast, files=describe(folder))
    return manifest


def describe(folder: Path) -> tuple[ArtefactFile, ...]:
    """Every file in ``folder`` but the manifest, with its hashes, flushed to the disk."""
    described = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        found, name = measure(path), path.relative_to(folder).as_posix()
        sample = sampled_sha256([path])
        described.append(ArtefactFile(path=name, size=found.size, sha256=found.sha256, sample=sample))
    return tuple(described)
