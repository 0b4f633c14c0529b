"""Finds BLIP's files on this machine: in a folder that was named, in the hub's cache, or in the model store.

Light: the parent process does this for every run.
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
from imgtool.weights.catalogue import blip_of, find, is_catalogued
from imgtool.weights.errors import unreadable
from imgtool.weights.hashing import sampled_sha256
from imgtool.weights.manifest import decode
from imgtool.weights.places import find_snapshot, hub_cache, is_repository_id
from imgtool.weights.store import MANIFEST, store_for
from imgtool.weights.synthetic.marker import read_marker
from imgtool.weights.synthetic.store import BLIP_NAME, synthetic_store
from imgtool.weights.warm_command import DEFAULT_MODEL, blip_command, folder_named

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_NEEDED = (("config.json",), ("preprocessor_config.json", "processor_config.json"), ("tokenizer.json", "vocab.txt"))
_WHOLE_COPY = "copy the model into that folder again, from where it came"


@dataclass(frozen=True)
class BlipWeights:
    """The files of a model. ``version`` is the commit, or a hash of the files in a folder."""

    folder: Path
    model: str
    version: str
    size_bytes: int


def weights_for(options: EngineOptions) -> BlipWeights:
    """The files that a run with ``options`` uses: named ones, or those of the hub's cache, or of the model store.

    Raises:
        ModelMissing: they are missing, incomplete, a pickle, or synthetic although real ones were asked for.
        ModelLoadFailed: the mark of synthetic weights is damaged, or a file may not be read.
        UsageProblem: synthetic weights are asked for, and a model is named.
    """
    try:
        return _weights_for(options)
    except PermissionError as error:
        raise unreadable(error) from error


def _weights_for(options: EngineOptions) -> BlipWeights:
    command = blip_command(options)
    if options.weights is Weights.SYNTHETIC:
        if options.caption_model is not None:
            raise UsageProblem(
                f"synthetic weights are asked for, and the caption model {options.caption_model}",
                "leave out --weights or --caption-model",
            )
        folder = synthetic_store(options).folder(BLIP_NAME)
        if folder is None:
            raise ModelMissing(f"no synthetic weights of {BLIP_NAME} are here", command.remedy)
        return replace(_in_folder(folder, command.remedy), model=BLIP_NAME)
    name = options.caption_model or DEFAULT_MODEL
    try:
        return find_weights(name, options.caption_revision, command.remedy)
    except ModelMissing:
        # Not named in the hub's cache, but fetched by warm-cache: copied from a folder, or a pinned revision.
        if not is_catalogued(name):
            raise
        spec, store = find(name), store_for(options)
        spec = replace(spec, revision=options.caption_revision) if options.caption_revision else spec
        manifest = store.manifest(spec.name)
        if manifest is None or not manifest.serves(spec):
            raise
        folder = manifest.folder(store.places)
        # The manifest has the hash of every file: they need not be read again.
        version = manifest.commit or f"sha256:{manifest.fingerprint.rpartition('-')[2]}"
        return BlipWeights(folder, spec.repository, version, _bytes(_complete(folder, command.remedy)))


def manifest_of(folder: Path, options: EngineOptions) -> str:
    """The manifest that says what the files in ``folder`` hash to; empty if warm-cache did not put or verify them."""
    named = options.caption_model or DEFAULT_MODEL
    if options.weights is Weights.SYNTHETIC:
        named = BLIP_NAME
    if not is_repository_id(named.partition("@")[0]):
        return ""
    store, name = store_for(options), (find(named) if is_catalogued(named) else blip_of(named)).name
    path = store.folder_of(name) / MANIFEST
    try:
        is_of_it = decode(path.read_bytes()).folder(store.places) == folder
    except OSError:
        return ""
    except ValueError:  # a damaged one must not spare the files their check: the load refuses it
        return str(path)
    return str(path) if is_of_it else ""


def how_to_repair(options: EngineOptions) -> str:
    """What to do if a weights file for ``options`` is damaged. Nothing is fetched into a user's folder."""
    folder = folder_named(options.caption_model or DEFAULT_MODEL)
    if folder is not None and options.weights is not Weights.SYNTHETIC:
        return f"copy the model into {folder} again, from where it came, or leave out --caption-model"
    return blip_command(options).fetching_again


def find_weights(name: str, revision: str | None, remedy: str) -> BlipWeights:
    """The files of the model ``name``: a folder, or a repository whose files are in the hub's cache. No network.

    ``remedy`` is what to do if the hub's cache lacks them.

    Raises:
        ModelMissing: they are missing, incomplete, a pickle, or synthetic and not named as a folder.
        ModelLoadFailed: the mark of synthetic weights is damaged, or a file may not be read.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _in_folder(folder.absolute(), _WHOLE_COPY)
    if name.startswith(("/", "~", ".")) or not is_repository_id(name):
        raise ModelMissing(f"the caption model {name!r} is neither a folder nor a repository", "check --caption-model")
    snapshot = find_snapshot(hub_cache(os.environ), name, revision)
    if snapshot is None:
        at = f" at revision {revision}" if revision else ""
        raise ModelMissing(f"the weights of {name}{at} are not in the hub's cache", remedy)
    weights = _complete(snapshot, remedy)
    if read_marker(snapshot) is not None:
        raise ModelMissing(
            f"the weights in {snapshot} are synthetic: their answers mean nothing",
            f"{remedy}, or name that folder with --caption-model",
        )
    return BlipWeights(snapshot, name, snapshot.name, _bytes(weights))


def weight_files(folder: Path, remedy: str) -> list[Path]:
    """The safetensors files of the model in ``folder``, in order: one, or the parts that its index names.

    ``remedy`` is what to do if one is missing or damaged.

    Raises:
        ModelMissing: there are none, one of them is missing, or the weights are a pickle.
        ModelLoadFailed: the index cannot be read.
    """
    index = folder / INDEX
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not index.is_file():
        if pickle := next((name for name in PICKLES if (folder / name).exists()), None):
            raise ModelMissing(
                f"the weights in {folder} are a pickle ({pickle}), which can run code when it is opened",
                f"use a revision that has {WEIGHTS}, or convert the weights with the safetensors library",
            )
        raise ModelMissing(f"{folder} has no {WEIGHTS}", remedy)
    try:
        names = sorted({str(part) for part in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelLoadFailed(f"{index} cannot be read as an index of weights: {error!r}", remedy) from error
    if outside := [name for name in names if Path(name).name != name]:
        raise ModelLoadFailed(f"{index} names a file outside its folder: {outside[0]}", remedy)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelMissing(f"{folder} lacks {', '.join(missing)}", remedy)
    return [folder / name for name in names]


def _in_folder(folder: Path, remedy: str) -> BlipWeights:
    weights = _complete(folder, remedy)
    marker = read_marker(folder)
    # Everything that can change a caption: weights, configuration, tokenizer, image settings.
    settings = [path for pattern in ("*.json", "vocab.txt") for path in folder.glob(pattern)]
    files = [*sorted(settings), *weights]
    try:
        identity = _identity(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))
    except PermissionError as error:
        raise unreadable(error) from error
    version = f"sha256:{identity[:12]}"
    return BlipWeights(folder, folder.name, f"{marker.version} {version}" if marker else version, _bytes(weights))


def _complete(folder: Path, remedy: str) -> list[Path]:
    weights = weight_files(folder, remedy)
    for names in _NEEDED:
        if not any((folder / name).is_file() for name in names):
            raise ModelMissing(f"{folder} has no {' or '.join(names)}", remedy)
    return weights


def _bytes(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


@lru_cache(maxsize=8)
def _identity(files: tuple[tuple[str, int, int], ...]) -> str:
    return sampled_sha256(Path(path) for path, _, _ in files)
