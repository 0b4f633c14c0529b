"""The process that compiles: exports, optimises, compares, and tells its parent.

A process of its own, so that the gigabytes of torch go away with it and a crash of it is one failed step. The order
comes as a line of JSON on stdin, which stays open: when it ends, whoever ordered is gone, and so are we. What is said
goes to stdout, one JSON value a line; whatever else the libraries print goes to stderr.

Run as ``python -m imgtool.compiling.child``.
"""

from __future__ import annotations

import errno
import inspect
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.exported import Export, Parity
from imgtool.artefacts.manifest import NAME, ArtefactFile, ArtefactManifest
from imgtool.compiling.sources import reading
from imgtool.errors import ImgtoolError
from imgtool.files import is_full, not_writable, writable
from imgtool.versioned import encode
from imgtool.weights.hashing import measure, sampled_sha256

SETTINGS = "settings.json"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compiled. ``exporter`` is a module; ``arguments`` are for its ``export``.

    ``into`` exists. ``manifest`` is complete but for what only compiling shows. ``is_exported`` says that ``into`` has
    the graphs already, and only the lossy twin is wanted.
    """

    exporter: str
    source: str
    into: str
    arguments: dict[str, Any] = {}
    manifest: ArtefactManifest
    threads: int
    fast: bool = False
    is_exported: bool = False

    @property
    def weights(self) -> Path:
        """The folder of the original."""
        return Path(self.source)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(self.into)


class Phase(msgspec.Struct, frozen=True, tag=True):
    """Something begins, in words."""

    words: str


class Finished(msgspec.Struct, frozen=True, tag=True):
    """It is done; whether it may be installed is for the parent to say."""

    manifest: ArtefactManifest


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It went wrong. ``kind`` is the name of the exception's class; the exit code is that of its error."""

    kind: str
    message: str
    remedy: str = ""
    exit_code: int = 1


Report = Phase | Finished | Refused
Say = Callable[[Report], None]


def main() -> None:
    """Carry out the order on stdin."""
    say = _reporter()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with writable(order.folder), reading(order.folder):
            say(Finished(carry_out(order, say)))
    except ImgtoolError as error:
        say(Refused(type(error).__name__, str(error), error.remedy, int(error.exit_code)))
    except Exception as error:  # noqa: BLE001 - whatever a library raises is a failed step, told to the parent
        say(_refused(error, order.folder))


def carry_out(order: Order, say: Say) -> ArtefactManifest:
    """Fill ``order.into``; returns the manifest, complete, of what is there now.

    Raises:
        ImgtoolError: the weights or a library are missing or damaged.
        OSError: the folder cannot be written.
    """
    exporter = import_module(order.exporter)
    manifest = order.manifest if order.is_exported else _exported(order, exporter, say)
    if order.fast:
        manifest = _with_fast(order, exporter, manifest, say)
    return manifest


def _with_fast(order: Order, exporter: Any, manifest: ArtefactManifest, say: Say) -> ArtefactManifest:
    from imgtool.compiling.fast import answering_for, make_fast

    say(Phase("measuring what is fast on this machine"))
    fast = make_fast(order.folder, manifest, answering_for(exporter, manifest.kind), order.threads)
    return msgspec.structs.replace(manifest, fast=fast, files=describe(order.folder))


def describe(folder: Path) -> tuple[ArtefactFile, ...]:
    """Every file in ``folder`` but the manifest, with its hashes, flushed to the disk."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return tuple(_described(path, folder) for path in paths)


def _exported(order: Order, exporter: Any, say: Say) -> ArtefactManifest:
    from imgtool.compiling.optimise import optimise

    say(Phase("exporting"))
    export: Export = exporter.export(order.weights, order.folder, **order.arguments)
    (order.folder / SETTINGS).write_bytes(msgspec.json.encode(export.settings))
    for name in export.graphs:
        say(Phase(f"optimising {name}"))
        optimise(order.folder, name)
    manifest = msgspec.structs.replace(
        order.manifest,
        graphs=export.graphs,
        exporter=export.exporter,
        opset=export.opset,
        files=describe(order.folder),
    )
    # The comparison opens the graphs as a run does, which looks at the manifest.
    (order.folder / NAME).write_bytes(encode(manifest))
    say(Phase("comparing with the original"))
    return msgspec.structs.replace(manifest, parity=_parity(exporter, order))


def _parity(exporter: Any, order: Order) -> Parity:
    takes_threads = "threads" in inspect.signature(exporter.check_parity).parameters
    more = {"threads": order.threads} if takes_threads else {}
    found: Parity = exporter.check_parity(order.weights, order.folder, **more)
    return found


def _described(path: Path, folder: Path) -> ArtefactFile:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    found = measure(path)
    return ArtefactFile(
        path=path.relative_to(folder).as_posix(), size=found.size, sha256=found.sha256, sample=sampled_sha256([path])
    )


def _refused(error: Exception, folder: Path) -> Refused:
    if is_full(folder):
        full = not_writable(OSError(errno.ENOSPC, ""), folder)
        assert full is not None
        return Refused(type(full).__name__, str(full), full.remedy, int(full.exit_code))
    return Refused(type(error).__name__, str(error))


def _reporter() -> Say:
    """Says things on what stdout was; from now on prints go to stderr."""
    lines = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return lambda report: (lines.write(msgspec.json.encode(report) + b"\n"), None)[1]


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(1)
