"""Frees disk space: a plan of what to remove and how much that frees, which is shown first and then executed.

Only files that imgtool fetched are removed. The hub's cache is shared with other programs: a content to which another
snapshot links stays.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imgtool.files import SET_ASIDE, STALE_SECONDS, TEMPORARY, writable
from imgtool.weights.catalogue import Kind, find, is_catalogued
from imgtool.weights.manifest import Manifest
from imgtool.weights.places import Root, unfinished_downloads
from imgtool.weights.store import MANIFEST, ModelStore


@dataclass(frozen=True)
class Removal:
    """One thing to remove: of which model, why, the paths, and the bytes that this frees."""

    model: str
    reason: str
    paths: tuple[Path, ...]
    size_bytes: int


@dataclass(frozen=True)
class PrunePlan:
    """What pruning would remove, and the bytes of all models before and after it.

    ``over_bytes`` is by how much the rest still exceeds the limit; 0 without a limit.
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


def plan_prune(store: ModelStore, max_size: int | None = None) -> PrunePlan:
    """What to remove so that all models together take at most ``max_size`` bytes.

    Leftovers and damaged files are always removed. Without ``max_size`` all former versions are removed; with it, only
    as many as needed, the oldest first. Models in use stay.
    """
    inventory = _Inventory(store)
    removals = list(_leftovers(store, inventory))
    total = rest = sum(map(size_of, inventory.users))
    total += sum(one.size_bytes for one in removals)
    former = (version for version in inventory.versions if version.file.name != MANIFEST)
    for version in sorted(former, key=lambda version: version.manifest.created):
        if max_size is None or rest > max_size:
            removals.append(inventory.removal(version))
            rest -= removals[-1].size_bytes
    return PrunePlan(tuple(removals), total, max_size)


@dataclass(frozen=True)
class _Version:
    """A version of a model. ``links`` maps each path to the file behind it; ``fetched`` are those of ours."""

    name: str
    file: Path
    manifest: Manifest
    links: dict[Path, Path]
    fetched: frozenset[Path]


class _Inventory:
    """Every version of every model, and how many of them still need each path and each content."""

    def __init__(self, store: ModelStore) -> None:
        self.versions: list[_Version] = []
        for folder in sorted(store.root.glob("[!.]*/")):
            known = store.former(folder.name)
            if (current := store.manifest(folder.name)) is not None:
                known[folder / MANIFEST] = current
            for file, manifest in known.items():
                paths = manifest.paths(store.places)
                ours = frozenset(paths[one.path] for one in manifest.files if one.fetched)
                links = {path: path.resolve() for path in paths.values()}
                self.versions.append(_Version(folder.name, file, manifest, links, ours))
        self.users = Counter(content for version in self.versions for content in set(version.links.values()))
        self.link_users = Counter(link for version in self.versions for link in version.links)
        self.going: set[Path] = set()

    def removal(self, version: _Version) -> Removal:
        """``version`` as a removal: its manifest first, so that a half-removed model does not look complete."""
        self.users.subtract(set(version.links.values()))
        self.link_users.subtract(version.links.keys())
        links = {link for link in version.fetched if self.link_users[link] == 0}
        self.going |= links
        contents = set()
        for link in links:
            content = version.links[link]
            if self.users[content] <= 0 and (link == content or not self._is_linked_elsewhere(content, link)):
                contents.add(content)
        paths = (version.file, *sorted(links | contents))
        return Removal(version.name, "a former version", paths, sum(map(size_of, contents)))

    def _is_linked_elsewhere(self, content: Path, link: Path) -> bool:
        snapshots = next((folder for folder in link.parents if folder.name == "snapshots"), None)
        if snapshots is None or snapshots.parent.resolve() not in content.parents:
            # Newer caches share contents between repositories: one outside of this repository is kept.
            return True
        links = (path for path in snapshots.rglob("*") if path.is_symlink() and path not in self.going)
        return any(path.resolve() == content for path in links)


def _leftovers(store: ModelStore, inventory: _Inventory) -> Iterator[Removal]:
    """Unfinished and damaged files of each model; those in a folder that several share are listed for one."""
    folders = {folder.name: [folder] for folder in sorted(store.root.glob("[!.]*/"))}
    shared: dict[Path, str] = {}
    for version in inventory.versions:
        if version.manifest.root is Root.HUB:
            shared.setdefault(store.places.hub / version.manifest.base.split("/")[0] / "blobs", version.name)
        elif version.manifest.root is Root.EASYOCR:
            shared.setdefault(store.places.easyocr, version.name)
    for path, name in shared.items():
        folders[name].append(path)
    # A model whose first fetch was killed has no manifest, but a lock.
    names = dict.fromkeys([*folders, *(path.stem for path in sorted((store.root / ".locks").glob("*.lock")))])
    repositories = {name: _repository(name, inventory) for name in names}
    done: set[str] = set()
    for name, repository in repositories.items():
        found = {path for folder in folders.get(name, ()) if folder.is_dir() for path in folder.iterdir()}
        found = {path for path in found if _is_leftover(path)}
        if repository is not None and repository not in done:
            done.add(repository)
            found.update(unfinished_downloads(store.places.hub, repository))
        if found:
            yield Removal(name, "damaged or unfinished", tuple(sorted(found)), sum(map(size_of, found)))


def _repository(name: str, inventory: _Inventory) -> str | None:
    """The hub's repository of the model ``name``; ``None`` if it is from elsewhere."""
    for version in inventory.versions:
        if version.name == name:
            return version.manifest.repository if version.manifest.root is Root.HUB else None
    if is_catalogued(name):
        spec = find(name)
        return spec.repository if spec.kind is Kind.HUB else None
    owner, dashes, rest = name.partition("--")
    return f"{owner}/{rest}" if dashes else None


def _is_leftover(path: Path) -> bool:
    name = path.name
    if SET_ASIDE in name:
        return True
    unfinished = TEMPORARY in name or name.endswith((".zip.part", ".zip.part.etag"))
    try:
        return unfinished and time.time() - path.stat().st_mtime > STALE_SECONDS
    except OSError:
        return False


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 if they cannot be read."""
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
        with suppress(OSError):  # something is in it
            folder.rmdir()
