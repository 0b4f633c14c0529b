"""Synthetic weights as a model of the store.

They are made in a separate process, because that imports torch and takes much memory, and then moved into place.
"""

from __future__ import annotations

import subprocess
from importlib.util import find_spec

from imgtool.distribution import install_command
from imgtool.errors import ModelLoadFailed
from imgtool.files import put_in_place, require_space, staging_folder, writable
from imgtool.ground.fresh import python_calling
from imgtool.types import Task
from imgtool.weights.errors import LibraryMissing
from imgtool.weights.fetching.fetch_job import FetchJob, FetchOutcome
from imgtool.weights.hashing import measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin
from imgtool.weights.places import Root
from imgtool.weights.synthetic.marker import FILES, NAME
from imgtool.weights.synthetic.networks import make_blip, make_easyocr

_SIZES = {"full": "base", "small": "tiny"}
"""Scales and their names in :mod:`imgtool.weights.synthetic.networks`."""

_LIBRARIES = {Task.CAPTION: ("torch", "torchvision", "transformers"), Task.TEXT: ("torch", "torchvision", "easyocr")}


def from_synthetic(job: FetchJob) -> Manifest:
    """Make the weights of ``job``'s model; returns the manifest, not yet recorded.

    Raises:
        LibraryMissing: a library that defines the networks is not installed.
        ModelLoadFailed: making them failed.
        imgtool.errors.StoreNotWritable: the store cannot be written, or the disk has no room.
    """
    spec, home = job.spec, job.store.folder_of(job.spec.name)
    remedy = f"install the torch extra: `{install_command('torch')}`"
    if missing := [name for name in _LIBRARIES[spec.task] if find_spec(name) is None]:
        raise LibraryMissing(f"{' and '.join(missing)} not installed", remedy)
    size = _SIZES[spec.revision]
    require_space(home, spec.size_bytes)
    with writable(home), staging_folder(home / FILES) as made:
        if spec.languages:
            command = python_calling(make_easyocr, str(made), list(spec.languages), size)
        else:
            command = python_calling(make_blip, str(made), size)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        # The mark is one of the files: weights without it are not complete.
        if done.returncode or not (made / NAME).is_file():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            cause = lines[-1] if lines else f"exit status {done.returncode}"
            raise ModelLoadFailed(f"synthetic weights of {spec.name} could not be made: {cause}", remedy)
        files = []
        for path in sorted(made.iterdir()):
            found = measure(path)
            files.append(
                FileEntry(path=path.name, size=found.size, sha256=found.sha256, fetched=True, mtime_ns=found.mtime_ns)
            )
        put_in_place(made, home / FILES)
    job.outcome = FetchOutcome.MADE
    return job.manifest(Origin.SYNTHETIC, Root.STORE, f"{spec.name}/{FILES}", files)
