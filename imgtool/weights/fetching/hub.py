"""The hub through ``huggingface_hub``: what a repository holds, and its files into the hub's own cache.

The library resumes, retries inside a transfer, writes atomically, and honours ``HF_HOME``, ``HF_TOKEN`` and the
proxies. It does not compare what it got with the published hash: ``imgtool.weights.fetching.fetch`` does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from imgtool.distribution import install_command
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.errors import LibraryMissing, RepositoryIncomplete, UnexpectedAnswer
from imgtool.weights.fetching.hub_errors import translated
from imgtool.weights.hashing import Expected
from imgtool.weights.places import find_snapshot, repository_folder

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes of the whole file (0 where unknown)."""

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at a commit, as the hub describes it."""

    path: str
    expected: Expected


@dataclass(frozen=True)
class Listing:
    """What of a repository a model needs, at one commit."""

    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files whose size the hub says."""
        return sum(file.expected.size or 0 for file in self.files)


def offline_by_environment() -> bool:
    """Whether the user told the hub's library, by its own variables, to stay off the network."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


def listing(spec: ModelSpec, revision: str) -> Listing:
    """What ``spec`` needs of its repository at ``revision``, which is resolved to a commit. One request.

    Raises:
        Transient: the hub did not answer, or is busy.
        imgtool.errors.ImgtoolError: it said no, or lacks a file that is needed.
    """
    hub = _library()
    with translated(spec, revision), _quiet():
        info = hub.HfApi(endpoint=_endpoint()).model_info(
            spec.repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    if not info.sha or info.siblings is None:
        raise UnexpectedAnswer(
            f"{_endpoint() or 'the hub'} described {spec.repository} without a commit or without files",
            "check HF_ENDPOINT: it must lead to a hub",
        )
    files = {one.rfilename: RemoteFile(one.rfilename, _expected(one)) for one in info.siblings}
    return Listing(info.sha, tuple(files[name] for name in choose(spec, sorted(files), spec.repository)))


def choose(spec: ModelSpec, available: Sequence[str], where: str) -> list[str]:
    """The files of ``spec`` among ``available``: of alternatives the preferred one, each file once.

    Raises:
        RepositoryIncomplete: a file that is needed is not among them.
    """
    chosen: dict[str, None] = {}
    for file in spec.files:
        name = next((name for name in file.names if name in available), None)
        if name is not None:
            chosen[name] = None
        elif file.required:
            raise RepositoryIncomplete(
                f"{where} has no {' or '.join(file.names)}, which {spec.name} needs",
                f"choose another revision with {spec.name}@REVISION, or give the files with --from DIR",
            )
    return list(chosen)


def cached_path(cache: Path, spec: ModelSpec, commit: str, file: str) -> Path:
    """Where the hub's cache keeps ``file`` of ``spec`` at ``commit``."""
    return cache / snapshot_folder(spec, commit) / file


def snapshot_folder(spec: ModelSpec, commit: str) -> str:
    """The folder of a commit, relative to the hub's cache, with ``/`` between its parts."""
    return f"{repository_folder(spec.repository)}/snapshots/{commit}"


def download(spec: ModelSpec, commit: str, file: RemoteFile, cache: Path, progress: Progress) -> Path:
    """``file`` in the hub's cache, fetched if it is not there; its content is not checked.

    Raises:
        Transient: the transfer failed in a way that may not come again.
        imgtool.errors.ImgtoolError: the hub said no, or the cache cannot be written.
    """
    target = cached_path(cache, spec, commit, file.path)
    if target.exists():
        return target
    hub = _library()
    with translated(spec, commit), _quiet():
        url = hub.hf_hub_url(spec.repository, file.path, revision=commit, endpoint=_endpoint())
        # The download looks before it leaps too, but keeps on knocking at a dead server for half a minute.
        hub.get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS, endpoint=_endpoint())
        return Path(
            hub.hf_hub_download(
                spec.repository,
                file.path,
                revision=commit,
                cache_dir=cache,
                endpoint=_endpoint(),
                etag_timeout=TIMEOUT_SECONDS,
                tqdm_class=_progress_bar(progress, file.expected.size or 0),
            )
        )


def forget(path: Path) -> None:
    """Take ``path`` (a file of a snapshot whose content was put away) out of the hub's cache, links and all."""
    while path.is_symlink():
        target = path.readlink()
        path.unlink()
        path = path.parent / target
    path.unlink(missing_ok=True)


def cached(spec: ModelSpec, cache: Path) -> Listing | None:
    """What is already in the hub's cache of ``spec``, without any request; ``None`` where it is not wholly there.

    The cache names each content by its hash, so this can be verified as well as a fresh download.
    """
    snapshot = find_snapshot(cache, spec.repository, spec.revision)
    if snapshot is None:
        return None
    folder = snapshot.folder
    available = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        names = choose(spec, available, str(folder))
    except RepositoryIncomplete:
        return None
    return Listing(snapshot.commit, tuple(RemoteFile(name, _expected_of_blob(folder / name)) for name in names))


def _expected_of_blob(path: Path) -> Expected:
    name = path.readlink().name if path.is_symlink() else ""
    if len(name) == 64:
        return Expected(sha256=name)
    return Expected(git=name) if len(name) == 40 else Expected()


def _expected(sibling: Any) -> Expected:
    if sibling.lfs is not None:
        return Expected(sibling.lfs.size, sha256=sibling.lfs.sha256.lower())
    return Expected(sibling.size, git=(sibling.blob_id or "").lower())


def _endpoint() -> str | None:
    # Read when it is needed: the library reads it once, when it is imported.
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _library() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise LibraryMissing(
            "fetching from the hub needs huggingface_hub, which is not installed",
            f"`{install_command('hub')}`, or give the files with --from DIR",
        ) from error
    return huggingface_hub


def _progress_bar(progress: Progress, total: int) -> type[Any]:
    base: Any = import_module("tqdm.std").tqdm

    class Reporter(base):  # type: ignore[misc]
        """Draws nothing (``disable``) and passes the bytes on."""

        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            super().__init__(disable=True)
            self.received = initial

        def update(self, n: float | None = 1) -> None:
            self.received += int(n or 0)
            progress(self.received, total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire, which the library counts apart from bytes of the file."""

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None:
            """A part of a bar that is not drawn."""

    return Reporter


@contextmanager
def _quiet() -> Iterator[None]:
    # The library warns on stderr about each hiccup; ours are reported by the observer.
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
