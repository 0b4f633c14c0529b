"""A model from the hub: listed, fetched file by file, each compared with the hash that the hub states."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from imgtool.files import require_space, write_atomically
from imgtool.weights.errors import NotInStore, WrongHash
from imgtool.weights.fetching import hub
from imgtool.weights.fetching.connection import host_of, hub_endpoint
from imgtool.weights.fetching.fetch_job import FetchJob
from imgtool.weights.fetching.hub_errors import offline
from imgtool.weights.hashing import ExpectedFile, MeasuredFile
from imgtool.weights.manifest import FileEntry, Manifest, Origin
from imgtool.weights.places import Places, Root, is_commit, unfinished_downloads
from imgtool.weights.safetensors import check_safetensors


def from_hub(job: FetchJob) -> Manifest:
    """The files of ``job``'s model in the hub's cache, fetched where they are missing, all verified.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``.
    """
    spec, cache, before, revision = job.spec, job.store.places.hub, job.before, job.spec.revision
    # A damaged or incomplete model is repaired at its commit; only a refresh moves it to a newer one.
    if before is not None and before.commit is not None and not job.options.refresh and before.serves(spec):
        revision = before.commit
    command, host = job.store.command(spec), host_of(hub_endpoint())
    listing = job.retried(lambda: hub.listing(spec, revision, command), f"asking {host} about {spec.repository}")
    paths = {name: hub.cached_path(cache, spec, listing.commit, name) for name in listing.files}
    # What a killed process has left is not resumed, and takes the room of this one.
    for left in unfinished_downloads(cache, spec.repository, unique=True):
        with suppress(OSError):
            left.unlink()
    require_space(cache, sum(listing.files[name].size or 0 for name, path in paths.items() if not path.exists()))
    files = [_verified(job, listing.commit, name, expected) for name, expected in listing.files.items()]
    return job.manifest(Origin.HUB, Root.HUB, hub.snapshot_folder(spec, listing.commit), files, listing.commit)


def from_hub_cache(job: FetchJob) -> Manifest:
    """The files of ``job``'s model that the hub's cache has, verified without any network call.

    Raises:
        NotInStore: a file is missing from it or damaged.
    """
    listing = hub.cached(job.spec, job.store.places.hub)
    if listing is None:
        raise offline(job.spec, job.store.command(job.spec))
    files = []
    for name, expected in listing.files.items():
        path = hub.cached_path(job.store.places.hub, job.spec, listing.commit, name)
        found = job.measured(path, expected)
        if difference := expected.difference(found):
            raise NotInStore(
                f"{path} is damaged ({difference}), and the network must not be used",
                f"{job.store.command(job.spec).fetching_again} where there is a network",
            )
        files.append(_entry(job, listing.commit, path, name, found, was_here=True))
    return job.manifest(Origin.HUB, Root.HUB, hub.snapshot_folder(job.spec, listing.commit), files, listing.commit)


def name_revision(manifest: Manifest, places: Places) -> None:
    """Record in the hub's cache which commit the revision of ``manifest`` means, so that upstream's libraries find the
    model by name.

    The hub's library does this only for models fetched by the name of a branch, and here they are fetched by commit.
    Does nothing if the record is right already or the model came from elsewhere.

    Raises:
        imgtool.errors.StoreNotWritable: the cache cannot be written.
    """
    if manifest.origin is not Origin.HUB or manifest.commit is None or is_commit(manifest.revision):
        return
    path = places.hub / manifest.base.partition("/")[0] / "refs" / manifest.revision
    try:
        if path.read_text(encoding="utf-8").strip() == manifest.commit:
            return
    except (OSError, ValueError):
        pass
    write_atomically(path, manifest.commit.encode())


def _verified(job: FetchJob, commit: str, file: str, expected: ExpectedFile) -> FileEntry:
    spec, cache, command = job.spec, job.store.places.hub, job.store.command(job.spec)
    was_here = hub.cached_path(cache, spec, commit, file).exists()
    for _ in range(2):
        path = job.retried(
            lambda: hub.download(spec, commit, file, expected.size or 0, cache, job.progress(file), command),
            f"fetching {file} of {spec.repository}",
        )
        found = job.measured(path, expected)
        if not (difference := expected.difference(found)):
            return _entry(job, commit, path, file, found, was_here)
        job.set_aside(path.resolve(), difference)
        hub.forget(path)
        was_here = False
    raise WrongHash(
        f"{file} of {spec.repository} was fetched twice and is not what the hub describes: {difference}",
        "check HF_ENDPOINT and the proxy: something changes files during the transfer",
    )


def _entry(job: FetchJob, commit: str, path: Path, file: str, found: MeasuredFile, was_here: bool) -> FileEntry:
    if file.endswith(".safetensors"):
        check_safetensors(path, "choose another revision: this one is damaged at the hub")
    return job.entry(hub.snapshot_folder(job.spec, commit), file, found, was_here)
