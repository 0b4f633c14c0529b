"""Fetching a model: from the hub, from EasyOCR's archive, from a cache that has it, or from a folder.

The manifest is written last, when every file is in place and verified, so a model whose fetch was killed does not look
complete. Upstream's weights go where upstream's libraries look for them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from imgtool.weights.catalogue import Kind, ModelSpec
from imgtool.weights.fetching.fetch_job import FetchJob, FetchOptions, FetchOutcome
from imgtool.weights.fetching.from_easyocr import from_easyocr
from imgtool.weights.fetching.from_folder import import_repository
from imgtool.weights.fetching.from_hub import from_hub, from_hub_cache
from imgtool.weights.fetching.from_synthetic import from_synthetic
from imgtool.weights.fetching.hub import offline_by_environment
from imgtool.weights.manifest import Manifest
from imgtool.weights.observer import SILENT, FetchObserver
from imgtool.weights.store import ModelStore


@dataclass(frozen=True)
class Fetched:
    """The result of a fetch. ``bytes_downloaded`` counts each file once, without repeated transfers."""

    name: str
    outcome: FetchOutcome
    manifest: Manifest
    bytes_downloaded: int = 0
    retries: int = 0
    seconds: float = 0.0
    set_aside: tuple[Path, ...] = ()


def fetch(
    spec: ModelSpec, store: ModelStore, options: FetchOptions | None = None, observer: FetchObserver = SILENT
) -> Fetched:
    """Make ``spec`` complete in ``store``. If it is already, this does nothing and takes no lock.

    If several processes ask for the same model, one of them fetches it and the others wait.

    Raises:
        imgtool.errors.ImgtoolError: one of ``imgtool.weights.errors``, with its remedy.
    """
    options, started = options or FetchOptions(), time.perf_counter()

    def present() -> Fetched | None:
        if options.refresh:
            return None
        status = store.status(spec, full=options.full)
        if not status.complete or status.manifest is None:
            return None
        return Fetched(spec.name, FetchOutcome.PRESENT, status.manifest, seconds=time.perf_counter() - started)

    if (found := present()) is not None:
        return found
    with store.lock(
        spec.name,
        timeout=options.lock_timeout,
        on_wait=lambda: observer.waiting(spec.name),
        work=f"fetching {spec.name}",
    ):
        if (found := present()) is not None:
            return found
        job = FetchJob(spec, store, options, observer, store.manifest(spec.name))
        if spec.kind is Kind.SYNTHETIC:
            manifest = from_synthetic(job)
        elif spec.kind is Kind.EASYOCR:
            manifest = from_easyocr(job)
        elif options.source is not None:
            manifest = import_repository(job, options.source)
        elif options.offline or offline_by_environment():
            manifest = from_hub_cache(job)
        else:
            manifest = from_hub(job)
        store.record(manifest)
    seconds = time.perf_counter() - started
    return Fetched(spec.name, job.outcome, manifest, job.bytes_downloaded, job.retries, seconds, tuple(job.moved))
