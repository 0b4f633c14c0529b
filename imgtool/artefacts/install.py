"""Putting a compiled model in its place, and repairing what a killed compile left."""

from __future__ import annotations

import shutil
from pathlib import Path

from imgtool.artefacts.find import is_named_after
from imgtool.artefacts.manifest import NAME, ArtefactManifest, read_manifest
from imgtool.files import FORMER, TEMPORARY, put_in_place, replacing, sync_folder
from imgtool.ground.versioned import encode


def install(manifest: ArtefactManifest, staging: Path, target: Path) -> None:
    """Write ``manifest`` into ``staging``, flush it, and put that folder in the place of ``target``.

    Raises:
        OSError: the folder cannot be written; what was in the place of ``target`` is there again.
    """
    with replacing(staging / NAME) as file:
        file.write(encode(manifest))
    # Exporters and their libraries differ about who may read what they write; the runs of others must.
    mode = (staging / NAME).stat().st_mode
    for path in staging.rglob("*"):
        if path.is_file():
            path.chmod(mode)
        else:
            sync_folder(path)
    sync_folder(staging)
    put_in_place(staging, target)


def sweep(root: Path, stem: str) -> None:
    """Repair what killed compiles of the model called ``stem`` left: restore the former model, delete unfinished ones.

    The lock of the model must be held.

    Raises:
        OSError: ``root`` cannot be read or written.
    """
    for path in sorted(root.iterdir()):
        if TEMPORARY not in path.name or not is_named_after(stem, path.name):
            continue
        if is_only_copy(path):
            path.replace(_place_of(path))
        else:
            shutil.rmtree(path, ignore_errors=True)


def is_only_copy(path: Path) -> bool:
    """Whether ``path`` is a compiled model that was moved aside for one that never came."""
    if FORMER not in path.name or _place_of(path).exists():
        return False
    try:
        read_manifest(path)
    except (OSError, ValueError):
        return False
    return True


def _place_of(path: Path) -> Path:
    return path.with_name(path.name.partition(TEMPORARY)[0])
