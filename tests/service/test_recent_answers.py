"""Which answers are kept in memory, for how long, and what has them forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from imgtool import Engine
from imgtool.engine.cache.removal import execute
from imgtool.engine.cache.upkeep import plan_clear, plan_records
from imgtool.options import cache_root
from imgtool.service.recent_answers import Question, RecentAnswers
from imgtool.types import ImageResult
from tests.service.running import png

ROUTE = "/v1/predict"
Work = Callable[[RecentAnswers, ImageResult], Awaitable[None]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def question(number: int = 0) -> Question:
    return Question(b"/v1/predict", b"image/png", f"{number:064}")


def with_result(tmp_path: Path, work: Callable[[ImageResult, Path], Awaitable[None]]) -> None:
    """Run ``work`` with a result from a cache, and the folder of that."""
    with Engine(tasks=["caption"], caption_engine="tests.planted:Numbered", cache_dir=tmp_path) as engine:
        engine.submit(png()).result(60)
        result = engine.submit(png()).result(60)
        assert result.from_cache
        asyncio.run(work(result, cache_root(engine.options)))


def keep(recent: RecentAnswers, result: ImageResult, asked: Question, stored_at: float | None = None) -> None:
    at = time.time() if stored_at is None else stored_at
    recent.keep(asked, ROUTE, result, stored_at=at, generation=recent.generation)


async def until_looked(recent: RecentAnswers) -> None:
    """Wait until it has seen whether anything was removed."""
    await asyncio.sleep(0)
    while recent._looking is not None and not recent._looking.done():
        await asyncio.sleep(0.005)


def test_an_answer_is_kept_as_the_json_of_its_result_around_the_time(tmp_path: Path) -> None:
    async def work(result: ImageResult, root: Path) -> None:
        named = msgspec.structs.replace(result, path='a "processing_time_ms": 7, b')
        recent = RecentAnswers(root, None)
        keep(recent, named, question())
        await until_looked(recent)
        keep(recent, named, question())
        found = recent.find(question())
        assert found is not None and recent.may_answer(b"/v1/predict") and not recent.may_answer(b"/v1/other")
        again = ImageResult.from_json(found.before + b"1.25" + found.after)
        assert again == msgspec.structs.replace(named, processing_time_ms=1.25)
        assert recent.find(question(1)) is None

    with_result(tmp_path, work)


def test_what_is_removed_by_another_process_is_forgotten_within_a_second(tmp_path: Path) -> None:
    async def work(result: ImageResult, root: Path) -> None:
        for plan in (lambda: plan_clear(root), lambda: plan_records(root, result.sha256 or "")):
            clock = Clock()
            recent = RecentAnswers(root, None, clock=clock)
            keep(recent, result, question())
            await until_looked(recent)
            keep(recent, result, question())
            assert recent.find(question()) is not None
            with Engine(tasks=["caption"], caption_engine="tests.planted:Numbered", cache_dir=tmp_path) as engine:
                await engine.submit(png())  # something to remove
            execute(plan())
            clock.now += 0.5
            recent.find(question())  # may still be given, and looks
            await until_looked(recent)
            assert recent.find(question()) is None and len(recent) == 0 and recent.size == 0

    with_result(tmp_path, work)


def test_where_the_disk_does_not_say_nothing_is_given_after_a_second(tmp_path: Path) -> None:
    async def work(result: ImageResult, root: Path) -> None:
        clock = Clock()
        recent = RecentAnswers(root, None, clock=clock)
        keep(recent, result, question())
        await until_looked(recent)
        keep(recent, result, question())
        assert recent.find(question()) is not None
        clock.now += 1.5
        assert recent.find(question()) is None
        # It has looked meanwhile.
        await until_looked(recent)
        assert recent.find(question()) is not None

    with_result(tmp_path, work)


def test_an_answer_is_given_until_it_is_too_old(tmp_path: Path) -> None:
    async def work(result: ImageResult, root: Path) -> None:
        recent = RecentAnswers(root, 10.0)
        keep(recent, result, question())
        await until_looked(recent)
        keep(recent, result, question(1), time.time() - 9)
        keep(recent, result, question(2), time.time() - 11)
        assert recent.find(question(1)) is not None
        assert recent.find(question(2)) is None
        assert len(recent) == 1

    with_result(tmp_path, work)


def test_what_was_asked_before_a_removal_is_not_kept_after_it(tmp_path: Path) -> None:
    async def work(result: ImageResult, root: Path) -> None:
        recent = RecentAnswers(root, None)
        before = recent.generation
        recent.forget()
        recent.keep(question(), ROUTE, result, stored_at=time.time(), generation=before)
        assert len(recent) == 0
        # Neither is what was computed just now, nor anything where there is no cache.
        fresh = msgspec.structs.replace(result, from_cache=False)
        keep(recent, fresh, question())
        keep(RecentAnswers(None, None), result, question())
        assert len(recent) == 0 and recent.size == 0

    with_result(tmp_path, work)


def test_memory_is_bounded_and_what_was_used_last_stays(tmp_path: Path) -> None:
    async def work(result: ImageResult, root: Path) -> None:
        recent = RecentAnswers(root, None, most_bytes=20_000)
        keep(recent, result, question())
        await until_looked(recent)
        for number in range(100):
            keep(recent, result, question(number))
            assert recent.find(question(0)) is not None
        assert recent.size <= 20_000 and 2 <= len(recent) < 10
        assert recent.find(question(99)) is not None and recent.find(question(50)) is None

    with_result(tmp_path, work)
