"""Figures for Prometheus. Names and units follow the conventions of OpenTelemetry."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

from imgtool import __version__
from imgtool.types import ImageResult

if TYPE_CHECKING:
    from starlette.requests import Request

    from imgtool.engine.engine import Engine
    from imgtool.engine.statistics import Statistics
    from imgtool.service.gate import Noted

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60)
_TASK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_MEMORY = {"RssAnon": "anon", "RssFile": "file", "RssShmem": "shared"}
LOCAL_TIER, SHARED_TIER = "local", "shared"


class Metrics:
    """Counts while requests go by, and reads the rest where it is when it is asked."""

    def __init__(
        self,
        engine: Engine,
        active_requests: Callable[[], int],
        job_counts: Callable[[], Coroutine[None, None, dict[str, int]]],
    ) -> None:
        self._job_counts = job_counts
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "Time to answer a request.",
            ["http_request_method", "http_route", "http_response_status_code"],
            buckets=_REQUEST_BUCKETS,
            registry=self._registry,
        )
        # Finding those with the same labels takes longer than counting.
        self._by_labels: dict[tuple[str, str, int], Histogram] = {}
        self._images = Counter("imgtool_images", "Images answered.", ["status"], registry=self._registry)
        self._problems = Counter("imgtool_problems", "Requests refused or failed.", ["code"], registry=self._registry)
        self._tasks = Histogram(
            "imgtool_task_duration_seconds",
            "Time of an engine with one image.",
            ["task", "engine"],
            buckets=_TASK_BUCKETS,
            registry=self._registry,
        )
        self._live = _Live(engine, active_requests)
        self._registry.register(self._live)

    def request(self, noted: Noted) -> None:
        """A request was answered."""
        labels = (noted.method if noted.method in _METHODS else "_OTHER", noted.route, noted.status)
        if (of_these := self._by_labels.get(labels)) is None:
            of_these = self._by_labels[labels] = self._requests.labels(*labels)
        of_these.observe(noted.seconds)
        if noted.code is not None:
            self._problems.labels(noted.code).inc()

    def result(self, result: ImageResult) -> None:
        """A result was given out."""
        self._images.labels(result.status).inc()
        for task, answer in result.tasks.items():
            if answer.error is None and not answer.from_cache:
                self._tasks.labels(task, answer.engine).observe(answer.seconds)

    async def page(self, request: Request) -> Response:
        """``GET /metrics``."""
        self._live.jobs = await self._job_counts()
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        text = await asyncio.to_thread(encode, self._registry)
        return Response(text, headers={"content-type": kind, "cache-control": "no-store"})


class _Live(Collector):
    """What is read at the moment."""

    def __init__(self, engine: Engine, active_requests: Callable[[], int]) -> None:
        self._engine = engine
        self._active_requests = active_requests
        self.jobs: Mapping[str, int] = {}

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        load, figures = self._engine.load, self._engine.submitted
        yield _gauge("http_server_active_requests", "Requests being answered.", self._active_requests())
        yield _gauge("imgtool_queue_images", "Images that wait to be computed.", load.waiting)
        yield _gauge("imgtool_in_hand_images", "Images that workers have been given.", load.in_hand)
        yield _gauge("imgtool_workers_allowed", "Worker processes there may be.", figures.workers.allowed)
        for name, what in (
            ("started", "started"),
            ("died", "died"),
            ("timed_out", "stopped"),
            ("recycled", "replaced"),
        ):
            metric = {"died": "imgtool_worker_deaths"}.get(name, f"imgtool_worker_{name}")
            yield CounterMetricFamily(metric, f"Workers {what}.", getattr(figures.workers, name))
        loads = GaugeMetricFamily(
            "imgtool_model_load_seconds", "Time of the latest load of a model.", labels=["task", "engine"]
        )
        for model in {(each.task, each.analyzer): each for each in figures.models}.values():
            loads.add_metric([model.task, model.analyzer], model.import_seconds + model.load_seconds)
        yield loads
        jobs = GaugeMetricFamily("imgtool_jobs", "Jobs by state.", labels=["state"])
        for state in ("queued", "running", "done", "failed", "cancelled", "expired"):
            jobs.add_metric([state], self.jobs.get(state, 0))
        yield jobs
        memory = GaugeMetricFamily("imgtool_memory_bytes", "Resident memory by kind.", labels=["process", "kind"])
        for process, kinds in process_memory().items():
            for kind, size in kinds.items():
                memory.add_metric([process, kind], size)
        yield memory
        yield from _cache_requests(figures)
        if figures.cache is not None and figures.cache.enabled:
            for name, what in (("entries", "Records"), ("bytes", "Bytes"), ("limit_bytes", "Most bytes")):
                value = getattr(figures.cache, name)
                if value is not None:
                    kept = GaugeMetricFamily(f"imgtool_cache_{name}", f"{what} of the cache.", labels=["tier"])
                    kept.add_metric([LOCAL_TIER], value)
                    yield kept
        with suppress(OSError):
            opened = sum(1 for _ in Path("/proc/self/fd").iterdir())
            yield _gauge("imgtool_open_file_descriptors", "Open files and connections of the service.", opened)
        info = GaugeMetricFamily("imgtool_build_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value)


def _cache_requests(figures: Statistics) -> Iterator[Metric]:
    """What was asked of each tier: of the shared one, what the local one did not have."""
    asked = CounterMetricFamily("imgtool_cache_requests", "Images looked up.", labels=["tier", "outcome"])
    asked.add_metric([LOCAL_TIER, "hit"], figures.hits_local)
    asked.add_metric([LOCAL_TIER, "miss"], figures.hits_shared + figures.misses)
    shared = None if figures.cache is None else figures.cache.shared
    if shared is None:
        yield asked
        return
    asked.add_metric([SHARED_TIER, "hit"], figures.hits_shared)
    asked.add_metric([SHARED_TIER, "miss"], figures.misses)
    yield asked
    name = "imgtool_shared_cache"
    yield CounterMetricFamily(f"{name}_failures", "Times the shared cache was asked in vain.", shared.failures)
    yield CounterMetricFamily(f"{name}_written", "Answers written to the shared cache.", shared.written)
    yield CounterMetricFamily(f"{name}_dropped", "Answers that were not written to it.", shared.dropped)


def process_memory() -> dict[str, dict[str, int]]:
    """Resident bytes of this process and of its workers, by kind: their own (``anon``), mapped files, shared."""
    workers: dict[str, int] = dict.fromkeys(_MEMORY.values(), 0)
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            for kind, size in _memory_of(child.pid).items():
                workers[kind] += size
    return {"service": _memory_of(os.getpid()), "workers": workers}


def _memory_of(pid: int) -> dict[str, int]:
    found = {}
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in _MEMORY:
                found[_MEMORY[name]] = 1024 * int(value.split()[0])
    return found
