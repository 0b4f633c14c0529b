"""Models copied from a folder of the user's: the files of a hub repository, or EasyOCR's weights.

They are copied because the folder may disappear (a mount of a Docker build). They are checked as far as possible
offline: EasyOCR's by their MD5, safetensors by their layout. Pickles of unknown origin are refused, because opening one
can run code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from imgtool.files import put_in_place, require_space, staging_folder, writable
from imgtool.weights.easyocr_table import TableEntry
from imgtool.weights.errors import FileRefused, ModelNotFound, RepositoryIncomplete
from imgtool.weights.fetching.easyocr_files import install, unpack
from imgtool.weights.fetching.fetch_job import FetchJob, FetchOutcome
from imgtool.weights.fetching.hub import choose
from imgtool.weights.hashing import measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin
from imgtool.weights.places import Root
from imgtool.weights.safetensors import check_safetensors
from imgtool.weights.synthetic.marker import read_marker


def import_repository(job: FetchJob, source: Path) -> Manifest:
    """Copy the files of ``job``'s model from ``source`` into the store; the manifest of the copy, not yet recorded.

    Raises:
        RepositoryIncomplete: a file that is needed is not in the folder.
        FileRefused: the weights are damaged, or a pickle.
        imgtool.errors.StoreNotWritable: the store cannot be written.
    """
    job.outcome, spec, home = FetchOutcome.IMPORTED, job.spec, job.store.folder_of(job.spec.name)
    if not source.is_dir():
        raise ModelNotFound(f"{source} is not a folder", "give a folder with --from DIR")
    folder = source
    if not (source / "config.json").is_file():
        inner = (source / name for name in (spec.name, spec.repository.rpartition("/")[2], spec.repository))
        folder = next((each for each in inner if each.is_dir()), source)
    names = choose(spec, sorted(path.name for path in folder.iterdir() if path.is_file()), str(folder))
    if locked := [name for name in names if not os.access(folder / name, os.R_OK)]:
        raise FileRefused(f"{folder / locked[0]} cannot be read", "correct its permissions")
    if read_marker(folder) is not None:
        # The copy would lack the mark and be taken for the real model.
        raise FileRefused(
            f"the weights in {folder} are synthetic: their answers mean nothing",
            "name another folder, or use `--weights synthetic`",
        )
    _refuse_damaged(folder, names)
    require_space(home, sum((folder / name).stat().st_size for name in names))
    with writable(home), staging_folder(home / "files") as copy:
        files = []
        for name in names:
            shutil.copyfile(folder / name, copy / name)
            # Hashing the copy also verifies that it was written correctly.
            found = measure(copy / name)
            files.append(
                FileEntry(path=name, size=found.size, sha256=found.sha256, fetched=True, mtime_ns=found.mtime_ns)
            )
        _refuse_damaged(copy, names)
        digest = hashlib.sha256("".join(f"{file.path}{file.sha256}" for file in files).encode()).hexdigest()[:12]
        # A folder of the same name holds the same content, unless it was damaged: it is replaced.
        put_in_place(copy, home / f"files-{digest}")
    return job.manifest(Origin.FOLDER, Root.STORE, f"{spec.name}/files-{digest}", files)


def import_weights(entry: TableEntry, source: Path, folder: Path) -> None:
    """Copy EasyOCR's weights from ``source`` (a folder with the file or its zip) into EasyOCR's ``folder``.

    Raises:
        RepositoryIncomplete: neither is there.
        imgtool.weights.errors.WrongHash: they are not those of EasyOCR's table.
        imgtool.errors.StoreNotWritable: ``folder`` cannot be written.
    """
    archive_name = entry.url.rpartition("/")[2]
    for place in (source, source / "model"):
        plain, archive = place / entry.filename, place / archive_name
        if plain.is_file():
            with plain.open("rb") as weights:
                return install(weights, entry, folder, str(plain))
        if archive.is_file():
            return unpack(archive, entry, folder, str(archive))
    raise RepositoryIncomplete(
        f"{source} has neither {entry.filename} nor {archive_name}",
        "give the folder that holds one of them with --from DIR",
    )


def _refuse_damaged(folder: Path, names: list[str]) -> None:
    for name in names:
        if name.endswith(".safetensors"):
            check_safetensors(folder / name, "copy it again from where it came")
