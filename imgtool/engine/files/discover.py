"""From what a person named (files, folders, globs) to a stream of image files.

The stream is lazy and its order is fixed: arguments as given, and in a folder files and subfolders as one sequence
sorted by code point (the byte order of UTF-8), a subfolder's content at the subfolder's place. What is held in
memory is one listing of names for each folder on the way down and one entry for each folder seen, not one for each
file; only files that were named one by one, or reached through a link, are remembered.

A file comes once. Arguments may overlap and links may lead anywhere: a file is known by its place (device and inode
of the folder that it really lies in, and its name). Hard links and copies lie in two places and come twice.

Nothing here raises because of a path: what cannot be looked at is a :class:`RefusedPath` in the stream.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from imgtool.engine.files import problems
from imgtool.engine.files.selection import CACHE_TAG, CACHE_TAG_SIGNATURE, Position, Rules, Selection, is_glob
from imgtool.image_formats import IMAGE_SUFFIXES, read_head, sniff
from imgtool.types import Problem

# Paths are strings here: they are many, and some names are no UTF-8.
# ruff: noqa: PTH112, PTH114, PTH116, PTH118, PTH119, PTH122

__all__ = ["ImageRef", "RefusedPath", "Rules", "discover"]

_HINTS = 20
"""How many misspelt paths of a run get the nearest name: a list of a million stale paths must not take hours."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image file as it was found. ``size`` is bytes, the times are nanoseconds since 1970.

    ``path`` is as it was named, or joined to the folder as it was named; bytes of a name that are no UTF-8 are
    surrogates, as ``os.fsdecode`` makes them.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class RefusedPath:
    """A path that will not be looked at, and why."""

    path: str
    problem: Problem


_EVERYTHING = Rules()


def discover(
    paths: Iterable[str | os.PathLike[str]],
    rules: Rules = _EVERYTHING,
    is_known_image: Callable[[os.stat_result], bool] = lambda _: False,
) -> Iterator[ImageRef | RefusedPath]:
    """The images under ``paths``: files, folders (walked to the bottom, links followed) and globs.

    A named file comes whatever it is called, or is refused; so is a folder that may not be opened. A file that is
    found in a folder or by a glob and is no image is passed over, unless it has an image's extension: then it is
    refused. The globs of ``rules`` apply to a named file's own name, its rule about hidden names does not.
    Where ``is_known_image`` says of a stat result that this very file is known to be an image, it is not opened.
    """
    finder = _Finder(rules, is_known_image)
    for path in paths:
        yield from finder.look_at(os.fspath(path))


_FolderId = tuple[int, int]
"""Device and inode of a folder: what it is, not how it is called."""


@dataclass
class _Walk:
    """One folder argument, or one glob with ``met`` telling whether anything matched."""

    selection: Selection
    met: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to be walked; ``position`` is where the globs stand in it."""

    path: str
    walk: _Walk
    position: Position
    named: bool = False


class _Finder:
    """One run of :func:`discover`: what was walked and what was named so far."""

    def __init__(self, rules: Rules, is_known_image: Callable[[os.stat_result], bool]) -> None:
        self._rules = rules
        self._selection = Selection(rules)
        self._is_known_image = is_known_image
        self._walked: dict[_FolderId, list[tuple[Selection, Position]]] = {}
        self._single: dict[_FolderId, set[str]] = {}
        self._last_parent: tuple[str, _FolderId] | None = None
        self._hints_left = _HINTS

    def look_at(self, path: str) -> Iterator[ImageRef | RefusedPath]:
        """What one argument yields."""
        try:
            found = os.stat(path)
        except ValueError:
            yield RefusedPath(path, problems.HOLDS_NUL if "\0" in path else problems.NOT_A_NAME)
        except OSError as error:
            if is_glob(path) and isinstance(error, FileNotFoundError | NotADirectoryError) and not os.path.islink(path):
                yield from self._expand(path)
            else:
                hint = self._hints_left > 0 and isinstance(error, FileNotFoundError | NotADirectoryError)
                self._hints_left -= hint
                yield RefusedPath(path, problems.misspelt(path) if hint else problems.from_os_error(error, path))
        else:
            if stat.S_ISDIR(found.st_mode):
                yield from self._walk(_Folder(path, _Walk(self._selection), self._selection.start, named=True))
            elif self._selection.admits(self._selection.start, os.path.basename(path)):
                single = self._take_single(path, found, named=True)
                if single is not None:
                    yield single

    def _expand(self, glob: str) -> Iterator[ImageRef | RefusedPath]:
        """A glob is a walk of the folder before its first wildcard that takes only what matches the rest; a part that
        exists as it is written is no wildcard."""
        parts = glob.split("/")
        depth = 0
        while depth < len(parts) - 1 and (not is_glob(parts[depth]) or os.path.lexists("/".join(parts[: depth + 1]))):
            depth += 1
        root = ("/".join(parts[:depth]) or "/") if depth else ""
        walk = _Walk(Selection(self._rules, "/".join(parts[depth:])))
        if os.path.isdir(root or "."):
            yield from self._walk(_Folder(root, walk, walk.selection.start, named=True))
        if not walk.met:
            yield RefusedPath(glob, problems.no_match(glob))

    def _walk(self, root: _Folder) -> Iterator[ImageRef | RefusedPath]:
        # A stack of its own: the deepest tree that paths can name is deeper than Python's recursion.
        open_folders = [self._entries(root)]
        while open_folders:
            item = next(open_folders[-1], None)
            if item is None:
                open_folders.pop()
            elif isinstance(item, _Folder):
                open_folders.append(self._entries(item))
            else:
                yield item

    def _entries(self, folder: _Folder) -> Iterator[ImageRef | RefusedPath | _Folder]:
        """The images of ``folder`` and its subfolders, in order."""
        try:
            place = _folder_id(folder.path)
            visit = (folder.walk.selection, folder.position)
            former = tuple(self._walked.get(place, ()))
            if visit in former:
                return
            names, not_plain = _list(folder.path)
        except OSError as error:
            folder.walk.met = True
            yield RefusedPath(folder.path, problems.from_os_error(error, folder.path, folder=True))
            return
        prefix = os.path.join(folder.path, "")
        if not folder.named and CACHE_TAG in names:
            with suppress(OSError):
                if read_head(prefix + CACHE_TAG).startswith(CACHE_TAG_SIGNATURE):
                    return
        self._walked.setdefault(place, []).append(visit)
        selection, position = visit
        for name in names:
            item: ImageRef | RefusedPath | _Folder | None = None
            if name in not_plain:
                item = self._follow(folder, prefix + name, name, is_folder=not_plain[name])
            elif selection.takes(position, name):
                folder.walk.met = True
                if not self._came_before(place, name, former):
                    item = self._take(prefix + name, name)
            if item is not None:
                yield item

    def _follow(
        self, folder: _Folder, path: str, name: str, *, is_folder: bool
    ) -> ImageRef | RefusedPath | _Folder | None:
        """What a folder holds besides plain files: folders, links, pipes, sockets, devices."""
        selection, position = folder.walk.selection, folder.position
        found: os.stat_result | None = None
        try:
            found = os.stat(path)
        except OSError as error:
            # Images may lie behind it, so its name does not have to say so.
            if is_folder or (isinstance(error, PermissionError) and os.path.islink(path)):
                unseen = selection.enter(position, name) is None
                return None if unseen else RefusedPath(path, problems.from_os_error(error, path, folder=True))
        if found is not None and stat.S_ISDIR(found.st_mode):
            below = selection.enter(position, name)
            if below is None:
                return None
            folder.walk.met |= selection.met(below)
            return _Folder(path, folder.walk, below)
        if not selection.takes(position, name):
            return None
        folder.walk.met = True
        if found is not None and os.path.islink(path):
            return self._take_single(path, found, named=False)
        return self._take(path, name)

    def _came_before(self, place: _FolderId, name: str, visits: Iterable[tuple[Selection, Position]]) -> bool:
        """Whether the file ``name`` in the folder ``place`` was named, or is in what one of ``visits`` takes."""
        single = self._single.get(place)
        if single is not None and name in single:
            return True
        return any(selection.takes(position, name) for selection, position in visits)

    def _take(self, path: str, name: str) -> ImageRef | RefusedPath | None:
        """What a walk met, if it is to be reported."""
        try:
            judged = self._judge(path, os.stat(path))
        except OSError as error:
            judged = RefusedPath(path, problems.from_os_error(error, path))
        return judged if _is_reported(judged, name) else None

    def _take_single(self, path: str, found: os.stat_result, *, named: bool) -> ImageRef | RefusedPath | None:
        """A file that was named or that a link leads to: its place is looked up, and remembered."""
        try:
            place, name = self._where(path)
        except OSError as error:
            return RefusedPath(path, problems.from_os_error(error, path))
        if name in self._single.get(place, ()):
            return None
        judged = self._judge(path, found)
        # A walk skips what it does not report: such a file was not reported before, even where a walk came by.
        if _is_reported(judged, name):
            if self._came_before(place, name, self._walked.get(place, ())):
                return None
        elif not named and not _is_reported(judged, path):
            return None
        self._single.setdefault(place, set()).add(name)
        return judged

    def _where(self, path: str) -> tuple[_FolderId, str]:
        """The folder and the name of a file behind all links. Lists mostly go folder by folder: the last is kept."""
        real = os.path.realpath(path) if os.path.islink(path) else path
        parent, name = os.path.split(real)
        if self._last_parent is None or self._last_parent[0] != parent:
            self._last_parent = (parent, _folder_id(parent))
        return self._last_parent[1], name

    def _judge(self, path: str, found: os.stat_result) -> ImageRef | RefusedPath:
        problem = self._problem_with(path, found)
        if problem is not None:
            return RefusedPath(path, problem)
        return ImageRef(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)

    def _problem_with(self, path: str, found: os.stat_result) -> Problem | None:
        if not stat.S_ISREG(found.st_mode):
            return problems.not_a_file(found.st_mode)
        if found.st_size == 0:
            return problems.EMPTY
        if self._is_known_image(found):
            return None
        try:
            head = read_head(path)
        except OSError as error:
            return problems.from_os_error(error, path)
        kind = sniff(head)
        if kind is None:
            return problems.not_an_image(head)
        return problems.heif_extra_missing() if kind == "HEIF" and not self._heif_readable else None

    @cached_property
    def _heif_readable(self) -> bool:
        return find_spec("pillow_heif") is not None


def _folder_id(folder: str) -> _FolderId:
    found = os.stat(folder or ".")
    return found.st_dev, found.st_ino


def _list(folder: str) -> tuple[list[str], dict[str, bool]]:
    """The sorted names in ``folder``, and those of them that are not plain files: ``True`` for a folder.

    Names and no entry objects: a folder of a million files then takes 70 MB and not 270.
    """
    names: list[str] = []
    not_plain: dict[str, bool] = {}
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            names.append(entry.name)
            if not entry.is_file(follow_symlinks=False):
                not_plain[entry.name] = entry.is_dir(follow_symlinks=False)
    names.sort()
    return names, not_plain


def _is_reported(judged: ImageRef | RefusedPath, name: str) -> bool:
    """Whether a file that was only met on the way is reported: when it is an image or is called like one."""
    if isinstance(judged, ImageRef) or judged.problem.code == "heif_extra_missing":
        return True
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
