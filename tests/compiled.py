"""A small compiled model for the tests: made by the fake exporter, without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from imgtool.artefacts.manifest import NAME, ArtefactManifest, read_manifest
from imgtool.artefacts.requested_model import RequestedModel
from imgtool.artefacts.runtime_identity import RuntimeIdentity, this_runtime
from imgtool.compiling.compile import Compiled, CompileOptions, compile_model
from imgtool.ground.sealed import encode_sealed
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.warm_command import WarmCommand
from tests.fakes import exporter

FOREIGN_FEATURE = "avx9_foreign"
"""A feature that no processor has, so that tests say the same on every machine."""

OPTIONS = CompileOptions(program=exporter.main)


@dataclass(frozen=True)
class Bench:
    """A folder of weights and a store of compiled models."""

    weights: Path
    root: Path

    @staticmethod
    def at(folder: Path) -> Bench:
        weights = folder / "weights"
        weights.mkdir()
        (weights / "model.safetensors").write_bytes(b"w" * 500)
        return Bench(weights, folder / "compiled")

    @property
    def requested(self) -> RequestedModel:
        return RequestedModel(
            kind="blip",
            model="owner/small",
            source="",
            command=WarmCommand(("blip",)),
            version="v1",
            folder=self.weights,
        )

    def compile(
        self, options: CompileOptions = OPTIONS, observer: FetchObserver = SILENT, **arguments: str
    ) -> Compiled:
        return compile_model(self.requested, self.root, options, arguments, observer)

    def anew(self, **arguments: str) -> Compiled:
        return self.compile(replace(OPTIONS, anew=True), **arguments)

    @property
    def folders(self) -> list[Path]:
        """Everything in the store but its locks."""
        return sorted(path for path in self.root.iterdir() if path.name != ".locks")

    @property
    def folder(self) -> Path:
        (folder,) = self.folders
        return folder


def change_manifest(folder: Path, **changes: object) -> ArtefactManifest:
    """Write other values into the manifest in ``folder``."""
    manifest = msgspec.structs.replace(read_manifest(folder), **changes)
    (folder / NAME).write_bytes(encode_sealed(manifest))
    return manifest


def flip(path: Path, place: int, *, by_disk: bool = False) -> None:
    """Flip a bit of the byte at ``place``; ``by_disk``: as a failing disk does, which leaves the file's time."""
    data, times = bytearray(path.read_bytes()), path.stat()
    data[place] ^= 1
    path.write_bytes(data)
    if by_disk:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def other_runtime(
    onnxruntime: str | None = None, less: Sequence[str] = (), more: Sequence[str] = ()
) -> RuntimeIdentity:
    """This machine's identity with another onnxruntime, without some CPU features, or with others."""
    here = this_runtime()
    features = tuple(sorted({*here.cpu_features, *more} - set(less)))
    return msgspec.structs.replace(here, onnxruntime=onnxruntime or here.onnxruntime, cpu_features=features)
