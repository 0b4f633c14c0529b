"""Installs a compiled model, and cleans up after compiles that were killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from imgtool.artefacts.find import is_named_after
from imgtool.artefacts.manifest import NAME, ArtefactManifest, read_manifest
from imgtool.files import FORMER, TEMPORARY, put_in_place, replacing, sync_folder
from imgtool.ground.sealed import encode_sealed


def install(manifest: ArtefactManifest, staging: Path, target: Path) -> None:
    """Write ``manifest`` into ``staging``, flush everything, and replace ``target`` by that folder.

    Raises:
        OSError: the folder cannot be written; the former ``target`` was restored.
    """
    with replacing(staging / NAME) as file:
        file.write(encode_sealed(manifest))
    # Some libraries write files that only their owner may read; runs of other users must read them too.
    mode = (staging / NAME).stat().st_mode
    for path in staging.rglob("*"):
        if path.is_file():
            path.chmod(mode)
        else:
            sync_folder(path)
    sync_folder(staging)
    put_in_place(staging, target)


def sweep(root: Path, stem: str) -> None:
    """Clean up after killed compiles of the model called ``stem``: restore the former model, delete unfinished ones.

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
    """Whether ``path`` is a former compiled model whose replacement was never installed."""
    if FORMER not in path.name or _place_of(path).exists():
        return False
    try:
        read_manifest(path)
    except (OSError, ValueError):
        return False
    return True


def _place_of(path: Path) -> Path:
    return path.with_name(path.name.partition(TEMPORARY)[0])
