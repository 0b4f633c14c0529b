"""A scheduler with a pool that does what the test says, for tests of what goes through it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from imgtool.config import convert_options
from imgtool.engine.cache.background import BackgroundStore
from imgtool.engine.cache.memory import MemoryTier
from imgtool.engine.cache.records import Tier
from imgtool.engine.cache.tiers import TieredStore
from imgtool.engine.files.identify import Identifier
from imgtool.engine.plan import make_plan
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.scheduling.scheduler import Scheduler
from imgtool.engine.statistics import Tally
from imgtool.options import EngineOptions
from imgtool.runtime.protocol import ModelLoaded
from imgtool.types import ImageResult, Problem
from tests.fakes.pool import FakePool


class Heard:
    """What the scheduler told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.loaded: list[ModelLoaded] = []
        self.failed: dict[str, Problem] = {}

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def model_loaded(self, loaded: ModelLoaded) -> None:
        self.loaded.append(loaded)

    def model_failed(self, task: str, problem: Problem) -> None:
        self.failed[task] = problem


class Asked:
    """A request and what became of it."""

    def __init__(self, setting: Setting, request: PageRequest, parts: list[str]) -> None:
        self.setting = setting
        self.request = request
        self.done = threading.Event()
        self.parts = parts

    def result(self) -> ImageResult:
        assert self.done.wait(10), "never done"
        if self.request.failure is not None:
            raise self.request.failure
        return self.request.result(self.setting.plan, cache_enabled=True)


class Setting:
    """The parts of an engine around one scheduler."""

    def __init__(
        self,
        *tasks: str,
        tier: Tier | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 10.0,
        **options: Any,
    ) -> None:
        engines = {"caption_engine": "tests.planted:Hazard", "text_engine": "tests.planted:Fine"}
        self.options = convert_options(EngineOptions(), {"tasks": tasks or ("caption",), **engines, **options})
        self.plan = make_plan(self.options)
        self.tier = tier or MemoryTier()
        self.heard = Heard()
        self.identifier = Identifier(None, patience)
        self.scheduler = Scheduler(
            self.plan,
            self.identifier,
            lambda call_soon: TieredStore(BackgroundStore(lambda: self.tier, call_soon, self.heard.notice, patience)),
            FakePool,
            self.heard,
            clock,
        )
        pool = self.scheduler.pool
        assert isinstance(pool, FakePool)
        self.pool = pool

    def request(
        self,
        content: bytes,
        *,
        tasks: tuple[str, ...] | None = None,
        priority: int = 0,
        caller: Hashable = None,
        deadline: float | None = None,
        page: int = 0,
    ) -> Asked:
        """A request for the bytes of an image, not submitted yet."""
        asked: Asked
        parts: list[str] = []
        request = PageRequest(
            name=content.decode(),
            tasks=tuple(self.plan.chosen) if tasks is None else tasks,
            on_done=lambda _: asked.done.set(),
            on_part=parts.append,
            tally=Tally(),
            content=content,
            content_size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            priority=priority,
            caller=caller,
            deadline=deadline,
            page=page,
        )
        asked = Asked(self, request, parts)
        return asked

    def ask(self, content: bytes, **how: Any) -> Asked:
        """A request that is submitted."""
        asked = self.request(content, **how)
        self.scheduler.submit((asked.request,))
        return asked

    def settle(self) -> None:
        """Wait until everything that was posted has been dealt with, and what the store was asked is answered."""
        for _ in range(6):
            passed = threading.Event()
            self.scheduler.call_soon(passed.set)
            assert passed.wait(10)
            deadline = time.monotonic() + 5
            while self.scheduler.store.busy and time.monotonic() < deadline:
                time.sleep(0.001)
            self.scheduler.store.local.figures(timeout=5)  # asked last, answered last

    def asked(self) -> list[str]:
        """The contents that the pool was asked about, in order."""
        return [(item.content or b"").decode() for item in self.pool.asked]

    def close(self) -> None:
        self.scheduler.close(at_once=True)
