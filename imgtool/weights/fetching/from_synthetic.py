"""Synthetic weights as a model of the store: made in a process of their own, marked, renamed into place whole.

A process of its own, because making them imports torch and fills memory, and who asked wants neither.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from imgtool.distribution import install_command
from imgtool.errors import ModelLoadFailed
from imgtool.files import TEMPORARY, require_space, sync_folder, writable
from imgtool.types import Task
from imgtool.weights.errors import LibraryMissing
from imgtool.weights.fetching.job import Job, Outcome
from imgtool.weights.hashing import measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin, now
from imgtool.weights.marker import FILES, NAME, read_marker
from imgtool.weights.places import Root

_SIZES = {"full": "base", "small": "tiny"}
"""What a scale is called in :mod:`imgtool.weights.synthetic.networks`."""

_LIBRARIES = {
    Task.CAPTION: ("torch", "torchvision", "transformers"),
    Task.TEXT: ("torch", "torchvision", "easyocr"),
}
_PROGRAM = """
import sys
sys.path[0] = sys.argv[1]
from imgtool.weights.synthetic.networks import make_blip, make_easyocr
from pathlib import Path
folder, size, languages = Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
make_easyocr(folder, languages, size) if languages else make_blip(folder, size)
"""


def _remedy() -> str:
    return f"install the torch extra: `{install_command('torch')}`"


def from_synthetic(job: Job) -> Manifest:
    """Make the weights of ``job``'s model anew; the manifest, not yet recorded.

    Raises:
        LibraryMissing: a library that defines the networks is not installed.
        ModelLoadFailed: making them failed.
        imgtool.errors.StoreNotWritable: the store cannot be written, or the disk has no room.
    """
    spec, store = job.spec, job.store
    missing = [name for name in _LIBRARIES[spec.task] if find_spec(name) is None]
    if missing:
        raise LibraryMissing(f"{' and '.join(missing)} not installed", _remedy())
    size = _SIZES[spec.revision]
    home = store.folder_of(spec.name)
    require_space(home, spec.size_bytes)
    made, target = home / f"{FILES}{TEMPORARY}{os.urandom(6).hex()}", home / FILES
    with writable(home):
        made.mkdir(parents=True)
        try:
            _make(job, made, size)
            files = tuple(_entry(path) for path in sorted(made.iterdir()))
            # The mark is one of the files: weights without it are not complete.
            assert read_marker(made) is not None
            shutil.rmtree(target, ignore_errors=True)
            made.replace(target)
            sync_folder(home)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    job.outcome = Outcome.MADE
    return Manifest(
        name=spec.name,
        origin=Origin.SYNTHETIC,
        repository=spec.repository,
        revision=spec.revision,
        created=now(),
        root=Root.STORE,
        base=f"{spec.name}/{FILES}",
        files=files,
        licence=spec.licence,
    )


def _make(job: Job, folder: Path, size: str) -> None:
    package_parent = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", _PROGRAM, package_parent, str(folder), size, *job.spec.languages]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode or not (folder / NAME).is_file():
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        cause = lines[-1] if lines else f"exit status {done.returncode}"
        raise ModelLoadFailed(f"synthetic weights of {job.spec.name} could not be made: {cause}", _remedy())


def _entry(path: Path) -> FileEntry:
    found = measure(path)
    return FileEntry(path=path.name, size=found.size, sha256=found.sha256, fetched=True)
