"""A model from the hub: listed, fetched file by file, each compared with what the hub says that it is."""

from __future__ import annotations

from pathlib import Path

from imgtool.files import require_space
from imgtool.weights.errors import NotInStore, WrongHash
from imgtool.weights.fetching import hub
from imgtool.weights.fetching.fetch_job import Job
from imgtool.weights.fetching.hub_errors import offline
from imgtool.weights.hashing import Measured
from imgtool.weights.manifest import FileEntry, Manifest, Origin, now
from imgtool.weights.places import Root
from imgtool.weights.safetensors import check_safetensors


def from_hub(job: Job) -> Manifest:
    """The files of ``job``'s model in the hub's cache, fetched where they are missing, all verified.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``.
    """
    spec, cache = job.spec, job.store.places.hub
    listing = job.retried(lambda: hub.listing(spec, _revision(job)), f"asking the hub about {spec.repository}")
    missing = [file for file in listing.files if not _path(job, listing.commit, file).exists()]
    require_space(cache, sum(file.expected.size or 0 for file in missing))
    return _manifest(job, listing.commit, [_verified(job, listing.commit, file) for file in listing.files])


def from_hub_cache(job: Job) -> Manifest:
    """The same from what the hub's cache has, without any network call.

    Raises:
        NotInStore: it does not have everything, or a file in it is damaged.
    """
    listing = hub.cached(job.spec, job.store.places.hub)
    if listing is None:
        raise offline(job.spec)
    return _manifest(job, listing.commit, [_adopted(job, listing.commit, file) for file in listing.files])


def _revision(job: Job) -> str:
    # A damaged or incomplete model is mended at the commit it had; only a refresh moves it to a newer one.
    before = job.before
    if before is None or before.commit is None or job.options.refresh or not before.serves(job.spec):
        return job.spec.revision
    return before.commit


def _path(job: Job, commit: str, file: hub.RemoteFile) -> Path:
    return hub.cached_path(job.store.places.hub, job.spec, commit, file.path)


def _verified(job: Job, commit: str, file: hub.RemoteFile) -> FileEntry:
    was_here = _path(job, commit, file).exists()
    path, found, difference = _attempt(job, commit, file)
    if difference:
        _set_aside(job, path, difference)
        was_here = False
        path, found, difference = _attempt(job, commit, file)
    if difference:
        _set_aside(job, path, difference)
        raise WrongHash(
            f"{file.path} of {job.spec.repository} was fetched twice and is not what the hub describes: {difference}",
            "check HF_ENDPOINT and the proxy: something changes files on their way",
        )
    return _entry(job, commit, path, file, found, was_here)


def _attempt(job: Job, commit: str, file: hub.RemoteFile) -> tuple[Path, Measured, str]:
    spec, cache, progress = job.spec, job.store.places.hub, job.progress(file.path)
    path = job.retried(
        lambda: hub.download(spec, commit, file, cache, progress), f"fetching {file.path} of {spec.repository}"
    )
    found = job.measured(path, file.expected)
    return path, found, file.expected.difference(found)


def _set_aside(job: Job, path: Path, difference: str) -> None:
    job.set_aside(path.resolve(), difference)
    hub.forget(path)


def _adopted(job: Job, commit: str, file: hub.RemoteFile) -> FileEntry:
    path = _path(job, commit, file)
    found = job.measured(path, file.expected)
    if difference := file.expected.difference(found):
        raise NotInStore(
            f"{path} is damaged ({difference}), and the network is not to be used",
            f"run `imgtool warm-cache {job.spec.name}` where there is a network",
        )
    return _entry(job, commit, path, file, found, True)


def _entry(job: Job, commit: str, path: Path, file: hub.RemoteFile, found: Measured, was_here: bool) -> FileEntry:
    if file.path.endswith(".safetensors"):
        check_safetensors(path)
    return job.entry(hub.snapshot_folder(job.spec, commit), file.path, found, was_here)


def _manifest(job: Job, commit: str, files: list[FileEntry]) -> Manifest:
    spec = job.spec
    return Manifest(
        name=spec.name,
        origin=Origin.HUB,
        repository=spec.repository,
        revision=spec.revision,
        commit=commit,
        created=now(),
        root=Root.HUB,
        base=hub.snapshot_folder(spec, commit),
        files=tuple(files),
        licence=spec.licence,
    )
