"""Compiling a model into the store of compiled ones: built apart, compared with the original, then moved whole.

Everything is written to a folder beside the final one, whose name says that it is unfinished. Only when the compiled
model has been found to agree with the original is its manifest written, last, and the folder renamed. Whatever kills
us before that leaves a folder that nobody takes for a model, and that the next compile of this model removes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.find import Artefact, ArtefactState, folder_name, status
from imgtool.artefacts.install import install, sweep
from imgtool.artefacts.manifest import ArtefactManifest
from imgtool.artefacts.requested_model import BLIP, EASYOCR, Wanted
from imgtool.artefacts.runtime_identity import this_runtime
from imgtool.compiling.child import Finished, Order
from imgtool.compiling.process import run_job
from imgtool.compiling.sources import own_weights, reading
from imgtool.errors import ModelNotUsable
from imgtool.files import require_space, temporary_beside, writable
from imgtool.weights.hashing import measure
from imgtool.weights.manifest import now
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.store import ModelStore

EXPORTERS = {BLIP: "imgtool.compiling.blip.export", EASYOCR: "imgtool.compiling.easyocr.export"}
"""The module that exports each kind of model."""

_ROOM = 1.6
"""Bytes needed for each byte of weights: the graphs, what optimising rewrites, and its raw result meanwhile."""


TIMEOUT = 1800.0
"""Seconds. A step takes a minute where the machine has nothing else to do."""


class NotAlike(ModelNotUsable):
    """A compiled model that does not agree with the original: it was not installed."""


@dataclass(frozen=True)
class CompileOptions:
    """``anew`` compiles also what is here and whole; ``fast`` adds the lossy twin. ``exporters`` is for tests.

    ``lock_timeout`` is how many seconds another process may have the model, ``timeout`` how many a step may take.
    """

    anew: bool = False
    fast: bool = False
    threads: int = 1
    lock_timeout: float = 3600.0
    timeout: float = TIMEOUT
    exporters: Mapping[str, str] = field(default_factory=lambda: EXPORTERS)


@dataclass(frozen=True)
class Compiled:
    """A compiled model that is in its place. ``changed`` is false where there was nothing to do."""

    artefact: Artefact
    changed: bool
    seconds: float


def compile_model(
    wanted: Wanted,
    root: Path,
    options: CompileOptions,
    arguments: Mapping[str, Any] | None = None,
    observer: FetchObserver = SILENT,
) -> Compiled:
    """Compile ``wanted``, whose weights must be here, into ``root``, unless that was done. ``arguments`` are for the
    exporter.

    Raises:
        NotAlike: the compiled model does not agree with the original; nothing was installed.
        imgtool.errors.ModelLoadFailed: the compiling process crashed or took too long, or a library failed in it.
        imgtool.weights.errors.FetchBusy: another process has been compiling this model for too long.
        imgtool.errors.StoreNotWritable: no space, no permission.
        imgtool.errors.ImgtoolError: the weights are missing, damaged or not to be read, or a library is missing.
    """
    if (found := _finished(wanted, root, options)) is not None:
        return Compiled(found, False, 0.0)
    started = time.perf_counter()
    with ModelStore.at(root).lock(
        wanted.stem,
        timeout=options.lock_timeout,
        on_wait=lambda: observer.waiting(wanted.model),
        work=f"compiling {wanted.model}",
    ):
        with writable(root):
            sweep(root, wanted.stem)
        # Whoever had the lock before may have done it.
        if (found := _finished(wanted, root, options)) is not None:
            return Compiled(found, False, 0.0)
        compiler = _Compiler(wanted, root, options, dict(arguments or {}), observer)
        return Compiled(compiler.run(), True, time.perf_counter() - started)


def _finished(wanted: Wanted, root: Path, options: CompileOptions) -> Artefact | None:
    if options.anew:
        return None
    found = status(root, wanted)
    if found.state is not ArtefactState.COMPILED or found.artefact is None:
        return None
    return None if options.fast and found.artefact.manifest.fast is None else found.artefact


@dataclass(frozen=True)
class _Compiler:
    """One compile, under the lock."""

    wanted: Wanted
    root: Path
    options: CompileOptions
    arguments: dict[str, Any]
    observer: FetchObserver

    def run(self) -> Artefact:
        if self.wanted.folder is None or self.wanted.version is None:
            raise ModelNotUsable(f"the weights of {self.wanted.model} are not here", self.wanted.remedy)
        target = self.root / folder_name(self.wanted, self.wanted.version, this_runtime())
        staging = temporary_beside(target)
        with writable(self.root), reading(self.root):
            base = self._base(target)
            require_space(self.root, int(_ROOM * sum(path.stat().st_size for path in own_weights(self.wanted))))
            staging.mkdir(parents=True)
            try:
                if base is not None:
                    # Not linked: onnx takes files of two names for an attack.
                    shutil.copytree(base.folder, staging, dirs_exist_ok=True)
                finished = self._job(staging, self.wanted.folder, base)
                return self._installed(finished.manifest, staging, target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _job(self, staging: Path, source: Path, base: Artefact | None) -> Finished:
        started = time.perf_counter()
        order = Order(
            exporter=self.options.exporters[self.wanted.kind],
            source=str(source),
            into=str(staging),
            arguments=self.arguments,
            manifest=self._draft() if base is None else base.manifest,
            threads=self.options.threads,
            fast=self.options.fast,
            is_exported=base is not None,
        )
        finished = run_job(order, lambda phase: self.observer.compiling(self.wanted.model, phase), self.options.timeout)
        seconds = time.perf_counter() - started
        return Finished(msgspec.structs.replace(finished.manifest, created=now(), seconds=seconds))

    def _base(self, target: Path) -> Artefact | None:
        """What only lacks its lossy twin, where that is wanted."""
        if not self.options.fast or self.options.anew:
            return None
        # Byte by byte: its files are hashed again when the twin is added, and what is damaged now would pass for whole.
        found = status(self.root, self.wanted, full=True)
        return found.artefact if found.artefact is not None and found.artefact.folder == target else None

    def _draft(self) -> ArtefactManifest:
        return ArtefactManifest(
            kind=self.wanted.kind,
            model=self.wanted.model,
            model_version=self.wanted.version or "",
            source=self.wanted.source,
            revision=self.wanted.revision,
            source_files={path.name: measure(path).sha256 for path in own_weights(self.wanted)},
            graphs=(),
            exporter="",
            opset=0,
            runtime=this_runtime(),
            files=(),
            created=now(),
        )

    def _installed(self, manifest: ArtefactManifest, staging: Path, target: Path) -> Artefact:
        parity = manifest.parity
        if parity is None or not parity.passed:
            told = parity.detail if parity is not None else "it was not compared"
            raise NotAlike(
                f"the compiled {self.wanted.model} does not agree with the original and was not installed: {told}",
                "run with --backend torch, and report this with the versions of torch and onnxruntime",
            )
        install(manifest, staging, target)
        return Artefact(target, manifest)
