"""What the service says about itself: health, figures, capacity, and its cache."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.responses import PlainTextResponse, Response

from imgtool.engine.cache.removal import execute
from imgtool.engine.cache.upkeep import plan_clear, plan_records
from imgtool.engine.statistics import Statistics
from imgtool.errors import ImgtoolError
from imgtool.options import cache_root
from imgtool.service.gate import require
from imgtool.service.keys import Role
from imgtool.service.predict import check_names, checked_hash
from imgtool.service.problems import HttpProblem, encode, from_error
from imgtool.types import Task

if TYPE_CHECKING:
    from starlette.requests import Request

    from imgtool.engine.engine import Engine
    from imgtool.options import ServiceOptions
    from imgtool.service.predict import Pace

LIVE_TEXT = "ok\n"

_FIGURES_SECONDS = 1.0
"""Figures are counted anew no more often than this: the store is asked for them."""


_SHARED_SECONDS = (2.0, 5.0)
"""How long connecting to the shared cache, and its answer, may take where somebody waits for it to be cleared."""


class ModelStats(Struct, frozen=True, kw_only=True):
    """The figures of ``/model/stats``, with the fields of the documents. Times are seconds."""

    total_predictions: int
    cache_hits: int
    cache_misses: int
    cache_hit_rate: float
    total_inference_time: float
    average_inference_time: float
    warmup_completed: bool


class CacheInfo(Struct, frozen=True, kw_only=True):
    """The local tier of the cache. Sizes are bytes; ``None`` where the store does not say."""

    enabled: bool
    tier: str = "local"
    entries: int | None = None
    bytes: int | None = None
    limit_bytes: int | None = None


class Removed(Struct, frozen=True):
    """What was removed from the cache."""

    removed: int


class Capacity(Struct, frozen=True, kw_only=True):
    """How busy the service is. ``images_per_second`` is what was computed in the last minute, ``wait_seconds`` how long
    a new image would wait; ``None`` where nothing was computed."""

    workers: int
    waiting: int
    in_hand: int
    queue_limit: int
    free: int
    images_per_second: float | None
    wait_seconds: float | None


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether the service takes work. ``loaded`` are tasks whose model is loaded, ``failed`` why others are not."""

    ready: bool
    draining: bool
    loaded: list[str]
    waiting_for: list[str]
    failed: dict[str, Any]


class StatusPages:
    """The endpoints about the service itself."""

    def __init__(
        self,
        engine: Engine,
        options: ServiceOptions,
        pace: Pace,
        is_draining: Callable[[], bool],
        on_removed: Callable[[], None],
    ) -> None:
        """``on_removed`` is called when something was removed from the cache."""
        self._engine = engine
        self._options = options
        self._pace = pace
        self._is_draining = is_draining
        self._on_removed = on_removed
        self._figures: tuple[float, Statistics] | None = None

    async def live(self, _: Request) -> Response:
        """``GET /livez``: that the process answers, whatever else it does."""
        return PlainTextResponse(LIVE_TEXT)

    async def ready(self, _: Request) -> Response:
        """``GET /readyz``: 200 once the models are loaded, 503 before and while the service drains."""
        found = self.readiness()
        return encode(found, 200 if found.ready else 503, {"cache-control": "no-store"})

    def readiness(self) -> Readiness:
        """Whether it takes work."""
        tasks = [task.value for task in Task if task in self._engine.plan.chosen]
        loaded = set(self._engine.loaded_tasks)
        failed = self._engine.model_problems
        waiting_for = [task for task in tasks if task not in loaded and task not in failed]
        draining = self._is_draining()
        return Readiness(
            ready=not draining and not waiting_for and bool(loaded),
            draining=draining,
            loaded=[task for task in tasks if task in loaded],
            waiting_for=waiting_for,
            failed=failed,
        )

    async def stats(self, _: Request) -> Response:
        """``GET /v1/stats``: what ``analyze --stats`` writes, of everything that was asked since the start."""
        return encode(await self.figures())

    async def model_stats(self, _: Request) -> Response:
        """``GET /model/stats``."""
        figures = await self.figures()
        return encode(
            ModelStats(
                total_predictions=figures.images,
                cache_hits=figures.hits,
                cache_misses=figures.misses,
                cache_hit_rate=round(figures.hit_rate_percent or 0.0, 3),
                total_inference_time=figures.inference_seconds_total,
                average_inference_time=figures.inference_seconds_mean or 0.0,
                warmup_completed=figures.warmed_up,
            )
        )

    async def capacity(self, _: Request) -> Response:
        """``GET /v1/capacity``."""
        load = self._engine.load
        rate = self._pace.per_second
        return encode(
            Capacity(
                workers=self._engine.options.workers,
                waiting=load.waiting,
                in_hand=load.in_hand,
                queue_limit=self._options.queue,
                free=max(0, self._options.queue - load.waiting),
                images_per_second=None if rate is None else round(rate, 3),
                wait_seconds=None if rate is None else round((load.waiting + load.in_hand) / rate, 3),
            )
        )

    async def cache(self, request: Request) -> Response:
        """``GET /v1/cache``, and ``DELETE``."""
        if request.method == "DELETE":
            return await self.clear_cache(request)
        found = (await self.figures()).cache
        if found is None or not found.enabled:
            return encode(CacheInfo(enabled=False))
        info = CacheInfo(enabled=True, entries=found.entries, bytes=found.bytes, limit_bytes=found.limit_bytes)
        return encode(info)

    async def clear_cache(self, request: Request) -> Response:
        """``DELETE /v1/cache`` and ``DELETE /v1/cache/{sha256}``."""
        require(request.state.caller, Role.ADMIN, "removing results")
        check_names(request.query_params, ())
        named = request.path_params.get("sha256")
        sha256 = None if named is None else checked_hash(named)
        if not self._engine.options.cache:
            raise HttpProblem("conflict", "this service keeps no results", "start it without --no-cache")
        root = cache_root(self._engine.options)

        def remove() -> int:
            plan = plan_clear(root) if sha256 is None else plan_records(root, sha256)
            # The shared tier first: what it still has would come back at once.
            self._remove_shared(None if sha256 is None else {sha256, *plan.keys})
            if not plan.is_empty:
                execute(plan)
            return plan.records

        try:
            removed = await asyncio.to_thread(remove)
        except ImgtoolError as error:
            raise from_error(error) from error
        finally:
            self._on_removed()
        self._figures = None
        if sha256 is not None and not removed:
            raise HttpProblem("not_kept", "no answer is kept for this image", "there is nothing to remove")
        return encode(Removed(removed))

    def _remove_shared(self, keys: Collection[str] | None) -> None:
        """Have the shared cache forget what this service would find there of some records; ``None``: everything.

        Raises:
            HttpProblem: it cannot be asked.
        """
        url = self._engine.options.shared_url
        if url is None:
            return
        from imgtool.engine.cache.shared.answers import Question
        from imgtool.engine.cache.shared.redis_client import RedisClient

        client = RedisClient(url, *_SHARED_SECONDS)
        try:
            if keys is None:
                client.clear()
            else:
                chosen = self._engine.plan.chosen
                client.forget([Question(key, task, chosen[task].fingerprint).name for key in keys for task in chosen])
        except ImgtoolError as error:
            text = f"the shared cache {error}; nothing was removed"
            raise HttpProblem("shared_cache_failed", text, error.remedy) from error
        finally:
            client.close()

    async def figures(self) -> Statistics:
        """Everything that was asked since the start, in figures; at most a second old."""
        now = time.monotonic()
        if self._figures is None or now - self._figures[0] > _FIGURES_SECONDS:
            found = await asyncio.to_thread(lambda: self._engine.submitted)
            self._figures = (now, msgspec.structs.replace(found))
        return self._figures[1]
