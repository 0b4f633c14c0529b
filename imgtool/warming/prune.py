"""Making room: a plan of what goes and how much that frees, shown first, then executed.

Only what imgtool fetched is removed. In the hub's cache a content that another snapshot links to stays: the cache is
shared with other programs.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgtool.files import SET_ASIDE, TEMPORARY, writable
from imgtool.weights.manifest import Manifest
from imgtool.weights.places import Root
from imgtool.weights.store import MANIFEST, ModelStore

STALE_SECONDS = 24 * 3600.0
"""An unfinished file that nobody wrote to for so long belongs to a process that died."""


@dataclass(frozen=True)
class Removal:
    """One thing that goes: why, whose, the paths, and the bytes that this frees."""

    model: str
    reason: str
    paths: tuple[Path, ...]
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """What pruning would remove, and the bytes of all models before and after it.

    ``over_bytes`` is by how much the rest is still larger than the limit (0 where there is none, or it is kept).
    """

    removals: tuple[Removal, ...]
    before_bytes: int
    max_size: int | None

    @property
    def size_bytes(self) -> int:
        """The bytes that are freed."""
        return sum(one.size_bytes for one in self.removals)

    @property
    def after_bytes(self) -> int:
        """The bytes that remain."""
        return self.before_bytes - self.size_bytes

    @property
    def over_bytes(self) -> int:
        """By how many bytes the limit is still exceeded."""
        return 0 if self.max_size is None else max(0, self.after_bytes - self.max_size)

    def execute(self, store: ModelStore) -> int:
        """Remove what is planned, each model under its lock; returns the bytes that were freed.

        Raises:
            imgtool.weights.errors.FetchBusy: a model is being fetched or compiled.
            imgtool.errors.StoreNotWritable: something may not be removed.
        """
        for removal in self.removals:
            with store.lock(removal.model, timeout=60.0), writable(store.root):
                for path in removal.paths:
                    _remove(path)
        return self.size_bytes


def plan_prune(store: ModelStore, max_size: int | None = None, *, keep_current: bool = True) -> Plan:
    """What to remove so that all models together take at most ``max_size`` bytes.

    Leftovers and damaged files always go. Without ``max_size`` all former versions go; with it, only as many as
    needed, the oldest first. ``keep_current=False`` lets models in use go too, the oldest first.
    """
    inventory = _Inventory(store)
    removals = list(_leftovers(store, inventory))
    total = inventory.total + sum(one.size_bytes for one in removals)
    rest = inventory.total
    for version in inventory.candidates(keep_current):
        if rest > max_size if max_size is not None else not version.current:
            removals.append(inventory.removal(version))
            rest -= removals[-1].size_bytes
    return Plan(tuple(removals), total, max_size)


def usage(store: ModelStore) -> dict[str, int]:
    """Bytes on disk of every model, former versions included; a content that two share counts once, for the first."""
    sizes: dict[str, int] = {}
    seen: set[Path] = set()
    for version in _Inventory(store).versions:
        contents = set(version.links.values()) - seen
        seen |= contents
        sizes[version.name] = sizes.get(version.name, 0) + sum(map(size_of, contents))
    return sizes


@dataclass(frozen=True)
class _Version:
    """A version of a model. ``links`` leads from each path to the file behind it; ``fetched`` are those of ours."""

    name: str
    file: Path
    manifest: Manifest
    links: dict[Path, Path]
    fetched: frozenset[Path]

    @property
    def current(self) -> bool:
        return self.file.name == MANIFEST


class _Inventory:
    """Every version of every model, and how many of them still need each path and each content."""

    def __init__(self, store: ModelStore) -> None:
        self.versions = list(_versions(store))
        self.users = Counter(content for version in self.versions for content in set(version.links.values()))
        self.link_users = Counter(link for version in self.versions for link in version.links)
        self.going: set[Path] = set()

    @property
    def total(self) -> int:
        return sum(map(size_of, self.users))

    def candidates(self, keep_current: bool) -> list[_Version]:
        """What could go, in that order: former versions, oldest first, then current ones where they may."""
        rows = [version for version in self.versions if not (version.current and keep_current)]
        return sorted(rows, key=lambda version: (version.current, version.manifest.created))

    def removal(self, version: _Version) -> Removal:
        """``version`` as a removal: its manifest first, so that what is half removed is not taken for whole."""
        self.users.subtract(set(version.links.values()))
        self.link_users.subtract(version.links.keys())
        paths = [version.file]
        links = {link for link in version.fetched if self.link_users[link] == 0}
        self.going |= links
        contents = {content for link in links if self._free(link, content := version.links[link])}
        paths += sorted(links | contents)
        reason = "in use" if version.current else "a former version"
        return Removal(version.name, reason, tuple(paths), sum(map(size_of, contents)))

    def _free(self, link: Path, content: Path) -> bool:
        if self.users[content] > 0:
            return False
        return link == content or not _linked_elsewhere(content, link, self.going)


def _versions(store: ModelStore) -> Iterator[_Version]:
    for folder in sorted(store.root.glob("[!.]*/")):
        known = store.former(folder.name)
        current = store.manifest(folder.name)
        if current is not None:
            known[folder / MANIFEST] = current
        for file, manifest in known.items():
            paths = manifest.paths(store.places)
            ours = frozenset(paths[one.path] for one in manifest.files if one.fetched)
            yield _Version(folder.name, file, manifest, {path: path.resolve() for path in paths.values()}, ours)


def _linked_elsewhere(content: Path, link: Path, going: set[Path]) -> bool:
    snapshots = next((folder for folder in link.parents if folder.name == "snapshots"), None)
    if snapshots is None or snapshots.parent.resolve() not in content.parents:
        # Newer caches share a content between repositories: what lies outside of this one is not ours to judge.
        return True
    links = (path for path in snapshots.rglob("*") if path.is_symlink() and path not in going)
    return any(path.resolve() == content for path in links)


def _leftovers(store: ModelStore, inventory: _Inventory) -> Iterator[Removal]:
    for name, folders in _folders(store, inventory).items():
        found = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if _is_leftover(path)]
        if found:
            yield Removal(name, "damaged or unfinished", tuple(sorted(found)), sum(map(size_of, found)))


def _folders(store: ModelStore, inventory: _Inventory) -> dict[str, list[Path]]:
    """Where unfinished and damaged files of each model may lie; a folder that several share is listed for one."""
    folders = {folder.name: [folder] for folder in sorted(store.root.glob("[!.]*/"))}
    shared: dict[Path, str] = {}
    for version in inventory.versions:
        if version.manifest.root is Root.HUB:
            shared.setdefault(store.places.hub / version.manifest.base.split("/")[0] / "blobs", version.name)
        elif version.manifest.root is Root.EASYOCR:
            shared.setdefault(store.places.easyocr, version.name)
    for path, name in shared.items():
        folders[name].append(path)
    return folders


def _is_leftover(path: Path) -> bool:
    name = path.name
    if SET_ASIDE in name:
        return True
    unfinished = TEMPORARY in name or name.endswith((".incomplete", ".zip.part", ".zip.part.etag"))
    try:
        return unfinished and time.time() - path.stat().st_mtime > STALE_SECONDS
    except OSError:
        return False


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where it cannot be looked at."""
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    except OSError:
        return 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    path.unlink(missing_ok=True)
    folder = path.parent
    if any(part.name == "snapshots" for part in path.parents) or folder.name.startswith("files-"):
        _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # something is in it
