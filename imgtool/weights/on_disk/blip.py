"""Where BLIP's files are on this machine: a folder that was named, or a snapshot in the hub's cache.

Light: the parent process looks here for every run.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.options import Weights
from imgtool.weights.catalogue import find
from imgtool.weights.errors import UnknownModel, unreadable
from imgtool.weights.hashing import sampled_sha256
from imgtool.weights.manifest import Manifest
from imgtool.weights.places import find_snapshot, hub_cache, is_repository_id
from imgtool.weights.store import store_for
from imgtool.weights.synthetic.marker import read_marker
from imgtool.weights.synthetic.store import BLIP_NAME, synthetic_store
from imgtool.weights.warm_command import DEFAULT_MODEL, bake_blip

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

WARM = "run `imgtool warm-cache blip-base`"

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_NEEDED = (
    ("config.json",),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.txt"),
)


@dataclass(frozen=True)
class BlipWeights:
    """The files of a model. ``version`` is the commit, or an identity of the files in a folder."""

    folder: Path
    model: str
    version: str
    size_bytes: int


def weights_for(options: EngineOptions) -> BlipWeights:
    """The files that a run with ``options`` uses: named ones, or those of the hub's cache, or of the model store.

    Raises:
        ModelMissing: they are not here, not complete, a pickle, or synthetic without having been asked for.
        ModelLoadFailed: the mark of synthetic weights is damaged, or a file may not be read.
        UsageProblem: synthetic weights are asked for, and a model is named.
    """
    if options.weights is Weights.SYNTHETIC:
        return _synthetic(options)
    model, revision = options.caption_model, options.caption_revision
    try:
        return find_weights(model, revision, bake_blip(options).remedy)
    except ModelMissing:
        if (found := _in_store(options, model or DEFAULT_MODEL, revision)) is None:
            raise
        return found


def find_weights(model: str | None, revision: str | None, remedy: str = WARM) -> BlipWeights:
    """The files of ``model``: a folder, or a repository whose files are in the hub's cache. No network.

    ``remedy`` is what to do where the hub's cache lacks them.

    Raises:
        ModelMissing: they are not here, not complete, a pickle, or synthetic without having been named as a folder.
        ModelLoadFailed: the mark of synthetic weights is damaged, or a file may not be read.
    """
    name = model or DEFAULT_MODEL
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _in_folder(folder.absolute())
    if name.startswith(("/", "~", ".")) or not is_repository_id(name):
        raise ModelMissing(f"the caption model {name!r} is neither a folder nor a repository", "check --caption-model")
    return _in_cache(name, revision, remedy)


def weight_files(folder: Path, remedy: str = WARM) -> list[Path]:
    """The safetensors files of the model in ``folder``, in order: one, or the parts that its index names.

    ``remedy`` is what to do where there are none.

    Raises:
        ModelMissing: there are none, one of them is missing, or the weights are a pickle.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return _present(folder, _parts(folder / INDEX))
    if pickle := next((name for name in PICKLES if (folder / name).exists()), None):
        raise ModelMissing(
            f"the weights in {folder} are a pickle ({pickle}), which can run code when it is opened",
            f"use a revision that has {WEIGHTS}, or convert the weights with the safetensors library",
        )
    raise ModelMissing(f"{folder} has no {WEIGHTS}", remedy)


def _in_folder(folder: Path) -> BlipWeights:
    weights = _complete(folder)
    marker = read_marker(folder)
    try:
        version = f"sha256:{_identity(folder, weights)[:12]}"
    except PermissionError as error:
        raise unreadable(error) from error
    if marker is not None:
        version = f"{marker.version} {version}"
    return BlipWeights(folder, folder.name, version, _bytes(weights))


def _in_cache(repository: str, revision: str | None, remedy: str) -> BlipWeights:
    snapshot = find_snapshot(hub_cache(os.environ), repository, revision)
    if snapshot is None:
        at = f" at revision {revision}" if revision else ""
        raise ModelMissing(f"the weights of {repository}{at} are not in the hub's cache", remedy)
    weights = _complete(snapshot.folder)
    if read_marker(snapshot.folder) is not None:
        raise ModelMissing(
            f"the weights in {snapshot.folder} are synthetic: their answers mean nothing",
            f"{remedy}, or name that folder with --caption-model",
        )
    return BlipWeights(snapshot.folder, repository, snapshot.commit, _bytes(weights))


def _synthetic(options: EngineOptions) -> BlipWeights:
    if options.caption_model is not None:
        raise UsageProblem(
            f"synthetic weights are asked for, and the caption model {options.caption_model}",
            "leave out --weights or --caption-model",
        )
    folder = synthetic_store(options).folder(BLIP_NAME)
    if folder is None:
        raise ModelMissing(f"no synthetic weights of {BLIP_NAME} are here", bake_blip(options).remedy)
    return replace(_in_folder(folder), model=BLIP_NAME)


def _in_store(options: EngineOptions, model: str, revision: str | None) -> BlipWeights | None:
    """What ``warm-cache`` brought that the hub's cache does not name: files from a folder, a pinned revision."""
    try:
        spec = find(model)
    except UnknownModel:
        return None
    store = store_for(options)
    manifest = store.manifest(spec.name)
    if manifest is None or not manifest.serves(replace(spec, revision=revision) if revision else spec):
        return None
    folder = manifest.folder(store.places)
    return BlipWeights(folder, spec.repository, _version(manifest), _bytes(_complete(folder)))


def _version(manifest: Manifest) -> str:
    # The hash of every file has been taken when the manifest was written: no need to look at them again.
    return manifest.commit or f"sha256:{manifest.fingerprint.rpartition('-')[2]}"


def _complete(folder: Path) -> list[Path]:
    weights = weight_files(folder)
    for names in _NEEDED:
        if not any((folder / name).is_file() for name in names):
            raise ModelMissing(f"{folder} has no {' or '.join(names)}", WARM)
    return weights


def _parts(index: Path) -> list[str]:
    try:
        parts = json.loads(index.read_bytes())["weight_map"].values()
        names = sorted({str(part) for part in parts})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelLoadFailed(f"{index} cannot be read as an index of weights: {error!r}", WARM) from error
    if outside := [name for name in names if Path(name).name != name]:
        raise ModelLoadFailed(f"{index} names a file outside its folder: {outside[0]}", WARM)
    return names


def _present(folder: Path, names: list[str]) -> list[Path]:
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelMissing(f"{folder} lacks {', '.join(missing)}", WARM)
    return [folder / name for name in names]


def _bytes(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _identity(folder: Path, weights: list[Path]) -> str:
    """Everything that can change a caption: weights, configuration, tokenizer, image settings."""
    settings = [path for pattern in ("*.json", "vocab.txt") for path in folder.glob(pattern)]
    files = sorted(settings) + weights
    return _cached_identity(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=8)
def _cached_identity(files: tuple[tuple[str, int, int], ...]) -> str:
    return sampled_sha256(Path(path) for path, _, _ in files)
