"""The service as one ASGI application: what answers at which address, behind the gate that all requests pass."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route, Router

from imgtool.engine.files.discover import Rules
from imgtool.options import cache_root
from imgtool.service.bodies import GZIP_BYTES, BodyReader
from imgtool.service.connections.at_once import AtOnce
from imgtool.service.gate import LOCAL_NAMES, Gate, Noted
from imgtool.service.jobs.endpoints import JobPages
from imgtool.service.jobs.journal import Journal
from imgtool.service.jobs.paths import Root
from imgtool.service.jobs.runner import JobRunner
from imgtool.service.keys import KeyRing
from imgtool.service.limits import RateLimiter
from imgtool.service.metrics import Metrics
from imgtool.service.pages import Pages
from imgtool.service.predict import Predictor
from imgtool.service.recent_answers import RecentAnswers
from imgtool.service.status import StatusPages
from imgtool.types import ImageResult, Task

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from imgtool.engine.engine import Engine
    from imgtool.options import ServiceOptions


class Service:
    """Everything behind the addresses. Made in the process that serves, closed after the last answer."""

    def __init__(
        self,
        engine: Engine,
        options: ServiceOptions,
        *,
        log: Callable[[Noted], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
        report_bug: Callable[[Noted, Exception], None] = lambda *_: None,
    ) -> None:
        """
        Raises:
            imgtool.errors.ConfigProblem: the file of keys cannot be used.
            imgtool.errors.UsageProblem: the rate limit cannot be read.
        """
        self.engine = engine
        self.draining = False
        self.bodies = BodyReader(options.max_body)
        self._log = log
        self._warn = warn
        root = cache_root(engine.options) if engine.options.cache else None
        self.recent = RecentAnswers(root, engine.options.cache_ttl)
        self.predictor = Predictor(engine, options, self.bodies, self.recent, self._on_result)
        keys = None if options.api_keys is None else KeyRing(options.api_keys.expanduser(), warn)
        storage = options.rate_limit_storage
        limiter = None if options.rate_limit is None else RateLimiter(options.rate_limit, storage, warn)
        self.journal = Journal(options.jobs_dir or cache_root(engine.options) / "jobs")
        rules = Rules(engine.options.include, engine.options.exclude, engine.options.hidden)
        images = None if options.root is None else Root(options.root, rules)
        self.runner = JobRunner(engine, self.journal, images, self.predictor.note)
        self.jobs = JobPages(engine, self.journal, self.runner, images, self.bodies)
        self._job_ttl = options.job_ttl
        self._upkeep: asyncio.Task[None] | None = None
        self.status = StatusPages(engine, options, self.predictor.pace, lambda: self.draining, self.recent.forget)
        tasks = tuple(task.value for task in Task if task in engine.plan.chosen)
        self.pages = Pages(tasks, engine.options.languages, options.deadline)
        self.metrics = Metrics(engine, lambda: self.app.active, self.journal.counts)
        router: ASGIApp = Router(self._routes(), redirect_slashes=False)
        self.app = Gate(
            GZipMiddleware(router, minimum_size=GZIP_BYTES, compresslevel=5),
            keys=keys,
            limiter=limiter,
            local_names=LOCAL_NAMES | {options.host} if keys is None else frozenset(),
            is_draining=lambda: self.draining,
            note=self._on_request,
            report_bug=report_bug,
        )
        self.at_once = AtOnce(self.app, self.recent, self._on_recent)

    def _routes(self) -> list[Route]:
        predictor, status, jobs = self.predictor, self.status, self.jobs
        return [
            Route("/v1/predict", predictor.predict, methods=["POST"]),
            Route("/predict", predictor.predict_alias, methods=["POST"]),
            Route("/v1/results/{sha256}", predictor.by_hash, methods=["GET"]),
            Route("/v1/events/{id}", predictor.events, methods=["GET"]),
            Route("/v1/jobs", jobs.all, methods=["GET", "POST"]),
            Route("/v1/jobs/{id}", jobs.one, methods=["GET", "DELETE"]),
            Route("/v1/jobs/{id}/events", jobs.events, methods=["GET"]),
            Route("/v1/jobs/{id}/results", jobs.results, methods=["GET"]),
            Route("/v1/stats", status.stats, methods=["GET"]),
            Route("/v1/capacity", status.capacity, methods=["GET"]),
            Route("/v1/cache", status.cache, methods=["GET", "DELETE"]),
            Route("/v1/cache/{sha256}", status.clear_cache, methods=["DELETE"]),
            Route("/model/stats", status.model_stats, methods=["GET"]),
            Route("/model/cache", status.cache, methods=["GET", "DELETE"]),
            Route("/", self.pages.home, methods=["GET"]),
            Route("/docs", self.pages.docs, methods=["GET"]),
            Route("/openapi.json", self.pages.openapi, methods=["GET"]),
            Route("/metrics", self.metrics.page, methods=["GET"]),
            Route("/livez", status.live, methods=["GET"]),
            Route("/readyz", status.ready, methods=["GET"]),
        ]

    async def start(self) -> None:
        """Go on with the jobs that an earlier process left."""
        left = await self.runner.resume()
        if left:
            self._warn(f"going on with {left} job{'s' if left > 1 else ''} of an earlier run")
        self._upkeep = asyncio.get_running_loop().create_task(self._keep_up())

    async def drain(self) -> None:
        """Take no new work, and let go of the jobs: they go on when the service is started again."""
        self.draining = True
        await self.runner.stop()

    async def close(self) -> None:
        """After the last answer."""
        if self._upkeep is not None:
            self._upkeep.cancel()
        await self.runner.stop()
        self.journal.close()

    async def _keep_up(self) -> None:
        """Remove the results of jobs that ended long ago."""
        while True:
            try:
                await self.journal.expire(self._job_ttl)
            except sqlite3.Error as error:
                self._warn(f"the journal of jobs cannot be tidied: {error}")
            await asyncio.sleep(min(60.0, max(0.2, self._job_ttl / 4)))

    @property
    def busy(self) -> bool:
        """Whether somebody is still being answered."""
        return self.app.active > 0

    def _on_result(self, result: ImageResult) -> None:
        self.metrics.result(result)

    def _on_recent(self, result: ImageResult) -> None:
        self.engine.count(result)
        self.metrics.result(result)

    def _on_request(self, noted: Noted) -> None:
        self.metrics.request(noted)
        self._log(noted)
