"""Models from a folder that the user has: the files of a hub repository, or EasyOCR's weights.

They are copied, so that the folder may go away (a mounted directory of a Docker build), and checked as far as that is
possible without asking anybody: EasyOCR's by its own MD5, safetensors by their layout. A pickle is refused: nothing
here says whose it is, and opening one can run code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from imgtool.files import TEMPORARY, require_space, sync_folder, writable
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.easyocr_table import TableEntry
from imgtool.weights.errors import FileRefused, ModelNotFound, RepositoryIncomplete
from imgtool.weights.fetching.easyocr_files import install, unpack
from imgtool.weights.fetching.hub import choose
from imgtool.weights.hashing import measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin, now
from imgtool.weights.places import Root
from imgtool.weights.safetensors import check_safetensors
from imgtool.weights.store import ModelStore
from imgtool.weights.synthetic.marker import read_marker


def import_repository(spec: ModelSpec, source: Path, store: ModelStore) -> Manifest:
    """Copy the files of ``spec`` from ``source`` into the store; the manifest of the copy, not yet recorded.

    Raises:
        RepositoryIncomplete: a file that is needed is not in the folder.
        FileRefused: the weights are damaged, or a pickle.
        imgtool.errors.StoreNotWritable: the store cannot be written.
    """
    folder = _repository_folder(spec, source)
    names = choose(spec, sorted(path.name for path in folder.iterdir() if path.is_file()), str(folder))
    _require_readable(folder, names)
    _refuse_synthetic(folder)
    _refuse_pickles(folder, names)
    home = store.folder_of(spec.name)
    require_space(home, sum((folder / name).stat().st_size for name in names))
    with writable(home):
        copy = home / f"files{TEMPORARY}{os.urandom(6).hex()}"
        copy.mkdir(parents=True)
        try:
            return _copied(spec, store, folder, names, copy)
        finally:
            shutil.rmtree(copy, ignore_errors=True)


def import_weights(entry: TableEntry, source: Path, folder: Path) -> Path:
    """Copy EasyOCR's weights from ``source`` (a folder with the file or its zip) into EasyOCR's ``folder``.

    Raises:
        RepositoryIncomplete: neither is there.
        imgtool.weights.errors.WrongHash: they are not those of EasyOCR's table.
        imgtool.errors.StoreNotWritable: ``folder`` cannot be written.
    """
    for place in (source, source / "model"):
        plain, archive = place / entry.filename, place / entry.url.rpartition("/")[2]
        if plain.is_file():
            with plain.open("rb") as weights:
                return install(weights, entry, folder, str(plain))
        if archive.is_file():
            return unpack(archive, entry, folder, str(archive))
    raise RepositoryIncomplete(
        f"{source} has neither {entry.filename} nor {entry.url.rpartition('/')[2]}",
        "give the folder that holds one of them with --from DIR",
    )


def _repository_folder(spec: ModelSpec, source: Path) -> Path:
    if not source.is_dir():
        raise ModelNotFound(f"{source} is no folder", "give a folder with --from DIR")
    names = (spec.name, spec.repository.rpartition("/")[2], spec.repository)
    found = next((source / name for name in names if (source / name).is_dir()), None)
    return source if found is None or (source / "config.json").is_file() else found


def _require_readable(folder: Path, names: list[str]) -> None:
    if locked := [name for name in names if not os.access(folder / name, os.R_OK)]:
        raise FileRefused(f"{folder / locked[0]} cannot be read", "mend its permissions")


def _refuse_synthetic(folder: Path) -> None:
    # The copy would be without its mark, and taken for the real model.
    if read_marker(folder) is not None:
        raise FileRefused(
            f"the weights in {folder} are synthetic: their answers mean nothing",
            "name another folder, or use `--weights synthetic`",
        )


def _refuse_pickles(folder: Path, names: list[str]) -> None:
    for name in names:
        if name.endswith(".safetensors"):
            check_safetensors(folder / name)
        elif name.endswith((".bin", ".pt", ".pth")):
            raise FileRefused(
                f"{folder / name} is a pickle of unknown origin; opening it could run code",
                "put model.safetensors beside it, or fetch the model from the hub, which says what the file hashes to",
            )


def _copied(spec: ModelSpec, store: ModelStore, folder: Path, names: list[str], copy: Path) -> Manifest:
    files = []
    for name in names:
        shutil.copyfile(folder / name, copy / name)
        # Of the copy: what was read and what was written are then known to be the same.
        found = measure(copy / name)
        files.append(FileEntry(path=name, size=found.size, sha256=found.sha256, fetched=True))
    _refuse_pickles(copy, names)
    digest = hashlib.sha256("".join(f"{file.path}{file.sha256}" for file in files).encode()).hexdigest()[:12]
    target = store.folder_of(spec.name) / f"files-{digest}"
    # One of the same name has the same content, unless it was damaged since; either way the copy is right.
    shutil.rmtree(target, ignore_errors=True)
    copy.replace(target)
    sync_folder(target.parent)
    return Manifest(
        name=spec.name,
        origin=Origin.FOLDER,
        repository=spec.repository,
        revision=spec.revision,
        created=now(),
        root=Root.STORE,
        base=f"{spec.name}/files-{digest}",
        files=tuple(files),
        licence=spec.licence,
    )
