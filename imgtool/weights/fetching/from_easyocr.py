"""A model of EasyOCR: the weights in EasyOCR's directory, verified by EasyOCR's own table."""

from __future__ import annotations

from imgtool.weights.easyocr_table import table_entry
from imgtool.weights.errors import BrokenArchive, NotInStore, WrongHash
from imgtool.weights.fetching.easyocr_files import address, download
from imgtool.weights.fetching.fetch_job import FetchJob, FetchOutcome
from imgtool.weights.fetching.from_folder import import_weights
from imgtool.weights.hashing import ExpectedFile
from imgtool.weights.manifest import Manifest, Origin
from imgtool.weights.places import Root


def from_easyocr(job: FetchJob) -> Manifest:
    """The weights of ``job``'s model in EasyOCR's directory, fetched unless the right ones are there.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``.
    """
    spec, store, source, entry = job.spec, job.store, job.options.source, table_entry(job.spec)
    folder, expected = store.places.easyocr, ExpectedFile(md5=entry.md5)
    target, problem, difference = folder / entry.filename, "", ""
    if not target.is_file():
        problem = f"{target} is missing"
    elif difference := expected.difference(job.measured(target, expected)):
        problem = f"{target} is damaged ({difference})"
    if problem and job.options.offline and source is None:
        raise NotInStore(
            f"{problem}, and the network must not be used",
            f"{store.command(spec).fetching_again} where there is a network, or give --from DIR",
        )
    if difference:
        job.set_aside(target, difference)
    if problem and source is not None:
        job.outcome = FetchOutcome.IMPORTED
        import_weights(entry, source, folder)
    elif problem:

        def attempt() -> None:
            scratch, progress = store.folder_of(spec.name), job.progress(entry.filename)
            job.retried(lambda: download(entry, folder, scratch, progress), f"fetching {address(entry)}")

        try:
            attempt()
        except (WrongHash, BrokenArchive) as error:
            # The damaged archive has been deleted: fetch it anew, once.
            job.retrying(1, str(error), 0.0)
            attempt()
    found = job.entry(".", entry.filename, job.measured(target, expected), not problem)
    return job.manifest(Origin.EASYOCR, Root.EASYOCR, ".", [found])
