"""Access to the hub through ``huggingface_hub``: lists repositories, and downloads files into the hub's own cache.

The library retries inside a transfer, writes atomically, and honours ``HF_HOME``, ``HF_TOKEN`` and the proxies. Since
version 2 it does not resume a file that another process began. It does not compare what it got with the published hash:
:mod:`imgtool.weights.fetching.from_hub` does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.distribution import install_command
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.errors import FileRefused, LibraryMissing, RepositoryIncomplete, UnexpectedAnswer
from imgtool.weights.fetching.connection import host_of, hub_endpoint, trust_named_certificates
from imgtool.weights.fetching.hub_errors import translated
from imgtool.weights.hashing import ExpectedFile
from imgtool.weights.on_disk.blip import PICKLES
from imgtool.weights.places import find_snapshot, repository_folder
from imgtool.weights.warm_command import WarmCommand

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes of the whole file (0 where unknown)."""

TIMEOUT_SECONDS = 20.0
SAFE = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Listing:
    """The files of a repository that a model needs, as the hub describes them at one commit."""

    commit: str
    files: dict[str, ExpectedFile]


def offline_by_environment() -> bool:
    """Whether the variables of the hub's library forbid the network."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


def listing(spec: ModelSpec, revision: str, command: WarmCommand) -> Listing:
    """What ``spec`` needs of its repository at ``revision``, which is resolved to a commit. One request.

    ``command`` is for the remedies.

    Raises:
        Transient: the hub did not answer, or is busy.
        imgtool.errors.ImgtoolError: it refused, or lacks a file that is needed.
    """
    hub = _library()
    with translated(spec, revision, command), _quiet():
        info = hub.HfApi(endpoint=hub_endpoint()).model_info(
            spec.repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    if not info.sha or info.siblings is None:
        raise UnexpectedAnswer(
            f"{host_of(hub_endpoint())} described {spec.repository} without a commit or without files",
            "check HF_ENDPOINT: it must lead to a hub",
        )
    files = {}
    for one in info.siblings:
        if one.lfs is not None:
            files[one.rfilename] = ExpectedFile(one.lfs.size, sha256=one.lfs.sha256.lower())
        else:
            files[one.rfilename] = ExpectedFile(one.size, git=(one.blob_id or "").lower())
    return Listing(info.sha, {name: files[name] for name in choose(spec, sorted(files), spec.repository)})


def choose(spec: ModelSpec, available: Sequence[str], where: str) -> list[str]:
    """The files of ``spec`` among ``available``, each once; of alternatives the preferred one.

    Raises:
        RepositoryIncomplete: a file that is needed is not among them.
        FileRefused: the weights are there as a pickle alone.
    """
    chosen: dict[str, None] = {}
    pickle = next((name for name in PICKLES if name in available), None)
    if pickle is not None and not set(SAFE) & set(available):
        raise FileRefused(
            f"{where} has its weights only as a pickle ({pickle}), which can run code when it is opened",
            f"choose a revision with {SAFE[0]}, or convert them with the safetensors library and give the folder "
            "with --from DIR",
        )
    for file in spec.files:
        name = next((name for name in file.names if name in available), None)
        if name is not None:
            chosen[name] = None
        elif file.required:
            raise RepositoryIncomplete(
                f"{where} has no {' or '.join(file.names)}, which {spec.name} needs",
                "choose another revision, or give the files with --from DIR",
            )
    return list(chosen)


def cached_path(cache: Path, spec: ModelSpec, commit: str, file: str) -> Path:
    """Where the hub's cache keeps ``file`` of ``spec`` at ``commit``."""
    return cache / snapshot_folder(spec, commit) / file


def snapshot_folder(spec: ModelSpec, commit: str) -> str:
    """The folder of a commit, relative to the hub's cache, with ``/`` between its parts."""
    return f"{repository_folder(spec.repository)}/snapshots/{commit}"


def download(
    spec: ModelSpec, commit: str, file: str, size: int, cache: Path, progress: Progress, command: WarmCommand
) -> Path:
    """``file`` of ``size`` bytes in the hub's cache, fetched if it is not there; its content is not checked.

    Raises:
        Transient: the transfer failed for a reason that may pass.
        imgtool.errors.ImgtoolError: the hub refused, or the cache cannot be written.
    """
    target = cached_path(cache, spec, commit, file)
    if target.exists():
        return target
    hub = _library()
    with translated(spec, commit, command), _quiet():
        url = hub.hf_hub_url(spec.repository, file, revision=commit, endpoint=hub_endpoint())
        # The download asks for this too, but retries an unreachable server for half a minute.
        hub.get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS, endpoint=hub_endpoint())
        return Path(
            hub.hf_hub_download(
                spec.repository,
                file,
                revision=commit,
                cache_dir=cache,
                endpoint=hub_endpoint(),
                etag_timeout=TIMEOUT_SECONDS,
                tqdm_class=_progress_bar(progress, size),
            )
        )


def forget(path: Path) -> None:
    """Remove ``path``, a file of a snapshot whose content was set aside, and its links from the hub's cache."""
    while path.is_symlink():
        target = path.readlink()
        path.unlink()
        path = path.parent / target
    path.unlink(missing_ok=True)


def cached(spec: ModelSpec, cache: Path) -> Listing | None:
    """The files of ``spec`` in the hub's cache, without any request; ``None`` if one is missing.

    The cache names each content by its hash, so these can be verified as well as a fresh download.
    """
    folder = find_snapshot(cache, spec.repository, spec.revision)
    if folder is None:
        return None
    available = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        names = choose(spec, available, str(folder))
    except RepositoryIncomplete:
        return None
    files = {}
    for name in names:
        blob = (folder / name).readlink().name if (folder / name).is_symlink() else ""
        files[name] = {64: ExpectedFile(sha256=blob), 40: ExpectedFile(git=blob)}.get(len(blob), ExpectedFile())
    return Listing(folder.name, files)


def _library() -> Any:
    # The library itself reads the variable only once, when it is imported.
    hub_endpoint()
    trust_named_certificates()
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise LibraryMissing(
            "fetching from the hub needs huggingface_hub, which is not installed",
            f"`{install_command('hub')}`, or give the files with --from DIR",
        ) from error
    return huggingface_hub


def _progress_bar(progress: Progress, total: int) -> type[Any]:
    from tqdm import std

    base: Any = std.tqdm

    class Reporter(base):  # type: ignore[misc]
        """Draws nothing (``disable``) and reports the bytes."""

        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            super().__init__(disable=True)
            self.received = initial

        def update(self, n: float | None = 1) -> None:
            self.received += int(n or 0)
            progress(self.received, total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Called by the library with bytes on the wire."""

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None:
            """Called by the library."""

    return Reporter


@contextmanager
def _quiet() -> Iterator[None]:
    # The library warns about every failed attempt; the observer reports them here.
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
