"""The service as one ASGI application: what answers at which address, behind the gate that all requests pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route, Router

from imgtool.service.bodies import BodyReader
from imgtool.service.gate import LOCAL_NAMES, Gate, Noted
from imgtool.service.keys import KeyRing
from imgtool.service.limits import RateLimiter
from imgtool.service.predict import Predictor
from imgtool.service.status import StatusPages
from imgtool.types import ImageResult

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from imgtool.engine.engine import Engine
    from imgtool.options import ServiceOptions

GZIP_BYTES = 1024


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
        self.predictor = Predictor(engine, options, self.bodies, self._on_result)
        self.status = StatusPages(engine, options, self.predictor.pace, lambda: self.draining)
        keys = None if options.api_keys is None else KeyRing(options.api_keys.expanduser(), warn)
        storage = options.rate_limit_storage
        limiter = None if options.rate_limit is None else RateLimiter(options.rate_limit, storage, warn)
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

    def _routes(self) -> list[Route]:
        predictor, status = self.predictor, self.status
        return [
            Route("/v1/predict", predictor.predict, methods=["POST"]),
            Route("/predict", predictor.predict_alias, methods=["POST"]),
            Route("/v1/results/{sha256}", predictor.by_hash, methods=["GET"]),
            Route("/v1/events/{id}", predictor.events, methods=["GET"]),
            Route("/v1/stats", status.stats, methods=["GET"]),
            Route("/v1/capacity", status.capacity, methods=["GET"]),
            Route("/v1/cache", status.cache, methods=["GET", "DELETE"]),
            Route("/v1/cache/{sha256}", status.clear_cache, methods=["DELETE"]),
            Route("/model/stats", status.model_stats, methods=["GET"]),
            Route("/model/cache", status.cache, methods=["GET", "DELETE"]),
            Route("/livez", status.live, methods=["GET"]),
            Route("/readyz", status.ready, methods=["GET"]),
        ]

    @property
    def busy(self) -> bool:
        """Whether somebody is still being answered."""
        return self.app.active > 0

    def _on_result(self, result: ImageResult) -> None:
        """Count a result that was given out."""

    def _on_request(self, noted: Noted) -> None:
        self._log(noted)
