"""One running fetch of one model: its inputs, its counters, and steps that all kinds of fetches share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from imgtool.files import set_aside
from imgtool.ground.retry import RetryPolicy
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.fetching.transient import transferred
from imgtool.weights.hashing import ExpectedFile, MeasuredFile, measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin, now
from imgtool.weights.observer import FetchObserver
from imgtool.weights.places import Root
from imgtool.weights.store import ModelStore

T = TypeVar("T")


class FetchOutcome(StrEnum):
    """How the files of a model were obtained."""

    PRESENT = "present"
    ADOPTED = "adopted"
    FETCHED = "fetched"
    IMPORTED = "imported"
    MADE = "made"


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch. ``source`` is a folder to copy the files from; ``full`` hashes files that are already here.

    ``refresh`` asks the hub again what an unpinned revision stands for, hashes every file and fetches damaged ones
    again; without it a model whose files have the right sizes is left alone. ``offline`` forbids every network call.
    ``lock_timeout`` is in seconds.
    """

    offline: bool = False
    source: Path | None = None
    full: bool = False
    refresh: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    lock_timeout: float = 3600.0


@dataclass
class FetchJob:
    """One fetch of one model, under its lock. ``before`` is the manifest at its beginning."""

    spec: ModelSpec
    store: ModelStore
    options: FetchOptions
    observer: FetchObserver
    before: Manifest | None
    outcome: FetchOutcome = FetchOutcome.ADOPTED
    bytes_downloaded: int = 0
    retries: int = 0
    moved: list[Path] = field(default_factory=list)

    def entry(self, base: str, path: str, found: MeasuredFile, was_here: bool) -> FileEntry:
        """The manifest's entry for a verified file in ``base``; ``was_here`` says that it was not fetched now."""
        if not was_here and self.outcome is not FetchOutcome.IMPORTED:
            self.outcome = FetchOutcome.FETCHED
            self.bytes_downloaded += found.size
        former = self.before.files if self.before is not None and self.before.base == base else ()
        fetched_before = any(file.path == path and file.fetched for file in former)
        return FileEntry(
            path=path,
            size=found.size,
            sha256=found.sha256,
            md5=found.md5 or None,
            fetched=not was_here or fetched_before,
            mtime_ns=found.mtime_ns,
        )

    def manifest(
        self, origin: Origin, root: Root, base: str, files: Iterable[FileEntry], commit: str | None = None
    ) -> Manifest:
        """The manifest of the verified ``files``, not yet recorded."""
        return Manifest(
            name=self.spec.name,
            origin=origin,
            repository=self.spec.repository,
            revision=self.spec.revision,
            commit=commit,
            created=now(),
            root=root,
            base=base,
            files=tuple(files),
            licence=self.spec.licence,
        )

    def progress(self, file: str) -> Callable[[int, int], None]:
        """The callback of the transfer of ``file``, for the bytes done and the total."""
        return lambda done, total: self.observer.progress(self.spec.name, file, done, total)

    def measured(self, path: Path, expected: ExpectedFile) -> MeasuredFile:
        """Hashes of ``path``: SHA-256, and those that ``expected`` has."""
        self.observer.verifying(self.spec.name, path.name)
        return measure(path, expected)

    def set_aside(self, path: Path, difference: str) -> None:
        """Rename a damaged file, and tell the observer."""
        moved = set_aside(path)
        self.moved.append(moved)
        self.observer.set_aside(self.spec.name, moved, difference)

    def retrying(self, attempt: int, reason: str, wait_seconds: float) -> None:
        """Count a failed attempt, and tell the observer."""
        self.retries += 1
        self.observer.retrying(self.spec.name, attempt, reason, wait_seconds)

    def retried(self, work: Callable[[], T], what: str) -> T:
        """``work()``, with the retries that the options allow.

        Raises:
            imgtool.weights.errors.DownloadFailed: they are used up.
        """
        return transferred(work, self.options.retry, what, self.retrying)
