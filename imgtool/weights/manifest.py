"""The manifest of a fetched model: a small JSON file that is written last, when every file has been verified."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

import msgspec

from imgtool.ground.sealed import require_seal
from imgtool.ground.versioned import read_json
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.places import Places, Root

SCHEMA_VERSION = 1


class Origin(StrEnum):
    """Where the files of a model came from."""

    HUB = "hub"
    EASYOCR = "easyocr"
    FOLDER = "folder"
    SYNTHETIC = "synthetic"


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A verified file. ``path`` is relative to the manifest's ``base``; ``fetched`` says that imgtool put it there.

    ``mtime_ns`` is when it had been written to last when it was verified: a file with another time is hashed again.
    Only files that imgtool fetched are pruned: those that were in an upstream cache before belong to other programs.
    """

    path: str
    size: int
    sha256: str
    md5: str | None = None
    fetched: bool = False
    mtime_ns: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one model. ``revision`` is what was asked for, ``commit`` what it stood for (hub only)."""

    schema_version: int = SCHEMA_VERSION
    name: str
    origin: Origin
    repository: str
    revision: str = ""
    commit: str | None = None
    created: str
    root: Root
    base: str
    files: tuple[FileEntry, ...]
    licence: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever a file or the commit changes."""
        digest = hashlib.sha256((self.commit or self.origin.value).encode())
        for file in sorted(self.files, key=lambda one: one.path):
            digest.update(f"\0{file.path}\0{file.sha256}".encode())
        return f"{(self.commit or self.origin.value)[:8]}-{digest.hexdigest()[:12]}"

    def folder(self, places: Places) -> Path:
        """The folder that holds the files, as upstream's libraries take it."""
        return places.folder(self.root) / self.base

    def paths(self, places: Places) -> dict[str, Path]:
        """Every file by its name in the repository."""
        folder = self.folder(places)
        return {file.path: folder / file.path for file in self.files}

    def serves(self, spec: ModelSpec) -> bool:
        """Whether this is the revision that ``spec`` asks for; without a pinned revision any will do."""
        if not spec.pinned or spec.revision == self.revision:
            return True
        return self.commit is not None and len(spec.revision) >= 7 and self.commit.startswith(spec.revision)


def now() -> str:
    """This moment in UTC, as manifests write it."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def decode(data: bytes) -> Manifest:
    """The manifest that ``data`` holds.

    Raises:
        ValueError: it is no manifest of this version, it was changed, or its paths leave their folder.
    """
    manifest = read_json(data, Manifest)
    if manifest.schema_version != SCHEMA_VERSION:
        raise ValueError(f"it has version {manifest.schema_version}, and this imgtool reads {SCHEMA_VERSION}")
    require_seal(data, "schema_version")
    for path in (manifest.base, *(file.path for file in manifest.files)):
        # Pruning deletes these paths: they must not lead out of the caches.
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
            raise ValueError(f"the path {path!r} leaves its folder")
    if not manifest.files:
        raise ValueError("it names no files")
    return manifest
