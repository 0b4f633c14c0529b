"""A model of EasyOCR: the weights in EasyOCR's directory, verified by EasyOCR's own table."""

from __future__ import annotations

from imgtool.weights.easyocr_table import TableEntry, table_entry
from imgtool.weights.errors import BrokenArchive, NotInStore, WrongHash
from imgtool.weights.fetching import easyocr_files, from_folder
from imgtool.weights.fetching.fetch_job import Job, Outcome
from imgtool.weights.hashing import Expected
from imgtool.weights.manifest import Manifest, Origin, now
from imgtool.weights.places import Root


def from_easyocr(job: Job) -> Manifest:
    """The weights of ``job``'s model in EasyOCR's directory: those that are there if they are right, else new ones.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``.
    """
    entry = table_entry(job.spec)
    target, expected = job.store.places.easyocr / entry.filename, Expected(md5=entry.md5)
    was_here = target.is_file()
    if was_here and (difference := expected.difference(job.measured(target, expected))):
        _require_source(job, f"{target} is damaged ({difference})")
        job.set_aside(target, difference)
        was_here = False
    if not was_here:
        _require_source(job, f"{target} is missing")
        _bring(job, entry)
    return Manifest(
        name=job.spec.name,
        origin=Origin.EASYOCR,
        repository=job.spec.repository,
        created=now(),
        root=Root.EASYOCR,
        base=".",
        files=(job.entry(".", entry.filename, job.measured(target, expected), was_here),),
        licence=job.spec.licence,
    )


def _require_source(job: Job, reason: str) -> None:
    if job.options.offline and job.options.source is None:
        raise NotInStore(
            f"{reason}, and the network is not to be used",
            f"run `imgtool warm-cache {job.spec.name}` where there is a network, or give --from DIR",
        )


def _bring(job: Job, entry: TableEntry) -> None:
    if job.options.source is not None:
        job.outcome = Outcome.IMPORTED
        from_folder.import_weights(entry, job.options.source, job.store.places.easyocr)
        return
    try:
        _attempt(job, entry)
    except (WrongHash, BrokenArchive) as error:
        # The archive is gone by now: there was nothing in it worth setting aside.
        job.retrying(1, str(error), 0.0)
        _attempt(job, entry)


def _attempt(job: Job, entry: TableEntry) -> None:
    folder, scratch, progress = (
        job.store.places.easyocr,
        job.store.folder_of(job.spec.name),
        job.progress(entry.filename),
    )
    job.retried(
        lambda: easyocr_files.download(entry, folder, scratch, progress),
        f"fetching {easyocr_files.address(entry)}",
    )
