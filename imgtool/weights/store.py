"""The model store: one manifest a model, what it says about the files, and a lock a model.

Reading (``status``, ``fingerprint``) takes no lock, writes nothing and needs no library: it must work in a read-only
container. ``root`` holds ``<model>/manifest.json``, former versions beside it, and files that came from a folder;
upstream's weights stay in upstream's caches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.files import writable, write_atomically
from imgtool.versioned import encode
from imgtool.weights.errors import FetchBusy
from imgtool.weights.hashing import Expected, measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin, decode
from imgtool.weights.places import Places, places
from imgtool.weights.warm_command import bake_spec

if TYPE_CHECKING:
    from filelock import FileLock

    from imgtool.options import EngineOptions
    from imgtool.weights.catalogue import ModelSpec

MANIFEST = "manifest.json"
FORMER = "former-"


class State(StrEnum):
    """How a model is in the store."""

    COMPLETE = "complete"
    NO_MANIFEST = "no manifest"
    UNREADABLE = "unreadable manifest"
    MISSING_FILE = "missing file"
    CHANGED_FILE = "changed file"
    OTHER_REVISION = "other revision"


@dataclass(frozen=True)
class ModelStatus:
    """What a look at a model found. ``message`` is a sentence for people; ``problems`` names each bad file."""

    name: str
    state: State
    message: str
    remedy: str = ""
    problems: tuple[str, ...] = ()
    manifest: Manifest | None = None

    @property
    def complete(self) -> bool:
        """Whether a run can use the model without any network."""
        return self.state is State.COMPLETE


@dataclass(frozen=True)
class ModelStore:
    """The models under ``root`` (which need not exist) and in the upstream caches."""

    root: Path
    places: Places

    @staticmethod
    def at(root: Path) -> ModelStore:
        """The store in ``root``, with the upstream caches that the environment names."""
        return ModelStore(root, places(root))

    def folder_of(self, name: str) -> Path:
        """Where the store keeps what is its own about the model ``name``."""
        return self.root / name

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of ``name``, or ``None`` where there is none that can be read."""
        try:
            return decode((self.folder_of(name) / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return None

    def names(self) -> list[str]:
        """The models that have a manifest, sorted."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{MANIFEST}"))

    def former(self, name: str) -> dict[Path, Manifest]:
        """The manifests of former versions of ``name``, oldest first, by their file."""
        found: dict[Path, Manifest] = {}
        for path in self.folder_of(name).glob(f"{FORMER}*.json"):
            try:
                found[path] = decode(path.read_bytes())
            except (OSError, ValueError):
                continue
        return dict(sorted(found.items(), key=lambda item: item[1].created))

    def fingerprint(self, name: str) -> str | None:
        """A short text that changes with the model's files; ``None`` where the model is not in the store."""
        manifest = self.manifest(name)
        return None if manifest is None else manifest.fingerprint

    def folder(self, name: str) -> Path | None:
        """The folder with the model's files, to give to upstream's library."""
        manifest = self.manifest(name)
        return None if manifest is None else manifest.folder(self.places)

    def status(self, spec: ModelSpec, *, full: bool = False) -> ModelStatus:
        """How ``spec`` is here: by existence and sizes, or with ``full`` by the hash of every file."""
        path = self.folder_of(spec.name) / MANIFEST
        remedy = bake_spec(spec).remedy
        try:
            manifest = decode(path.read_bytes())
        except FileNotFoundError:
            return ModelStatus(spec.name, State.NO_MANIFEST, f"{spec.name} has not been fetched", remedy)
        except (OSError, ValueError) as error:
            message = f"the manifest of {spec.name} cannot be used: {error}"
            return ModelStatus(spec.name, State.UNREADABLE, message, remedy, (str(path),))
        if not manifest.serves(spec):
            return _other_revision(spec, manifest)
        if _outdated(spec, manifest):
            # EasyOCR compares with its table whenever it loads, and would delete the file and fetch another.
            message = f"{spec.name} is here, and the installed EasyOCR describes another file"
            return ModelStatus(spec.name, State.OTHER_REVISION, message, remedy, manifest=manifest)
        return self._files_status(spec, manifest, remedy, full)

    def _files_status(self, spec: ModelSpec, manifest: Manifest, remedy: str, full: bool) -> ModelStatus:
        folder = manifest.folder(self.places)
        problems = [found for file in manifest.files if (found := _problem(folder / file.path, file, full)) is not None]
        if not problems:
            message = f"{spec.name} is complete ({manifest.size_bytes / 1e6:.1f} MB)"
            return ModelStatus(spec.name, State.COMPLETE, message, manifest=manifest)
        state = State.MISSING_FILE if any(one[0] is State.MISSING_FILE for one in problems) else State.CHANGED_FILE
        texts = tuple(text for _, text in problems)
        return ModelStatus(spec.name, state, f"{spec.name}: {'; '.join(texts)}", remedy, texts, manifest)

    def record(self, manifest: Manifest) -> None:
        """Make ``manifest`` the current one; a different one before it is kept as a former version.

        Raises:
            imgtool.errors.StoreNotWritable: the store cannot be written.
        """
        folder = self.folder_of(manifest.name)
        before = self.manifest(manifest.name)
        if before is not None and before.fingerprint != manifest.fingerprint:
            write_atomically(folder / f"{FORMER}{before.fingerprint}.json", encode(before))
        write_atomically(folder / MANIFEST, encode(manifest))
        with writable(folder):
            (folder / f"{FORMER}{manifest.fingerprint}.json").unlink(missing_ok=True)

    @contextmanager
    def lock(
        self, name: str, *, timeout: float = 3600.0, on_wait: Callable[[], None] | None = None, work: str = ""
    ) -> Iterator[None]:
        """Keep other processes from fetching or pruning ``name``; waits up to ``timeout`` seconds for them.

        The lock belongs to the process: that of a process which died is free. ``work`` is what those others do, in
        words: ``fetching blip-base``.

        Raises:
            FetchBusy: another process held it all that time.
            imgtool.errors.StoreNotWritable: the store cannot be written.
        """
        from filelock import FileLock, Timeout

        folder = self.root / ".locks"
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if on_wait is not None:
                    on_wait()
                _wait(lock, timeout, work or f"at work on {name}")
        try:
            yield
        finally:
            lock.release()


def store_for(options: EngineOptions) -> ModelStore:
    """The store in the cache directory that ``options`` set; synthetic models have one of their own in it."""
    from imgtool.options import Weights, cache_root

    root = cache_root(options) / "models"
    synthetic = options.weights is Weights.SYNTHETIC
    return ModelStore.at(root / "synthetic" / options.scale.value if synthetic else root)


def _wait(lock: FileLock, timeout: float, work: str) -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise FetchBusy(
            f"another process has been {work} for more than {timeout:.0f} s",
            "wait for it, or end it, then run this again",
        ) from error


def _other_revision(spec: ModelSpec, manifest: Manifest) -> ModelStatus:
    have = manifest.commit or manifest.revision or manifest.origin.value
    return ModelStatus(
        spec.name,
        State.OTHER_REVISION,
        f"{spec.name} is here at {have}, and {spec.revision} is asked for",
        f"run `imgtool warm-cache {spec.name}@{spec.revision}`, or ask for {spec.name} alone",
        manifest=manifest,
    )


def _outdated(spec: ModelSpec, manifest: Manifest) -> bool:
    if manifest.origin is not Origin.EASYOCR:
        return False
    from imgtool.weights.easyocr_table import installed, table_entry

    return installed() and table_entry(spec).md5 not in {file.md5 for file in manifest.files}


def _problem(path: Path, file: FileEntry, full: bool) -> tuple[State, str] | None:
    try:
        size = path.stat().st_size
        if size != file.size:
            return State.CHANGED_FILE, f"{path} has {size} bytes instead of {file.size}"
        if full and (difference := Expected(file.size, file.sha256).difference(measure(path))):
            return State.CHANGED_FILE, f"{path} was changed: {difference}"
    except FileNotFoundError:
        return State.MISSING_FILE, f"{path} is missing"
    except OSError as error:
        return State.MISSING_FILE, f"{path} cannot be read: {error.strerror}"
    return None
