"""Compiles a model into the store of compiled models.

Everything is written to a folder beside the final one, whose name says that it is unfinished. If the compiled model
agrees with the original, its manifest is written and the folder renamed. If the process is killed before that, the
next compile of this model deletes the unfinished folder.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.find import Artefact, ArtefactState, folder_name, status
from imgtool.artefacts.install import install, sweep
from imgtool.artefacts.manifest import ArtefactManifest
from imgtool.artefacts.requested_model import RequestedModel
from imgtool.artefacts.runtime_identity import this_runtime
from imgtool.compiling import child
from imgtool.compiling.process import run_compile
from imgtool.compiling.sources import own_weights, reading
from imgtool.errors import ModelNotUsable
from imgtool.files import require_space, staging_folder, writable
from imgtool.weights.hashing import measure
from imgtool.weights.manifest import now
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.store import ModelStore

_ROOM = 1.6
"""Bytes needed for each byte of weights: for graphs, rewritten weights, and temporary files."""

TIMEOUT = 1800.0
"""Seconds. A step takes a minute on an idle machine."""


class NotAlike(ModelNotUsable):
    """A compiled model that does not agree with the original, and was not installed."""


@dataclass(frozen=True)
class CompileOptions:
    """``anew`` compiles a complete model again; ``fast`` adds the lossy twin.

    ``lock_timeout`` is how many seconds to wait for another process, ``timeout`` how many a step may take. ``program``
    is what the compiling process runs; tests pass one with exporters of their own.
    """

    anew: bool = False
    fast: bool = False
    threads: int = 1
    lock_timeout: float = 3600.0
    timeout: float = TIMEOUT
    program: Callable[..., None] = child.main


@dataclass(frozen=True)
class Compiled:
    """An installed compiled model. ``changed`` is false if there was nothing to do."""

    artefact: Artefact
    changed: bool
    seconds: float


def compile_model(
    requested: RequestedModel,
    root: Path,
    options: CompileOptions,
    arguments: Mapping[str, Any] | None = None,
    observer: FetchObserver = SILENT,
) -> Compiled:
    """Compile ``requested``, whose weights must be here, into ``root``, unless that was done before.

    ``arguments`` are for the exporter.

    Raises:
        NotAlike: the compiled model does not agree with the original; nothing was installed.
        imgtool.errors.ModelLoadFailed: the compiling process crashed or took too long, or a library failed in it.
        imgtool.weights.errors.FetchBusy: another process has been compiling this model for too long.
        imgtool.errors.StoreNotWritable: no space, no permission.
        imgtool.errors.ImgtoolError: the weights are missing, damaged or not to be read, or a library is missing.
    """
    if (found := _finished(requested, root, options)) is not None:
        return Compiled(found, False, 0.0)
    started = time.perf_counter()
    with ModelStore.at(root).lock(
        requested.stem,
        timeout=options.lock_timeout,
        on_wait=lambda: observer.waiting(requested.model),
        work=f"compiling {requested.model}",
    ):
        with writable(root):
            sweep(root, requested.stem)
        # The process that held the lock before may have compiled it.
        if (found := _finished(requested, root, options)) is not None:
            return Compiled(found, False, 0.0)
        compiled = _compile(requested, root, options, dict(arguments or {}), observer)
        return Compiled(compiled, True, time.perf_counter() - started)


def _finished(requested: RequestedModel, root: Path, options: CompileOptions) -> Artefact | None:
    if options.anew:
        return None
    found = status(root, requested)
    if found.state is not ArtefactState.COMPILED or found.artefact is None:
        return None
    return None if options.fast and found.artefact.manifest.fast is None else found.artefact


def _compile(
    requested: RequestedModel, root: Path, options: CompileOptions, arguments: dict[str, Any], observer: FetchObserver
) -> Artefact:
    """One compile, under the lock."""
    if requested.folder is None or requested.version is None:
        raise ModelNotUsable(f"the weights of {requested.model} are not here", requested.command.remedy)
    target = root / folder_name(requested, requested.version, this_runtime())
    with writable(root), reading(root):
        base = None
        if options.fast and not options.anew:
            # A model that lacks only its lossy twin is not compiled again. Its files are checked byte by byte: they are
            # hashed anew with the twin, so damage would no longer be seen afterwards.
            found = status(root, requested, full=True).artefact
            base = found if found is not None and found.folder == target else None
        weights = own_weights(requested)
        require_space(root, int(_ROOM * sum(path.stat().st_size for path in weights)))
        with staging_folder(target) as staging:
            if base is not None:
                # Copied, because onnx refuses files with several hard links.
                shutil.copytree(base.folder, staging, dirs_exist_ok=True)
                draft = base.manifest
            else:
                draft = ArtefactManifest(
                    kind=requested.kind,
                    model=requested.model,
                    model_version=requested.version,
                    source=requested.source,
                    revision=requested.revision,
                    source_files={path.name: measure(path).sha256 for path in weights},
                    graphs=(),
                    exporter="",
                    opset=0,
                    runtime=this_runtime(),
                    files=(),
                    created=now(),
                )
            order = child.CompileOrder(
                source=str(requested.folder),
                into=str(staging),
                remedy=requested.repair,
                arguments=arguments,
                manifest=draft,
                threads=options.threads,
                fast=options.fast,
                is_exported=base is not None,
            )
            started = time.perf_counter()
            tell = partial(observer.compiling, requested.model)
            manifest = run_compile(order, tell, options.timeout, options.program).manifest
            seconds = time.perf_counter() - started
            if manifest.parity is None or not manifest.parity.passed:
                told = manifest.parity.detail if manifest.parity is not None else "it was not compared"
                raise NotAlike(
                    f"the compiled {requested.model} does not agree with the original and was not installed: {told}",
                    "run with --backend torch, and report this with the versions of torch and onnxruntime",
                )
            manifest = msgspec.structs.replace(manifest, created=now(), seconds=seconds)
            install(manifest, staging, target)
            return Artefact(target, manifest)
