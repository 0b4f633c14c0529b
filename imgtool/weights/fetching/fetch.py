"""Bringing a model here: from the hub, from EasyOCR's archive, from a cache that has it, or from a folder.

The manifest is written last, when every file is in place and verified, so a process that is killed at any point
leaves a model that is plainly not there. Upstream's weights go where upstream's libraries look for them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from imgtool.weights.catalogue import Kind, ModelSpec
from imgtool.weights.fetching import from_folder, hub
from imgtool.weights.fetching.fetch_job import FetchOptions, Job, Outcome
from imgtool.weights.fetching.from_easyocr import from_easyocr
from imgtool.weights.fetching.from_hub import from_hub, from_hub_cache
from imgtool.weights.fetching.from_synthetic import from_synthetic
from imgtool.weights.manifest import Manifest
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.store import ModelStore

__all__ = ["FetchOptions", "Fetched", "Outcome", "fetch"]


@dataclass(frozen=True)
class Fetched:
    """How a fetch went. ``bytes_downloaded`` counts files, not what was sent twice."""

    name: str
    outcome: Outcome
    manifest: Manifest
    bytes_downloaded: int = 0
    retries: int = 0
    seconds: float = 0.0
    set_aside: tuple[Path, ...] = ()


def fetch(
    spec: ModelSpec,
    store: ModelStore,
    options: FetchOptions | None = None,
    observer: FetchObserver = SILENT,
) -> Fetched:
    """Make ``spec`` complete in ``store``. Does nothing, and takes no lock, where it is already.

    Of several processes that ask for the same model, one fetches; the others wait and find it complete.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``, with its remedy.
    """
    options = options or FetchOptions()
    started = time.perf_counter()
    if (manifest := _present(spec, store, options)) is not None:
        return Fetched(spec.name, Outcome.PRESENT, manifest, seconds=time.perf_counter() - started)
    with store.lock(
        spec.name,
        timeout=options.lock_timeout,
        on_wait=lambda: observer.waiting(spec.name),
        work=f"fetching {spec.name}",
    ):
        if (manifest := _present(spec, store, options)) is not None:
            return Fetched(spec.name, Outcome.PRESENT, manifest, seconds=time.perf_counter() - started)
        job = Job(spec, store, options, observer, store.manifest(spec.name))
        manifest = _run(job)
        store.record(manifest)
    return Fetched(
        spec.name,
        job.outcome,
        manifest,
        job.bytes_downloaded,
        job.retries,
        time.perf_counter() - started,
        tuple(job.moved),
    )


def _present(spec: ModelSpec, store: ModelStore, options: FetchOptions) -> Manifest | None:
    if options.refresh:
        return None
    status = store.status(spec, full=options.full)
    return status.manifest if status.complete else None


def _run(job: Job) -> Manifest:
    if job.spec.kind is Kind.SYNTHETIC:
        return from_synthetic(job)
    if job.spec.kind is Kind.EASYOCR:
        return from_easyocr(job)
    if job.options.source is not None:
        job.outcome = Outcome.IMPORTED
        return from_folder.import_repository(job.spec, job.options.source, job.store)
    if job.options.offline or hub.offline_by_environment():
        return from_hub_cache(job)
    return from_hub(job)
