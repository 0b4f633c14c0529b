"""Where models lie: our store, the hub's cache, EasyOCR's directory, each found as its owner finds it.

The hub's cache is read by its layout, since importing its library takes a fifth of a second:
``<cache>/models--Org--Name/refs/<revision>`` holds a commit, ``<cache>/models--Org--Name/snapshots/<commit>/`` the
files.

A manifest keeps paths relative to one of these, so that a cache baked in one place (a Docker build) is whole in
another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class Root(StrEnum):
    """The directory that the paths of a manifest start from."""

    STORE = "store"
    HUB = "hub"
    EASYOCR = "easyocr"


@dataclass(frozen=True)
class Places:
    """The three directories; none of them needs to exist."""

    store: Path
    hub: Path
    easyocr: Path

    def folder(self, root: Root) -> Path:
        """The directory that ``root`` stands for."""
        return {Root.STORE: self.store, Root.HUB: self.hub, Root.EASYOCR: self.easyocr}[root]


def places(store: Path, environ: Mapping[str, str] | None = None) -> Places:
    """The directories that ``environ`` (the process's own by default) leads to."""
    environ = os.environ if environ is None else environ
    return Places(store, hub_cache(environ), easyocr_folder(environ))


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


@dataclass(frozen=True)
class Snapshot:
    """The files of one commit of a repository in the hub's cache."""

    folder: Path
    commit: str


def is_repository_id(name: str) -> bool:
    """Whether ``name`` reads like ``Org/Name`` or ``Name``."""
    return bool(_REPOSITORY.match(name)) and ".." not in name and "--" not in name


def is_commit(revision: str) -> bool:
    """Whether ``revision`` is a whole commit, not the name of a branch or a tag."""
    return _COMMIT.match(revision) is not None


def repository_folder(repository: str) -> str:
    """The folder of ``repository`` in the hub's cache."""
    return f"models--{repository.replace('/', '--')}"


def find_snapshot(cache: Path, repository: str, revision: str | None = None) -> Snapshot | None:
    """The snapshot of ``revision`` (a branch, a tag or a full commit; default ``main``) in ``cache``, or ``None``."""
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
    return Snapshot(folder, commit) if is_commit(commit) and folder.is_dir() else None


def _expand(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser().absolute()
