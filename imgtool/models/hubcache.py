"""Which commit of a repository the hub's cache holds, read from its layout without importing huggingface_hub (0.2 s).

``<cache>/models--Org--Name/refs/<revision>`` holds a commit, ``<cache>/models--Org--Name/snapshots/<commit>/`` the
files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from imgtool.models.places import hub_cache

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class Snapshot:
    """The files of one commit of a repository."""

    folder: Path
    commit: str


def is_repository_id(name: str) -> bool:
    """Whether ``name`` reads like ``Org/Name`` or ``Name``."""
    return bool(_REPOSITORY.match(name)) and ".." not in name and "--" not in name


def find_snapshot(repository: str, revision: str | None = None) -> Snapshot | None:
    """The snapshot of ``revision`` (a branch, a tag or a full commit; default ``main``), or ``None``."""
    root = hub_cache(os.environ) / f"models--{repository.replace('/', '--')}"
    wanted = revision or "main"
    commit = wanted if _COMMIT.match(wanted) else _read_ref(root / "refs", wanted)
    if commit is None:
        return None
    folder = root / "snapshots" / commit
    return Snapshot(folder, commit) if folder.is_dir() else None


def _read_ref(refs: Path, name: str) -> str | None:
    if name.startswith("/") or ".." in name.split("/"):
        return None
    try:
        commit = (refs / name).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.match(commit) else None
