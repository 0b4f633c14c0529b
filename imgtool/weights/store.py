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
from imgtool.ground.home import mended_by
from imgtool.ground.sealed import encode_sealed
from imgtool.options import Weights, cache_root
from imgtool.weights.easyocr_table import installed, table_entry
from imgtool.weights.errors import FetchBusy, FileRefused
from imgtool.weights.hashing import ExpectedFile, is_untouched, measure
from imgtool.weights.manifest import FileEntry, Manifest, Origin, decode
from imgtool.weights.places import Places, places
from imgtool.weights.warm_command import WarmCommand, cache_words, model_command

if TYPE_CHECKING:
    from imgtool.options import EngineOptions
    from imgtool.weights.catalogue import ModelSpec

MANIFEST = "manifest.json"
FORMER_MANIFEST = "former-"


class StoredState(StrEnum):
    """The state of a model in the store."""

    COMPLETE = "complete"
    NO_MANIFEST = "no manifest"
    UNREADABLE = "unreadable manifest"
    MISSING_FILE = "missing file"
    CHANGED_FILE = "changed file"
    OTHER_REVISION = "other revision"
    DENIED = "not readable"


@dataclass(frozen=True)
class ModelStatus:
    """The result of checking a model. ``message`` is a sentence for the user; ``problems`` names each bad file."""

    name: str
    state: StoredState
    message: str
    remedy: str = ""
    problems: tuple[str, ...] = ()
    manifest: Manifest | None = None

    @property
    def complete(self) -> bool:
        """Whether a run can use the model without any network."""
        return self.state is StoredState.COMPLETE


@dataclass(frozen=True)
class ModelStore:
    """The models under ``root`` (which need not exist) and in the upstream caches.

    ``words`` are the options that lead a command to this store.
    """

    root: Path
    places: Places
    words: tuple[str, ...] = ()

    @staticmethod
    def at(root: Path) -> ModelStore:
        """The store in ``root``, with the upstream caches that the environment names."""
        return ModelStore(root, places(root))

    def folder_of(self, name: str) -> Path:
        """Where the store keeps what is its own about the model ``name``."""
        return self.root / name

    def command(self, spec: ModelSpec) -> WarmCommand:
        """The command that fetches ``spec`` into this store."""
        return model_command(spec, *self.words)

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of ``name``, or ``None`` where there is none that can be read."""
        try:
            return decode((self.folder_of(name) / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return None

    def former(self, name: str) -> dict[Path, Manifest]:
        """The manifests of former versions of ``name``, oldest first, by their file."""
        found: dict[Path, Manifest] = {}
        for path in self.folder_of(name).glob(f"{FORMER_MANIFEST}*.json"):
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
        """Check ``spec`` by the existence and sizes of its files, and the hashes of those that were written to since.

        With ``full`` all are hashed.
        """
        name, path, command = spec.name, self.folder_of(spec.name) / MANIFEST, self.command(spec)
        try:
            manifest = decode(path.read_bytes())
        except FileNotFoundError:
            return ModelStatus(name, StoredState.NO_MANIFEST, f"{name} has not been fetched", command.remedy)
        except (OSError, ValueError) as error:
            message = f"the manifest of {name} cannot be used: {error}"
            state, remedy = StoredState.UNREADABLE, command.remedy
            if isinstance(error, PermissionError):
                state, remedy = StoredState.DENIED, mended_by(self.root)
            return ModelStatus(name, state, message, remedy, (str(path),))
        if not manifest.serves(spec):
            have = manifest.commit or manifest.revision or manifest.origin.value
            message = f"{name} is here at {have}, and {spec.revision} is asked for"
            remedy = f"{command.remedy}, or ask for {name} alone"
            return ModelStatus(name, StoredState.OTHER_REVISION, message, remedy, manifest=manifest)
        hashes = {file.md5 for file in manifest.files}
        if manifest.origin is Origin.EASYOCR and installed() and table_entry(spec).md5 not in hashes:
            # EasyOCR compares the file with its table at every load; it would delete this one and fetch another.
            message = f"{name} is here, and the installed EasyOCR describes another file"
            return ModelStatus(name, StoredState.OTHER_REVISION, message, command.remedy, manifest=manifest)
        folder = manifest.folder(self.places)
        problems = [
            found for file in manifest.files if (found := file_problem(folder / file.path, file, full)) is not None
        ]
        if not problems:
            message = f"{name} is complete ({manifest.size_bytes / 1e6:.1f} MB)"
            return ModelStatus(name, StoredState.COMPLETE, message, manifest=manifest)
        states, texts = zip(*problems, strict=True)
        worst = (StoredState.DENIED, StoredState.MISSING_FILE, StoredState.CHANGED_FILE)
        state = next(each for each in worst if each in states)
        # A plain fetch compares sizes only, so a wrong hash needs --refresh.
        remedy = command.fetching_again if full else command.remedy
        if state is StoredState.DENIED:
            remedy = mended_by(self.places.folder(manifest.root))
        return ModelStatus(name, state, f"{name}: {'; '.join(texts)}", remedy, texts, manifest)

    def record(self, manifest: Manifest) -> None:
        """Make ``manifest`` the current one, and keep a different one that was there as a former version.

        Raises:
            imgtool.errors.StoreNotWritable: the store cannot be written.
        """
        folder = self.folder_of(manifest.name)
        before = self.manifest(manifest.name)
        if before is not None and before.fingerprint != manifest.fingerprint:
            write_atomically(folder / f"{FORMER_MANIFEST}{before.fingerprint}.json", encode_sealed(before))
        write_atomically(folder / MANIFEST, encode_sealed(manifest))
        with writable(folder):
            (folder / f"{FORMER_MANIFEST}{manifest.fingerprint}.json").unlink(missing_ok=True)

    @contextmanager
    def lock(
        self, name: str, *, timeout: float = 3600.0, on_wait: Callable[[], None] | None = None, work: str = ""
    ) -> Iterator[None]:
        """Keep other processes from fetching or pruning ``name``; waits up to ``timeout`` seconds for them.

        The lock of a process that died is released. ``work`` says what the lock is held for: ``fetching blip-base``.

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
                try:
                    lock.acquire(timeout=timeout)
                except Timeout as error:
                    raise FetchBusy(
                        f"another process has been {work or f'at work on {name}'} for more than {timeout:.0f} s",
                        "wait for the other process, or stop it",
                    ) from error
        try:
            yield
        finally:
            lock.release()


def store_for(options: EngineOptions) -> ModelStore:
    """The store in the cache directory that ``options`` set; synthetic models have one of their own in it."""
    root = cache_root(options) / "models"
    if options.weights is Weights.SYNTHETIC:
        root = root / "synthetic" / options.scale.value
    return ModelStore(root, places(root), cache_words(options))


def require_verified(folder: Path, manifest: str, remedy: str) -> None:
    """Hash those files in ``folder`` that were written to since they were verified; ``manifest`` is as from
    :func:`imgtool.weights.on_disk.blip.manifest_of`.

    Raises:
        FileRefused: one of them was changed, or the manifest cannot be used.
    """
    if not manifest:
        return
    try:
        files = decode(Path(manifest).read_bytes()).files
    except (OSError, ValueError) as error:
        raise FileRefused(f"{manifest} cannot be used: {error}", remedy) from error
    for file in files:
        if (found := file_problem(folder / file.path, file, full=False)) is not None:
            raise FileRefused(found[1], remedy)


def file_problem(path: Path, file: FileEntry, full: bool) -> tuple[StoredState, str] | None:
    """What is wrong with ``path``, which should be ``file``, as a state and in words. See :meth:`ModelStore.status`."""
    try:
        facts = path.stat()
        if facts.st_size != file.size:
            return StoredState.CHANGED_FILE, f"{path} has {facts.st_size} bytes instead of {file.size}"
        unsure = full or not is_untouched(file.mtime_ns, facts.st_mtime_ns)
        if unsure and (difference := ExpectedFile(file.size, file.sha256).difference(measure(path))):
            return StoredState.CHANGED_FILE, f"{path} was changed: {difference}"
    except FileNotFoundError:
        return StoredState.MISSING_FILE, f"{path} is missing"
    except PermissionError as error:
        return StoredState.DENIED, f"{path} cannot be read: {error.strerror}"
    except OSError as error:
        return StoredState.MISSING_FILE, f"{path} cannot be read: {error.strerror}"
    return None
