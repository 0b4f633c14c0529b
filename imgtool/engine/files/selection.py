"""Which names of a folder tree are looked at: ``--include``, ``--exclude``, hidden names and caches.

The globs are those of a gitignore file, matched against paths relative to the folder that is walked:

- ``*.jpg`` (no slash): that name at any depth. ``/*.jpg`` or ``raw/*.jpg`` (a slash): from the walked folder on.
- ``*``, ``?``, ``[abc]``, ``[!abc]`` stay within one name; ``**`` as a whole part stands for any number of folders.
- ``raw/`` (a slash at the end) is a folder. A glob that matches a folder matches everything in it.
- Case counts. ``[*]`` is a literal star; there is neither a backslash escape nor a negation with ``!``.

All globs of a set are compiled into one automaton that is fed a name at a time, so a walk knows at each folder
whether anything below can still match and does not enter it otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Final, NamedTuple

from msgspec import Struct

State = frozenset[int]
"""Where the globs of a set stand after some names; empty when none can match any more."""

_MATCHED: Final = 0

_CACHE_FOLDERS = frozenset(
    {
        *("__pycache__", "node_modules", "__MACOSX", "lost+found", "System Volume Information", "$RECYCLE.BIN"),
        *("@eaDir", "#recycle", "@Recycle", "@Recently-Snapshot"),
        *(".git", ".hg", ".svn", ".cache", ".thumbnails", ".Trash", ".Trashes", ".fseventsd", ".Spotlight-V100"),
    }
)
_CACHE_FOLDER_SUFFIX = ".lrdata"
_CACHE_FILES = frozenset({"Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store"})

CACHE_TAG = "CACHEDIR.TAG"
CACHE_TAG_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""How the file ``CACHEDIR.TAG`` must begin for its folder to be a cache (Cache Directory Tagging Specification)."""


class Rules(Struct, frozen=True):
    """Which names of a folder tree are looked at; the globs are described at the top of this module.

    With ``include`` only what matches one of its globs is taken; ``exclude`` goes before ``include``. Names that
    begin with a dot are passed over unless ``hidden``, caches (``__pycache__``, ``@eaDir``, ...) always.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False


class _Node(NamedTuple):
    """A part of a glob: ``matches`` is ``None`` for ``**``; ``after`` is the node that follows."""

    matches: Callable[[str], object] | None
    after: int
    folder_only: bool


class GlobSet:
    """Several globs matched together, a name at a time."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._nodes = [_Node(None, _MATCHED, False)]  # node 0 is never left: a match holds for all that is below
        self.start: State = self._closure(self._add(glob) for glob in globs)

    def _add(self, glob: str) -> int:
        parts = _parts(glob)
        if not parts:
            return _MATCHED
        first = len(self._nodes)
        for position, part in enumerate(parts):
            last = position == len(parts) - 1
            matches = None if part == "**" else re.compile(translate(part)).match
            self._nodes.append(_Node(matches, _MATCHED if last else len(self._nodes) + 1, last and glob.endswith("/")))
        return first

    def _closure(self, nodes: Iterable[int]) -> State:
        """``**`` may also stand for no folder at all."""
        reached = set(nodes)
        reached.update([self._nodes[node].after for node in reached if self._nodes[node].matches is None])
        return frozenset(reached)

    def step(self, state: State, name: str, *, folder: bool) -> State:
        """The state after one more name on the way down."""
        if not state or _MATCHED in state:
            return state
        reached = []
        for node in state:
            matches, after, folder_only = self._nodes[node]
            if matches is None:
                reached.append(node)
            elif (folder or not folder_only) and matches(name):
                reached.append(after)
        return self._closure(reached)


def _parts(glob: str) -> list[str]:
    """The names of a glob, written so that it always starts at the walked folder and ends with a name."""
    anchored = "/" in glob.rstrip("/")
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if parts and not anchored:
        parts.insert(0, "**")
    if parts and parts[-1] == "**":
        parts.append("*")
    return [part for index, part in enumerate(parts) if part != "**" or parts[index - 1 : index] != ["**"]]


class Position(NamedTuple):
    """What the globs of a :class:`Selection` say of one folder."""

    include: State
    exclude: State
    glob: State


class Selection:
    """The rules, and with ``glob`` also that one glob, as a walk asks them: may I enter, do I take."""

    def __init__(self, rules: Rules, glob: str | None = None) -> None:
        # "/" is the walked folder itself, so all that is in it.
        self._include = GlobSet([glob for glob in rules.include if glob] or ["/"])
        self._exclude = GlobSet([glob for glob in rules.exclude if glob])
        self._glob = GlobSet(["/" if glob is None else f"/{glob}"])
        # As in a shell, a glob that spells out a leading dot means hidden names.
        self._hidden = rules.hidden or any(part[:1] == "." != part for part in (glob or "").split("/"))
        self._filters = bool(rules.include or rules.exclude or glob)
        self.start = Position(self._include.start, self._exclude.start, self._glob.start)

    def _step(self, position: Position, name: str, folder: bool) -> Position:
        return Position(
            self._include.step(position.include, name, folder=folder),
            self._exclude.step(position.exclude, name, folder=folder),
            self._glob.step(position.glob, name, folder=folder),
        )

    def enter(self, position: Position, name: str) -> Position | None:
        """Where the globs stand in the folder ``name`` below ``position``; ``None`` where nothing in it is wanted."""
        if name in _CACHE_FOLDERS or name.endswith(_CACHE_FOLDER_SUFFIX) or not self._visible(name):
            return None
        if not self._filters:
            return position
        below = self._step(position, name, folder=True)
        return below if below.include and below.glob and _MATCHED not in below.exclude else None

    def takes(self, position: Position, name: str) -> bool:
        """Whether the file ``name`` in the folder at ``position`` is wanted."""
        return self._visible(name) and name not in _CACHE_FILES and self.admits(position, name)

    def admits(self, position: Position, name: str) -> bool:
        """Whether the globs alone want the file ``name``: what is asked of a file that was named, hidden or not."""
        if not self._filters:
            return True
        after = self._step(position, name, folder=False)
        return _MATCHED in after.include and _MATCHED in after.glob and _MATCHED not in after.exclude

    def _visible(self, name: str) -> bool:
        return self._hidden or not name.startswith(".")

    def met(self, position: Position) -> bool:
        """Whether the folder at ``position`` itself is what the glob asked for."""
        return _MATCHED in position.glob


_MAGIC = re.compile(r"[*?\[]")


def is_glob(text: str) -> bool:
    """Whether ``text`` holds a character that globs give a meaning to."""
    return _MAGIC.search(text) is not None
