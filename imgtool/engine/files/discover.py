"""From what a person named (files, folders, globs) to a stream of image files.

The stream is lazy and its order is fixed: arguments as given, and in a folder files and subfolders as one sequence
sorted by code point (the byte order of UTF-8), a subfolder's content at the subfolder's place. What is held in
memory is one listing of names for each folder on the way down and one entry for each folder seen, not one for each
file; only files that were named one by one, or reached through a link, are remembered.

A file comes once. Arguments may overlap and links may lead anywhere: a file is known by its place (device and inode
of the folder that it really lies in, and its name). Hard links and copies lie in two places and come twice.

Nothing here raises because of a path: what cannot be looked at is a :class:`RefusedPath` in the stream. What is no path
at all raises.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct

from imgtool.engine.files import problems, words
from imgtool.engine.files.other_content import other_image
from imgtool.engine.files.selection import CACHE_TAG, CACHE_TAG_SIGNATURE, Position, Rules, Selection, is_glob
from imgtool.errors import SourceProblem
from imgtool.image_formats import IMAGE_SUFFIXES, read_head, sniff
from imgtool.types import Problem

# Paths are strings here: they are many, and some names are no UTF-8.
# ruff: noqa: PTH116, PTH118, PTH119, PTH122

__all__ = ["Finder", "ImageRef", "RefusedPath", "Rules", "TakenOver", "discover", "look_at_file"]

Answer = TypeVar("Answer")

_HINTS = 20
"""How many misspelt paths of a run get the nearest name: a list of a million stale paths must not take hours."""

_SUFFIX = 12
"""What is longer is hardly an extension."""

SEARCHABLE = ".ocr.pdf"
"""How the searchable PDF documents end that imgtool writes beside scans: a folder's are no input of the next run."""

NO_SUFFIX = "without extension"


class ImageRef(Struct, frozen=True):
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
    content: bytes | None = None
    """The file itself, where it has no place: one that was piped in."""
    is_settled: bool = True
    """Whether it was left alone for so long before it was hashed that its times tell of any later change."""


class RefusedPath(Struct, frozen=True):
    """A path that will not be looked at, and why."""

    path: str
    problem: Problem
    kind: str | None = None
    """The type of an image or document that cannot be read here: ``PSD``, ``SVG``, ``PDF``."""


Named = str | os.PathLike[str] | ImageRef | RefusedPath
"""What is named: a path, or what is known of a file already."""

_EVERYTHING = Rules()
_Visit = tuple[Selection, Position]


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
    finder = Finder(paths, rules, is_known_image)
    while (found := finder.next()) is not None:
        yield found


def look_at_file(
    path: str, is_known_image: Callable[[os.stat_result], bool] = lambda _: False
) -> ImageRef | RefusedPath:
    """The one image file at ``path``; what is no file is refused, too."""
    finder = Finder((), _EVERYTHING, is_known_image)
    try:
        return finder.judge(path, os.stat(path))
    except ValueError:
        return RefusedPath(path, problems.HOLDS_NUL if "\0" in path else problems.NOT_A_NAME)
    except OSError as error:
        return RefusedPath(path, finder.explain(error, path))


_FolderId = tuple[int, int]
"""Device and inode of a folder: what it is, not how it is called."""


class _Walk(Struct, eq=False):
    """One folder argument, or one ``glob`` with ``met`` telling whether anything matched."""

    selection: Selection
    glob: str | None = None
    met: bool = False


class _OpenFolder(Struct, eq=False):
    """A folder that is being walked: its names, how far the walk is, and where the globs stand in it."""

    prefix: str
    walk: _Walk
    position: Position
    place: _FolderId
    former: tuple[_Visit, ...]
    names: Iterator[str]
    not_plain: dict[str, bool]


class TakenOver(Exception):
    """Raised in a thread whose place another has taken, when the system answers it at last."""


class Finder:
    """:func:`discover`, an entry at a time, for several threads one after the other.

    A call to the system may not come back, as on a mount whose server is gone. Then ``waiting_since`` says so, and
    another thread may ``take_over``: what could not be looked at is refused, and the walk goes on behind it.
    """

    def __init__(
        self,
        paths: Iterable[Named],
        rules: Rules,
        is_known_image: Callable[[os.stat_result], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = iter(paths)
        self._words: deque[str] = deque()
        self._rules = rules
        self._selection = Selection(rules)
        self._is_known_image = is_known_image
        self._clock = clock
        self._folders: list[_OpenFolder] = []
        self._walked: dict[_FolderId, list[_Visit]] = {}
        self._single: dict[_FolderId, set[str]] = {}
        self._last_parent: tuple[str, _FolderId] | None = None
        self._hints_left = _HINTS
        self._owner = threading.get_ident()
        self._asking: tuple[str, float] | None = None
        self._in_index: os.stat_result | ImageRef | None = None
        self.passed_over: dict[str, int] = {}
        """How many files were met that cannot be read and are not called like an image, by type or extension."""

    @property
    def waiting_since(self) -> float | None:
        """When the call to the system began that is going on, on the clock; ``None`` where there is none."""
        asking = self._asking
        return None if asking is None else asking[1]

    def next(self) -> ImageRef | RefusedPath | None:
        """The next entry, or ``None`` when there are no more.

        Raises:
            TakenOver: another thread has taken this one's place meanwhile.
            SourceProblem: what was named is no path.
        """
        self._owner = threading.get_ident()
        return self._next()

    def now(self) -> float:
        """The time on the clock."""
        return self._clock()

    def take_over(self, give_up_index: Callable[[], None] = lambda: None) -> ImageRef | RefusedPath | None:
        """Refuse what another thread is waiting for, and go on in this one with ``next``. Where it is the index of
        known images that does not answer, that is given up, and the file is looked at without it."""
        asking, self._owner, self._asking = self._asking, threading.get_ident(), None
        if asking is None:
            return None
        if self._in_index is not None:
            give_up_index()
            self._is_known_image = lambda _: False
            found, self._in_index = self._in_index, None
            return found if isinstance(found, ImageRef) else self.judge(asking[0], found)
        text = f"the disk or network drive did not answer for {self._clock() - asking[1]:.0f} s"
        return RefusedPath(asking[0], Problem("unreadable", text, "check the disk or network drive that it is on"))

    def known(self, ref: ImageRef, look_up: Callable[[ImageRef], str | None]) -> str | None:
        """What the index says of an image that was found. Raises what :meth:`next` raises."""
        if ref.content is not None:
            return hashlib.sha256(ref.content).hexdigest()
        self._in_index = ref
        found = self._ask(lambda _: look_up(ref), ref.path)
        self._in_index = None
        return found

    def _next(self) -> ImageRef | RefusedPath | None:
        while True:
            if self._folders:
                found = self._step(self._folders[-1])
            else:
                try:
                    path: Any = self._words.popleft() if self._words else next(self._paths)
                except StopIteration:
                    return None
                if isinstance(path, ImageRef | RefusedPath):
                    return path
                if not isinstance(path, str | os.PathLike):
                    text = f"{path!r:.50} of type {type(path).__name__} is no path"
                    raise SourceProblem(text, "give paths as text or as Path; Engine.submit takes images")
                found = self._look_at(os.fsdecode(path))
            if found is not None:
                return found

    def _ask(self, call: Callable[..., Answer], path: str, *arguments: Any) -> Answer:
        """``call(path, *arguments)``, which asks the system."""
        self._asking = (path, self._clock())
        try:
            return call(path, *arguments)
        finally:
            if self._owner != threading.get_ident():
                raise TakenOver
            self._asking = None

    def _look_at(self, path: str) -> ImageRef | RefusedPath | None:
        """Begin with one argument."""
        try:
            found = self._ask(os.stat, path)
        except ValueError:
            return RefusedPath(path, problems.HOLDS_NUL if "\0" in path else problems.NOT_A_NAME)
        except OSError as error:
            return self._look_for(path, error)
        if stat.S_ISDIR(found.st_mode):
            return self._enter(path, _Walk(self._selection), self._selection.start, named=True)
        if self._selection.admits(self._selection.start, os.path.basename(path)):
            return self._take_single(path, found, named=True)
        return None

    def _look_for(self, path: str, error: OSError) -> RefusedPath | None:
        """An argument that the system does not know: a glob, a misspelt path."""
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        if missing and not self._ask(os.path.islink, path):
            if words.is_address(path):
                local = words.path_of_address(path)
                if local is None or not self._ask(os.path.lexists, local):
                    return RefusedPath(path, problems.address(path))
                found = [local]
            elif (real := self._ask(words.real_path, path)) != path:
                found = [real]
            else:
                found = words.expanded(path)
                if found == [path] and is_glob(path):
                    return self._expand(path)
                if found == [path] and self._ask(os.path.lexists, plain := words.unescaped(path)):
                    found = [plain]
            if found != [path]:
                self._words.extendleft(reversed(found))
                return None
        if missing and self._hints_left:
            self._hints_left -= 1
            return RefusedPath(path, self._ask(problems.misspelt, path))
        return RefusedPath(path, self.explain(error, path))

    def explain(self, error: OSError, path: str, *, folder: bool = False) -> Problem:
        """What the operating system said about ``path``, as a problem."""
        return self._ask(lambda path: problems.from_os_error(error, path, folder=folder), path)

    def _expand(self, word: str) -> RefusedPath | None:
        """A glob is a walk of the folder before its first wildcard that takes only what matches the rest; a part that
        exists as it is written is no wildcard."""
        parts = words.as_glob(word).split("/")
        depth = 0
        while depth < len(parts) - 1:
            if is_glob(parts[depth]) and not self._ask(os.path.lexists, "/".join(parts[: depth + 1])):
                break
            depth += 1
        root = ("/".join(parts[:depth]) or "/") if depth else ""
        walk = _Walk(Selection(self._rules, "/".join(parts[depth:])), word)
        if self._ask(os.path.isdir, root or "."):
            refused = self._enter(root, walk, walk.selection.start, named=True)
            # Nothing was entered where it was walked before.
            return refused if refused is not None or self._folders else self._unmet(walk)
        return self._unmet(walk)

    @staticmethod
    def _unmet(walk: _Walk) -> RefusedPath | None:
        if walk.glob is None or walk.met:
            return None
        return RefusedPath(walk.glob, problems.no_match(walk.glob))

    def _enter(self, path: str, walk: _Walk, position: Position, *, named: bool = False) -> RefusedPath | None:
        """Begin to walk a folder, unless it was walked before."""
        try:
            place = self._ask(_folder_id, path)
            former = tuple(self._walked.get(place, ()))
            visit = (walk.selection, position)
            if visit in former:
                return None
            names, not_plain = self._ask(_list, path)
        except OSError as error:
            walk.met = True
            return RefusedPath(path, self.explain(error, path, folder=True))
        prefix = os.path.join(path, "")
        if not named and CACHE_TAG in names:
            with suppress(OSError):
                if self._ask(read_head, prefix + CACHE_TAG).startswith(CACHE_TAG_SIGNATURE):
                    return None
        self._walked.setdefault(place, []).append(visit)
        self._folders.append(_OpenFolder(prefix, walk, position, place, former, iter(names), not_plain))
        return None

    def _step(self, folder: _OpenFolder) -> ImageRef | RefusedPath | None:
        """The next image of a folder, in order; a subfolder is entered at its place."""
        selection, position, walk = folder.walk.selection, folder.position, folder.walk
        for name in folder.names:
            found: ImageRef | RefusedPath | None = None
            if name in folder.not_plain:
                depth = len(self._folders)
                found = self._follow(folder, name, is_folder=folder.not_plain[name])
                if len(self._folders) > depth:
                    return found
            elif selection.takes(position, name):
                walk.met = True
                if name.lower().endswith(SEARCHABLE):
                    self._pass_over(SEARCHABLE)
                elif not self._came_before(folder.place, name, folder.former):
                    found = self._take(folder.prefix + name, name)
            if found is not None:
                return found
        self._folders.pop()
        return None if self._folders else self._unmet(walk)

    def _follow(self, folder: _OpenFolder, name: str, *, is_folder: bool) -> ImageRef | RefusedPath | None:
        """What a folder holds besides plain files: folders, links, pipes, sockets, devices."""
        walk, position, path = folder.walk, folder.position, folder.prefix + name
        found: os.stat_result | None = None
        try:
            found = self._ask(os.stat, path)
        except OSError as error:
            # Images may lie behind it, so its name does not have to say so.
            if is_folder or (isinstance(error, PermissionError) and self._ask(os.path.islink, path)):
                unseen = walk.selection.enter(position, name) is None
                return None if unseen else RefusedPath(path, self.explain(error, path, folder=True))
        if found is not None and stat.S_ISDIR(found.st_mode):
            below = walk.selection.enter(position, name)
            if below is None:
                return None
            walk.met |= walk.selection.met(below)
            return self._enter(path, walk, below)
        if not walk.selection.takes(position, name):
            return None
        walk.met = True
        if found is not None and self._ask(os.path.islink, path):
            return self._take_single(path, found, named=False)
        return self._take(path, name)

    def _came_before(self, place: _FolderId, name: str, visits: Iterable[_Visit]) -> bool:
        """Whether the file ``name`` in the folder ``place`` was named, or is in what one of ``visits`` takes."""
        single = self._single.get(place)
        if single is not None and name in single:
            return True
        return any(selection.takes(position, name) for selection, position in visits)

    def _take(self, path: str, name: str) -> ImageRef | RefusedPath | None:
        """What a walk met, if it is to be reported."""
        try:
            judged = self.judge(path, self._ask(os.stat, path))
        except OSError as error:
            judged = RefusedPath(path, self.explain(error, path))
        if isinstance(judged, ImageRef) or _is_reported(judged, name):
            return judged
        self._pass_over(judged.kind or _kind(name))
        return None

    def _pass_over(self, kind: str) -> None:
        self.passed_over[kind] = self.passed_over.get(kind, 0) + 1

    def _take_single(self, path: str, found: os.stat_result, *, named: bool) -> ImageRef | RefusedPath | None:
        """A file that was named or that a link leads to: its place is looked up, and remembered."""
        try:
            real = self._ask(os.path.realpath, path) if self._ask(os.path.islink, path) else path
            parent, name = os.path.split(real)
            # Lists mostly go folder by folder: the last is kept.
            if self._last_parent is None or self._last_parent[0] != parent:
                self._last_parent = (parent, self._ask(_folder_id, parent))
            place = self._last_parent[1]
        except OSError as error:
            return RefusedPath(path, self.explain(error, path))
        if name in self._single.get(place, ()):
            return None
        judged = self.judge(path, found)
        # A walk skips what it does not report: such a file was not reported before, even where a walk came by.
        if _is_reported(judged, name):
            if self._came_before(place, name, self._walked.get(place, ())):
                return None
        elif not named and isinstance(judged, RefusedPath) and not _is_reported(judged, path):
            self._pass_over(judged.kind or _kind(path))
            return None
        self._single.setdefault(place, set()).add(name)
        return judged

    def judge(self, path: str, found: os.stat_result) -> ImageRef | RefusedPath:
        """The file at ``path``, which has the stat result ``found``: an image, or why not."""
        refused = self._refused(path, found)
        if refused is not None:
            return refused
        return ImageRef(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)

    def _refused(self, path: str, found: os.stat_result) -> RefusedPath | None:
        if not stat.S_ISREG(found.st_mode):
            return RefusedPath(path, problems.not_a_file(found.st_mode))
        if found.st_size == 0:
            return RefusedPath(path, problems.EMPTY)
        self._in_index = found
        known = self._ask(lambda _: self._is_known_image(found), path)
        self._in_index = None
        if known:
            return None
        try:
            head = self._ask(read_head, path)
        except OSError as error:
            return RefusedPath(path, self.explain(error, path))
        problem = problems.with_content(head)
        return None if problem is None else RefusedPath(path, problem, sniff(head) or other_image(head))


def _kind(name: str) -> str:
    """The extension by which a file is counted."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= _SUFFIX else NO_SUFFIX


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
    if isinstance(judged, ImageRef) or judged.problem.code in ("heif_extra_missing", "jxl_extra_missing"):
        return True
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
