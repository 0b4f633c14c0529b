"""The directories of models: our store, the hub's cache and EasyOCR's directory, found as their libraries find them.

The hub's cache is read without its library, whose import takes 0.2 s: ``<cache>/models--Org--Name/refs/<revision>``
holds a commit, ``<cache>/models--Org--Name/snapshots/<commit>/`` the files.

Manifests keep paths relative to one of these directories, so that a cache filled in a Docker build works elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from imgtool.ground.home import expanded

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class Root(StrEnum):
    """The directory to which the paths of a manifest are relative."""

    STORE = "store"
    HUB = "hub"
    EASYOCR = "easyocr"


@dataclass(frozen=True)
class Places:
    """The three directories, which need not exist."""

    store: Path
    hub: Path
    easyocr: Path

    def folder(self, root: Root) -> Path:
        """The directory that ``root`` stands for."""
        return {Root.STORE: self.store, Root.HUB: self.hub, Root.EASYOCR: self.easyocr}[root]


def places(store: Path) -> Places:
    """The directories that the environment names."""
    return Places(store, hub_cache(os.environ), easyocr_folder(os.environ))


def hub_cache(environ: Mapping[str, str]) -> Path:
    """The hub's cache: ``HF_HUB_CACHE``, else ``hub`` in ``HF_HOME``, else in the user's cache directory."""
    explicit = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return _expand(explicit)
    home = environ.get("HF_HOME") or str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return _expand(home) / "hub"


def easyocr_folder(environ: Mapping[str, str]) -> Path:
    """EasyOCR's directory of weights: ``model`` in ``EASYOCR_MODULE_PATH``, ``MODULE_PATH`` or ``~/.EasyOCR``."""
    home = environ.get("EASYOCR_MODULE_PATH") or environ.get("MODULE_PATH") or "~/.EasyOCR"
    return _expand(home) / "model"


def is_repository_id(name: str) -> bool:
    """Whether ``name`` looks like ``Org/Name`` or ``Name``."""
    return bool(_REPOSITORY.match(name)) and ".." not in name and "--" not in name


def is_commit(revision: str) -> bool:
    """Whether ``revision`` is a whole commit, not the name of a branch or a tag."""
    return _COMMIT.match(revision) is not None


def repository_folder(repository: str) -> str:
    """The folder of ``repository`` in the hub's cache."""
    return f"models--{repository.replace('/', '--')}"


def find_snapshot(cache: Path, repository: str, revision: str | None = None) -> Path | None:
    """The folder in ``cache`` of ``revision`` (a branch, a tag or a full commit; default ``main``), or ``None``.

    It is named after the commit.
    """
    root = cache / repository_folder(repository)
    commit = name = revision or "main"
    if not is_commit(name):
        if name.startswith("/") or ".." in name.split("/"):
            return None
        try:
            commit = (root / "refs" / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
    folder = root / "snapshots" / commit
    return folder if is_commit(commit) and folder.is_dir() else None


def unfinished_downloads(cache: Path, repository: str, *, unique: bool = False) -> list[Path]:
    """What killed processes have left of their downloads of ``repository``; files that are being written are not in it.

    The hub's library writes ``blobs/<hash>.<8 hex>.incomplete`` (before version 2 ``<hash>.incomplete``) and holds the
    lock of the hash meanwhile. With ``unique`` only the former, which no later download takes up.
    """
    folder = repository_folder(repository)
    unfinished = sorted((cache / folder / "blobs").glob("*.*.incomplete" if unique else "*.incomplete"))
    if not unfinished:
        return []
    from filelock import FileLock, Timeout

    found = []
    for path in unfinished:
        lock = cache / ".locks" / folder / f"{path.name.partition('.')[0]}.lock"
        try:
            if lock.exists():
                FileLock(lock).acquire(timeout=0).lock.release()
        except (Timeout, OSError):
            continue
        found.append(path)
    return found


def _expand(text: str) -> Path:
    return expanded(os.path.expandvars(text)).absolute()
