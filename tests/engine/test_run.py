"""The loop of a run with a pool that answers at once: look-up, single work, order, limits."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from imgtool.config import convert_options
from imgtool.engine.cache.store import ResultStore
from imgtool.engine.files.discover import discover
from imgtool.engine.files.identity import Identity
from imgtool.engine.observer import Observer
from imgtool.engine.plan import make_plan
from imgtool.engine.run import Run
from imgtool.engine.statistics import Tally
from imgtool.errors import TooManyFailures
from imgtool.options import EngineOptions
from imgtool.runtime.pool import Pool
from imgtool.types import ImageResult, Problem, Status
from tests import pictures
from tests.fakes.pool import FakePool


class Watching(Observer):
    """Notes what it is told."""

    def __init__(self, wants_total: bool) -> None:
        self.wants_total = wants_total
        self.totals: list[tuple[int, bool]] = []

    def found(self, images: int, *, complete: bool) -> None:
        self.totals.append((images, complete))


class Setting:
    """A run on a store of its own with a fake pool."""

    def __init__(self, root: Path, wants_total: bool = False, **options: Any) -> None:
        given = {"tasks": ["caption"], "caption_engine": "tests.planted:Hazard", **options}
        self.options = convert_options(EngineOptions(), given)
        self.store = ResultStore(root, size_limit=10**9, ttl=None, warn=pytest.fail)
        self.identity = Identity(root, rehash=False, warn=pytest.fail)
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pool = FakePool(self.events)
        self.tally = Tally()
        self.watching = Watching(wants_total)

    def run(self, *paths: Path) -> list[ImageResult]:
        run = Run(
            self.options,
            make_plan(self.options),
            self.store,
            cast(Pool, self.pool),
            self.events,
            self.tally,
            self.watching,
        )
        return list(run.results(discover(paths), self.identity))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Setting]:
    return lambda **options: Setting(tmp_path / "cache", **options)


def test_each_content_is_asked_once_and_answered_for_every_path(make: Callable[..., Setting], tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    shutil.copy(photos / "001.png", photos / "copy.png")
    it = make()
    results = it.run(photos)
    assert [Path(result.path).name for result in results] == ["000.png", "001.png", "002.png", "copy.png"]
    assert {result.status for result in results} == {Status.OK}
    assert len(it.pool.asked) == 3
    again = make()
    assert {result.from_cache for result in again.run(photos)} == {True}
    assert again.pool.asked == []


def test_results_keep_the_order_of_the_paths_whatever_is_ready_first(
    make: Callable[..., Setting], tmp_path: Path
) -> None:
    it = make()
    it.pool.reverse = True
    results = it.run(pictures.folder(tmp_path / "photos", pictures.greys(30)))
    assert [Path(result.path).name for result in results] == [f"{n:03}.png" for n in range(30)]


def test_the_figures_are_counted_as_results_go_by(make: Callable[..., Setting], tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(4))
    it = make()
    it.pool.failing = {bytes(photos / "002.png"): Problem("damaged", "planted")}
    it.run(photos)
    figures = it.tally.statistics()
    assert (figures.images, figures.answered, figures.failed, figures.hits, figures.misses) == (4, 3, 1, 0, 4)
    assert figures.inference_seconds_total == 1.5
    assert figures.decode_seconds_total == 0.75
    assert figures.tasks["caption"].inference_seconds_mean == 0.5
    assert figures.parallel_efficiency == 1.0


def test_a_lasting_failure_is_remembered_and_only_it_is_retried(make: Callable[..., Setting], tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    it = make()
    it.pool.failing = {bytes(photos / "001.png"): Problem("damaged", "planted")}
    it.run(photos)
    retrying = make(retry_failed=True)
    assert [Path(result.path).name for result in retrying.run(photos)] == ["001.png"]
    assert len(retrying.pool.asked) == 1


@pytest.mark.parametrize(("options", "given"), [({"fail_fast": True}, 3), ({"max_failure_rate": 0.04}, 20)])
def test_too_many_failures_end_the_run(
    make: Callable[..., Setting], tmp_path: Path, options: dict[str, Any], given: int
) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(40))
    it = make(**options)
    it.pool.failing = {bytes(photos / "002.png"): Problem("damaged", "planted")}
    with pytest.raises(TooManyFailures):
        it.run(photos)
    assert it.tally.figures.images == given


def test_every_page_is_asked_for_once_the_first_says_how_many(make: Callable[..., Setting], tmp_path: Path) -> None:
    it = make(pages="all")
    it.pool.pages = 3
    results = it.run(pictures.folder(tmp_path / "photos", pictures.greys(2)))
    assert [(result.page, result.pages) for result in results] == [(0, 3), (1, 3), (2, 3)] * 2
    assert len(it.pool.asked) == 6


def test_the_total_is_known_early_where_somebody_wants_it(make: Callable[..., Setting], tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(200))
    given_when_known: dict[bool, int] = {}
    for wants_total in (True, False):
        it = make(wants_total=wants_total)

        def found(images: int, *, complete: bool, it: Setting = it) -> None:
            if complete:
                given_when_known[it.watching.wants_total] = it.tally.figures.images

        it.watching.found = found  # type: ignore[method-assign]
        it.run(photos)
    assert given_when_known[True] < given_when_known[False]
