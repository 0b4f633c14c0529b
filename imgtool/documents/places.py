"""Where the files about a document go, and how they are called."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from imgtool.engine.files.discover import SEARCHABLE
from imgtool.image_formats import IMAGE_SUFFIXES

# Paths are strings here: some names are no UTF-8.
# ruff: noqa: PTH100, PTH118, PTH120, PTH122, PTH208

_SUFFIXES = IMAGE_SUFFIXES | {".pdf"}


class Places:
    """Beside the document, or under ``folder``: there as the document lies in :attr:`root`, or as its path was named.

    The name is the document's without its suffix: ``scan.txt`` for ``scan.jpg``. Where another image in the folder has
    the same name but for the suffix, and where the suffix is none of an image, it is the whole name: ``scan.jpg.txt``.
    That depends on the folder alone, so that a later run finds the same names.
    """

    root: str | None = None
    """The folder that was named, where no other path was."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else os.fspath(folder.expanduser())
        self._listed = ""
        self._shared: frozenset[str] | None = None
        self.kept_suffix: list[str] = []
        """The first documents whose suffix was kept because of another one."""
        self.kept_suffixes = 0

    def of(self, path: str) -> str:
        """What the names of the files about the document at ``path`` begin with, with their folder."""
        folder, name = os.path.split(path)
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in _SUFFIXES:
            stem = name
        elif stem.casefold() in self._shared_in(folder):
            stem = name
            self.kept_suffixes += 1
            if len(self.kept_suffix) < 2:
                self.kept_suffix.append(name)
        if self._folder is None:
            return os.path.join(folder, stem)
        if self.root is not None and path.startswith(root := os.path.join(self.root, "")):
            below = os.path.dirname(path[len(root) :])
        elif ".." in folder.split("/"):
            below = os.path.abspath(folder)
        else:
            below = os.path.normpath(folder)
        return os.path.normpath(os.path.join(self._folder, below.lstrip("/"), stem))

    def _shared_in(self, folder: str) -> frozenset[str]:
        if self._shared is None or self._listed != folder:
            self._listed, self._shared = folder, _shared(os.listdir(folder or "."))
        return self._shared


def _shared(names: Iterable[str]) -> frozenset[str]:
    """What two images among ``names`` are called, but for the suffix; upper case counts as lower case.

    ``a.jpg.png`` shares its stem with the whole name of ``a.jpg``.
    """
    seen: set[str] = set()
    shared: set[str] = set()
    for name in map(str.casefold, names):
        stem, suffix = os.path.splitext(name)
        if (suffix and suffix not in _SUFFIXES) or name.endswith(SEARCHABLE):
            continue
        for called in {stem, name}:
            (shared if called in seen else seen).add(called)
    return frozenset(shared)
