"""A model from the hub: listed, fetched file by file, each compared with what the hub says that it is."""

from __future__ import annotations

from pathlib import Path

from imgtool.files import require_space, write_atomically
from imgtool.weights.errors import NotInStore, WrongHash
from imgtool.weights.fetching import hub
from imgtool.weights.fetching.fetch_job import FetchJob
from imgtool.weights.fetching.hub_errors import offline
from imgtool.weights.hashing import MeasuredFile
from imgtool.weights.manifest import FileEntry, Manifest, Origin, now
from imgtool.weights.places import Places, Root, is_commit
from imgtool.weights.safetensors import check_safetensors


def from_hub(job: FetchJob) -> Manifest:
    """The files of ``job``'s model in the hub's cache, fetched where they are missing, all verified.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``.
    """
    spec, cache, before, revision = job.spec, job.store.places.hub, job.before, job.spec.revision
    # A damaged or incomplete model is repaired at the commit it had; only a refresh moves it to a newer one.
    if before is not None and before.commit is not None and not job.options.refresh and before.serves(spec):
        revision = before.commit
    command = job.store.command(spec)
    listing = job.retried(lambda: hub.listing(spec, revision, command), f"asking the hub about {spec.repository}")
    missing = [file for file in listing.files if not _path(job, listing.commit, file).exists()]
    require_space(cache, sum(file.expected.size or 0 for file in missing))
    return _manifest(job, listing.commit, [_verified(job, listing.commit, file) for file in listing.files])


def from_hub_cache(job: FetchJob) -> Manifest:
    """The same from what the hub's cache has, without any network call.

    Raises:
        NotInStore: it does not have everything, or a file in it is damaged.
    """
    listing = hub.cached(job.spec, job.store.places.hub)
    if listing is None:
        raise offline(job.spec, job.store.command(job.spec))
    files = []
    for file in listing.files:
        path = _path(job, listing.commit, file)
        found = job.measured(path, file.expected)
        if difference := file.expected.difference(found):
            raise NotInStore(
                f"{path} is damaged ({difference}), and the network is not to be used",
                f"{job.store.command(job.spec).fetching_again} where there is a network",
            )
        files.append(_entry(job, listing.commit, path, file, found, was_here=True))
    return _manifest(job, listing.commit, files)


def name_revision(manifest: Manifest, places: Places) -> None:
    """Write down in the hub's cache which commit the revision of ``manifest`` stands for, as its own library does, so
    that upstream's libraries find the model by name.

    Models are fetched by commit, and then that library leaves the name of the branch out. Does nothing where the
    name is right already, or where the model came from elsewhere.

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


def _verified(job: FetchJob, commit: str, file: hub.RemoteFile) -> FileEntry:
    spec, cache, was_here = job.spec, job.store.places.hub, _path(job, commit, file).exists()
    for _ in range(2):
        path = job.retried(
            lambda: hub.download(spec, commit, file, cache, job.progress(file.path), job.store.command(spec)),
            f"fetching {file.path} of {spec.repository}",
        )
        found = job.measured(path, file.expected)
        difference = file.expected.difference(found)
        if not difference:
            return _entry(job, commit, path, file, found, was_here)
        job.set_aside(path.resolve(), difference)
        hub.forget(path)
        was_here = False
    raise WrongHash(
        f"{file.path} of {spec.repository} was fetched twice and is not what the hub describes: {difference}",
        "check HF_ENDPOINT and the proxy: something changes files on their way",
    )


def _path(job: FetchJob, commit: str, file: hub.RemoteFile) -> Path:
    return hub.cached_path(job.store.places.hub, job.spec, commit, file.path)


def _entry(
    job: FetchJob, commit: str, path: Path, file: hub.RemoteFile, found: MeasuredFile, was_here: bool
) -> FileEntry:
    if file.path.endswith(".safetensors"):
        check_safetensors(
            path, f"choose another revision with {job.spec.name}@REVISION: this one is damaged at the hub"
        )
    return job.entry(hub.snapshot_folder(job.spec, commit), file.path, found, was_here)


def _manifest(job: FetchJob, commit: str, files: list[FileEntry]) -> Manifest:
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
