"""Where models lie: our store, the hub's cache, EasyOCR's directory, each found as its owner finds it.

A manifest keeps paths relative to one of these, so that a cache baked in one place (a Docker build) is whole in
another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Root(str, Enum):
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


def _expand(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser().absolute()
