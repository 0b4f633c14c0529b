"""Putting a compiled model in its place, and putting right what a kill left on the way there.

A folder that is there cannot be replaced in one step: it is moved aside, then the new one is moved in. Between the two
the one that was moved aside is the only whole copy, so its name tells it from unfinished ones.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from imgtool.artefacts.find import is_named_after
from imgtool.artefacts.manifest import NAME, ArtefactManifest, read_manifest
from imgtool.files import TEMPORARY, sync_folder
from imgtool.versioned import encode

FORMER = f"{TEMPORARY}former-"
"""In the name of a compiled model that was whole and made room for another one."""


def install(manifest: ArtefactManifest, staging: Path, target: Path) -> None:
    """Write ``manifest`` into ``staging``, flush it, and put that folder in the place of ``target``.

    Raises:
        OSError: the folder cannot be written; what was in the place of ``target`` is there again.
    """
    _complete(manifest, staging)
    former = target.with_name(f"{target.name}{FORMER}{os.urandom(6).hex()}")
    try:
        if target.exists():
            # Runs that have the old files open keep them.
            target.replace(former)
        staging.replace(target)
    except BaseException:
        with suppress(OSError):
            former.replace(target)
        raise
    sync_folder(target.parent)
    shutil.rmtree(former, ignore_errors=True)


def sweep(root: Path, stem: str) -> None:
    """Put right what compiles of the model called ``stem`` left that were killed; its lock must be held.

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


def _complete(manifest: ArtefactManifest, staging: Path) -> None:
    """Write ``manifest`` and flush all of ``staging``, so that a power cut after the move finds it whole."""
    temporary = staging / f"{NAME}{TEMPORARY}"
    with temporary.open("wb") as file:
        file.write(encode(manifest))
        file.flush()
        os.fsync(file.fileno())
    # Exporters and their libraries differ about who may read what they write; the runs of others must.
    for path in staging.rglob("*"):
        if path.is_file():
            path.chmod(temporary.stat().st_mode)
    temporary.replace(staging / NAME)
    for folder in {staging, *(path for path in staging.rglob("*") if path.is_dir())}:
        sync_folder(folder)
