"""Which files a job may name: those below the root, by whatever way a path leads there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from imgtool.engine.files.discover import Finder, Rules
from imgtool.service.problems import HttpProblem
from imgtool.types import Problem


class Root:
    """The folder of ``--root``. Paths of jobs are relative to it, or absolute ones inside it."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self._real = Path(os.path.realpath(folder.expanduser()))
        self._rules = rules

    def check(self, path: str) -> str:
        """A path that a client named, relative to the root.

        Raises:
            HttpProblem: it leads out, or is none.
        """
        if not path or "\0" in path or len(path) > 4096:
            raise HttpProblem("bad_parameter", f"{path[:80]!r} is no path", "name files and folders below the root")
        place = Path(path)
        if place.is_absolute():
            real = Path(os.path.realpath(place))
            place = real.relative_to(self._real) if real.is_relative_to(self._real) else place
        if place.is_absolute() or ".." in place.parts or not self._holds(self._real / place):
            text = f"{path[:200]!r} leads out of the folder that this service may read"
            raise HttpProblem("outside_root", text, "name files and folders below the root, without ..")
        return str(place)

    def find(self, paths: tuple[str, ...]) -> Iterator[str]:
        """The images under these paths, relative to the root; what is refused comes as well."""
        finder = Finder([self._real / path for path in paths], self._rules, lambda _: False)
        while (found := finder.next()) is not None:
            yield os.path.relpath(found.path, self._real)

    def resolve(self, name: str) -> str | Problem:
        """Where a file really lies, looked at just before it is read; or that this is outside."""
        real = os.path.realpath(self._real / name)
        if self._holds(Path(real)):
            return real
        return Problem("outside_root", "this leads out of the folder that the service may read", "put a copy inside")

    def _holds(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._real)
