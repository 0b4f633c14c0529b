"""ONNX files of others without their denormal weights, kept in the cache directory beside the compiled models.

What is kept is found by the SHA-256 of the file that it was made from. A folder appears whole or not at all, and its
manifest has the hashes of its files. Where nothing can be written everything works, and is done anew in each process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.manifest import NAME, ArtefactFile, wrong_sample
from imgtool.artefacts.runtime_identity import PROVIDER, RuntimeIdentity, this_runtime
from imgtool.files import TEMPORARY, staging_folder
from imgtool.ground.sealed import encode_sealed, require_seal
from imgtool.ground.versioned import encode, read_json
from imgtool.inference.denormals import Denormals, NotOnnx, external_files, zero_denormals, zeroed_bytes
from imgtool.weights.hashing import measure, sampled_sha256

_VERSION = 1
_GRAPH = "graph.onnx"
_SMALLEST_OUTSIDE = 1024
"""Bytes: smaller tensors stay in the graph."""


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """One kept graph. ``files`` is empty where the original is to be opened: it has no denormals, or needs them.

    ``runtime`` is the onnxruntime and the processor that an optimised graph is for.
    """

    version: int = _VERSION
    source: str
    source_sha256: str
    runtime: RuntimeIdentity | None = None
    numbers: int
    denormals: int
    files: tuple[ArtefactFile, ...] = ()


def open_cleaned(
    source: Path, store: Path | None, options: Callable[[], Any], session_class: Callable[..., Any] | None = None
) -> Any:
    """A session on ``source`` with its denormal weights set to zero, which answers as one on ``source`` itself.

    The file holds all its weights. What is kept in ``store`` is the graph as onnxruntime optimised it for this machine,
    with weights that are mapped: the next session opens in less time and memory. ``options`` makes the options of a
    session, for optimisation in full; ``session_class`` is onnxruntime's own where it is not given.

    Raises:
        OSError: ``source`` cannot be read.
        Exception: whatever onnxruntime raises where it refuses ``source``.
    """
    import onnxruntime

    def session(model: str | bytes, options: Any) -> Any:
        # What RapidOCR opens its own sessions with.
        provider = (PROVIDER, {"arena_extend_strategy": "kSameAsRequested"})
        return (session_class or onnxruntime.InferenceSession)(model, options, providers=[provider])

    data = source.read_bytes()
    digest, runtime = hashlib.sha256(data).hexdigest(), this_runtime()
    if store is None or not runtime.is_known:
        return session(_without_denormals(data)[0], options())
    folder = _place(store, source, digest, encode(runtime))
    if (found := _kept(folder, digest)) is not None and found.files:
        with suppress(Exception):  # whatever is wrong with it: it is made again, from the file itself
            return session(str(folder / _GRAPH), _as_it_is(options()))
    data, counted = _without_denormals(data)
    kept = Cleaned(
        source=source.name, source_sha256=digest, runtime=runtime, numbers=counted.numbers, denormals=counted.zeroed
    )
    # Libraries say in words of their own that a disk is full; where the file itself is at fault, it is refused below.
    with suppress(Exception), _Staging(folder) as staging:
        opened = session(data, _saved_to(staging.path / _GRAPH, options()))
        staging.install(kept)
        return opened
    return session(data, options())


def cleaned_copy(
    source: Path, store: Path | None, hashes: Mapping[Path, str], are_alike: Callable[[Path, Path], bool]
) -> Path:
    """``source``, or a copy of it without denormal weights.

    ``hashes`` are those of ``source`` and of the files beside it that may hold weights, which are the key.
    ``are_alike`` is asked once a file, about the original and the copy. Without a place to keep the copy, and where
    weights lie in other files than those, ``source`` is what is opened.

    Raises:
        Exception: what ``are_alike`` raises.
    """
    if store is None:
        return source
    digest = hashlib.sha256("\0".join(hashes.values()).encode()).hexdigest()
    folder = _place(store, source, digest)
    if (found := _kept(folder, digest)) is not None:
        return folder / source.name if found.files else source
    try:
        beside = external_files(source)
        if not set(beside) <= set(hashes):
            return source
        with _Staging(folder) as staging:
            return staging.clean(source, beside, digest, are_alike)
    except (OSError, NotOnnx):
        return source


class _Staging:
    """An unfinished folder beside ``target``, which goes away unless it is installed.

    Raises:
        OSError: nothing can be written there, whatever a library made of that.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._claimed = staging_folder(target)

    def __enter__(self) -> _Staging:
        store = self._target.parent
        # The cache directory is its owner's alone, whoever makes it first.
        store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        store.mkdir(exist_ok=True)
        self.path = self._claimed.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._claimed.__exit__(*raised)

    def install(self, manifest: Cleaned) -> None:
        """Put the folder in its place. Where another process was first, its folder stays: it holds the same."""
        files = tuple(_described(path, self.path) for path in sorted(self.path.rglob("*")) if path.is_file())
        (self.path / NAME).write_bytes(encode_sealed(msgspec.structs.replace(manifest, files=files)))
        try:
            self.path.rename(self._target)
        except OSError:
            if _kept(self._target, manifest.source_sha256) is None:
                # Damaged, or half removed. What is in its way goes, and the next process tries again.
                shutil.rmtree(self._target, ignore_errors=True)

    def clean(self, source: Path, beside: Sequence[Path], digest: str, are_alike: Callable[[Path, Path], bool]) -> Path:
        """Copy ``source`` and what is ``beside`` it here without denormals, install that if it answers alike, and say
        which one to open."""
        copy = self.path / source.name
        for path in (source, *beside):
            target = self.path / path.relative_to(source.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        counted = zero_denormals(copy)
        is_used = bool(counted.zeroed) and are_alike(source, copy)
        if not is_used:
            for path in self.path.iterdir():
                path.unlink() if path.is_file() else shutil.rmtree(path)
        self.install(
            Cleaned(source=source.name, source_sha256=digest, numbers=counted.numbers, denormals=counted.zeroed)
        )
        return self._target / source.name if is_used and self._target.is_dir() else source


def is_of_use(folder: Path) -> bool:
    """Whether a run may open what is kept in ``folder``: it is finished, whole, and for this onnxruntime."""
    found = None if TEMPORARY in folder.name else _kept(folder, "")
    return found is not None and (found.runtime is None or found.runtime.onnxruntime == this_runtime().onnxruntime)


def _place(store: Path, source: Path, digest: str, *more: bytes) -> Path:
    key = hashlib.sha256(b"\0".join((digest.encode(), *more))).hexdigest()
    return store / f"{source.stem}-{key[:16]}"


def _kept(folder: Path, digest: str) -> Cleaned | None:
    """What ``folder`` holds, if it is whole and made from the file with this SHA-256 (any file where it is empty).

    A look like that of every run at a compiled model: small files by hash, of large ones a sample.
    """
    try:
        data = (folder / NAME).read_bytes()
        found = read_json(data, Cleaned)
        require_seal(data, "version")
        if found.version != _VERSION or digest not in ("", found.source_sha256):
            return None
        return None if any(wrong_sample(folder, file) for file in found.files) else found
    except (OSError, ValueError):
        return None


def _without_denormals(data: bytes) -> tuple[bytes, Denormals]:
    """``data`` itself where it is not understood: onnxruntime says better what is wrong with it."""
    try:
        cleaned, found = zeroed_bytes(data)
        return bytes(cleaned), found
    except NotOnnx:
        return data, Denormals()


def _as_it_is(options: Any) -> Any:
    import onnxruntime

    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _saved_to(path: Path, options: Any) -> Any:
    options.optimized_model_filepath = str(path)
    for key, value in (
        ("session.optimized_model_external_initializers_file_name", f"{path.name}.data"),
        ("session.optimized_model_external_initializers_min_size_in_bytes", str(_SMALLEST_OUTSIDE)),
    ):
        options.add_session_config_entry(key, value)
    return options


def _described(path: Path, folder: Path) -> ArtefactFile:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    found = measure(path)
    name, sample = path.relative_to(folder).as_posix(), sampled_sha256([path])
    return ArtefactFile(path=name, size=found.size, sha256=found.sha256, sample=sample)
