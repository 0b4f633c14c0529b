"""Engines that share answers through a real Redis server, and what they do when that server is in trouble."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgtool import Cancelled, Engine, ImageResult
from imgtool.engine.cache.tiers import TieredStore
from imgtool.engine.observer import Observer
from imgtool.engine.statistics import Statistics
from imgtool.types import Status
from tests import pictures, planted
from tests.engine.test_many_callers import TASKS, Asking, Shape, is_right, picture
from tests.fakes.delaying_proxy import DelayingProxy
from tests.redis_servers import RedisServer, free_port

pytest.importorskip("redis")


class Notices(Observer):
    """Keeps what an engine says."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


class Run:
    """What one engine with a cache folder of its own has answered."""

    def __init__(self, photos: Path, root: Path, url: str | None, **options: Any) -> None:
        self.notices = Notices()
        settings = {**TASKS, "cache_dir": root, "shared_cache": url, **options}
        with Engine(observer=self.notices, **settings) as engine:
            began = time.monotonic()
            self.results: list[ImageResult] = list(engine.analyze(photos))
            self.seconds = time.monotonic() - began
            self.figures: Statistics = engine.statistics
            self.store = engine._inside.scheduler.store  # type: ignore[union-attr]
        self.shared = None if self.store.shared is None else self.store.shared.figures()

    @property
    def all_right(self) -> bool:
        return all(is_right(result, int(Path(result.path).stem)) for result in self.results)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images, each with its number in its colour and its name."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:04}.png").write_bytes(picture(number))
    return folder


def test_what_one_machine_has_computed_another_does_not_compute(
    tmp_path: Path, photos: Path, redis_server: RedisServer, computed: Callable[[], Counter[str]]
) -> None:
    first = Run(photos, tmp_path / "one", redis_server.url)
    assert first.all_right
    assert first.shared is not None
    assert (first.shared.hits, first.shared.misses, first.shared.written) == (0, 36, 36)
    of_the_first = computed()
    second = Run(photos, tmp_path / "two", redis_server.url)
    assert second.all_right
    assert all(result.from_cache and result.cache_enabled for result in second.results)
    assert computed() == of_the_first
    assert second.figures.workers.started == 0
    assert (second.figures.hits, second.figures.hits_shared, second.figures.hits_local) == (12, 12, 0)
    assert second.shared is not None
    assert (second.shared.hits, second.shared.misses, second.shared.written) == (36, 0, 0)
    # What was found is in the local store now: without the server everything is still known.
    redis_server.kill()
    third = Run(photos, tmp_path / "two", redis_server.url)
    assert third.all_right
    assert (third.figures.hits_local, third.figures.hits_shared) == (12, 0)
    assert third.notices.texts == []
    assert third.shared is not None
    assert third.shared.available is None


def test_only_what_is_not_known_here_is_asked_in_one_round_trip_a_window(
    tmp_path: Path, photos: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacked: list[int] = []
    look_up = TieredStore.look_up

    def counted(self: TieredStore, keys: Any, lacking: Any, then: Any) -> None:
        def counting(records: Any) -> Any:
            questions = lacking(records)
            lacked.append(len(questions))
            return questions

        look_up(self, keys, counting, then)

    Run(photos, tmp_path / "one", redis_server.url)
    some = [photos / f"{number:04}.png" for number in range(5)]
    Run(some, tmp_path / "two", None)  # type: ignore[arg-type]
    before = redis_server.client().info("commandstats")["cmdstat_mget"]["calls"]
    monkeypatch.setattr(TieredStore, "look_up", counted)
    found = Run(photos, tmp_path / "two", redis_server.url)
    assert found.shared is not None
    assert (found.shared.hits, found.shared.misses) == (21, 0)
    assert (found.figures.hits_local, found.figures.hits_shared) == (5, 7)
    assert sum(lacked) == 21
    # Mostly all images are one window; a slow machine may cut it in two.
    assert redis_server.client().info("commandstats")["cmdstat_mget"]["calls"] - before == sum(map(bool, lacked))


def test_one_task_may_be_known_here_and_another_there(tmp_path: Path, photos: Path, redis_server: RedisServer) -> None:
    Run(photos, tmp_path / "one", redis_server.url, tasks=["text", "labels"])
    Run(photos, tmp_path / "two", None, tasks=["caption"])
    both = Run(photos, tmp_path / "two", redis_server.url)
    assert both.all_right
    assert both.figures.workers.started == 0
    assert both.shared is not None
    assert (both.shared.hits, both.figures.hits_shared) == (24, 12)


def test_failures_are_not_shared(tmp_path: Path, redis_server: RedisServer) -> None:
    photos = pictures.folder(tmp_path / "photos", [planted.YELLOW, planted.CYAN, *pictures.greys(2)])
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    hazard = {"tasks": ["caption"], "caption_engine": "tests.planted:Hazard"}
    first = Run(photos, tmp_path / "one", redis_server.url, **hazard)
    assert first.figures.failed == 3
    assert len(redis_server.client().keys("imgtool:1:*:caption:*")) == 2
    second = Run(photos, tmp_path / "two", redis_server.url, **hazard)
    assert (second.figures.failed, second.figures.hits_shared, second.figures.workers.died) == (3, 2, 0)


def test_what_failed_here_and_was_answered_elsewhere_is_taken_over(tmp_path: Path, redis_server: RedisServer) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    broken = {"tasks": ["caption"], "caption_engine": "tests.planted:Hazard"}
    with Engine(cache_dir=tmp_path / "one", **broken) as engine:  # type: ignore[arg-type]
        fingerprint = engine.plan.chosen["caption"].fingerprint
        results = list(engine.analyze(photos))
    from imgtool.engine.cache.records import Update
    from imgtool.engine.cache.store import ResultStore
    from imgtool.types import Problem

    store = ResultStore(tmp_path / "two", size_limit=10**9, ttl=None, warn=print)
    store.merge([Update(str(results[0].sha256), None, {}, {fingerprint: Problem("out_of_memory", "it was too large")})])
    store.close()
    Run(photos, tmp_path / "three", redis_server.url, **broken)
    again = Run(photos, tmp_path / "two", redis_server.url, retry_failed=True, **broken)
    assert [(result.sha256, result.from_cache, result.ok) for result in again.results] == [
        (results[0].sha256, True, True)
    ]
    assert Run(photos, tmp_path / "two", None, retry_failed=True, **broken).results == []


def test_the_pages_of_a_document_have_answers_of_their_own(tmp_path: Path, redis_server: RedisServer) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pages = [Image.new("RGB", (8, 6), (number, number, 30)) for number in (40, 80, 120)]
    pages[0].save(photos / "pages.tif", save_all=True, append_images=pages[1:])
    hazard = {"tasks": ["caption"], "caption_engine": "tests.planted:Hazard"}
    first = Run(photos, tmp_path / "one", redis_server.url, **hazard)
    second = Run(photos, tmp_path / "two", redis_server.url, **hazard)
    assert second.figures.workers.started == 0
    said = [(result.page, result.caption) for result in second.results]
    assert said == [(result.page, result.caption) for result in first.results]
    assert len({caption for _, caption in said}) == 3


def test_a_gallery_of_what_another_machine_has_shown_starts_no_worker(
    tmp_path: Path, photos: Path, redis_server: RedisServer
) -> None:
    first = Run(photos, tmp_path / "one", redis_server.url, thumbnails=True)
    second = Run(photos, tmp_path / "two", redis_server.url, thumbnails=True)
    assert second.figures.workers.started == 0
    assert [result.thumbnail for result in second.results] == [result.thumbnail for result in first.results]
    assert isinstance(second.results[0].thumbnail, bytes)


def test_answers_last_as_long_as_asked_for_and_old_ones_are_computed_again(
    tmp_path: Path, photos: Path, redis_server: RedisServer
) -> None:
    Run(photos, tmp_path / "one", redis_server.url, shared_ttl="10m")
    it = redis_server.client()
    left = [it.pttl(key) / 1000 for key in it.keys("imgtool:1:*:*:*")]
    assert len(left) == 36
    assert 500 < min(left) < 600 < max(left) <= 660
    time.sleep(1.1)
    again = Run(photos, tmp_path / "two", redis_server.url, cache_ttl="1s")
    assert again.figures.hits == 0
    assert again.all_right


def test_answers_with_other_parameters_are_not_taken(tmp_path: Path, photos: Path, redis_server: RedisServer) -> None:
    Run(photos, tmp_path / "one", redis_server.url)
    assert Run(photos, tmp_path / "two", redis_server.url, pdf_dpi=100).figures.hits == 0


def test_without_a_cache_nothing_is_shared(tmp_path: Path, photos: Path, redis_server: RedisServer) -> None:
    for options in ({"cache": False}, {"shared_cache": "off"}):
        run = Run(photos, tmp_path / "one", redis_server.url, **options)
        assert run.all_right
        assert run.store.shared is None
    assert redis_server.client().dbsize() == 0


def test_clearing_is_seen_by_an_engine_that_runs(tmp_path: Path, redis_server: RedisServer) -> None:
    from imgtool.engine.cache.shared.redis_client import RedisClient

    contents = [picture(number) for number in range(6)]
    with Engine(cache_dir=tmp_path / "one", shared_cache=redis_server.url, **TASKS) as one:
        for content in contents:
            one.submit(content).result(60)
        with Engine(cache_dir=tmp_path / "two", shared_cache=redis_server.url, **TASKS) as two:
            assert two.submit(contents[0]).result(60).from_cache
            clearing = RedisClient(redis_server.url)
            clearing.clear()
            clearing.close()
            assert not two.submit(contents[1]).result(60).from_cache
            with Engine(cache_dir=tmp_path / "three", shared_cache=redis_server.url, **TASKS) as three:
                deadline = time.monotonic() + 10
                while two.statistics.cache.shared.written < 3 and time.monotonic() < deadline:  # type: ignore[union-attr]
                    time.sleep(0.01)
                assert three.submit(contents[1]).result(60).from_cache
                assert not three.submit(contents[2]).result(60).from_cache


@contextmanager
def in_trouble(kind: str, server: RedisServer) -> Iterator[str]:
    """The URL of a server that is no help."""
    url = server.url.replace("//", "//user:s3cret@") if kind != "foreign" else server.url
    if kind == "password":
        server.client().config_set("requirepass", "right")
    elif kind == "absent":
        url = f"redis://user:s3cret@127.0.0.1:{free_port()}/0"
    elif kind == "hangs":
        server.pause()
    elif kind == "full":
        server.client().acl_setuser("user", enabled=True, passwords=["+s3cret"], keys=["*"], commands=["+@all"])
        server.client().set("imgtool:1:epoch", "1")
        server.client().config_set("maxmemory", "1")
    elif kind == "tls":
        url = url.replace("redis:", "rediss:")
    elif kind == "foreign":
        server.client().set("imgtool:1:epoch", b"\xff\x00")
    yield url
    server.go_on()


@pytest.mark.parametrize("kind", ["absent", "hangs", "full", "password", "tls", "foreign"])
def test_a_server_in_trouble_is_a_miss_and_said_once(
    tmp_path: Path, photos: Path, redis_server: RedisServer, kind: str
) -> None:
    with in_trouble(kind, redis_server) as url:
        run = Run(photos, tmp_path / "one", url)
        assert run.all_right
        assert [result.status for result in run.results] == [Status.OK] * 12
        assert all(result.cache_enabled for result in run.results), "the local store is there"
        (notice,) = [text for text in run.notices.texts if "shared cache" in text]
        assert "s3cret" not in notice
        assert "s3cret" not in repr(run.figures)
        assert run.figures.hits == 0
        assert run.shared is not None
        assert (run.shared.written, run.shared.dropped) == (0, 36)
        assert Run(photos, tmp_path / "one", url).figures.hits_local == 12


def test_values_that_are_none_of_ours_are_computed_again_and_replaced(
    tmp_path: Path, photos: Path, redis_server: RedisServer
) -> None:
    Run(photos, tmp_path / "one", redis_server.url)
    it = redis_server.client()
    keys = sorted(it.keys("imgtool:1:*:*:*"))
    values = [it.get(key) for key in keys]
    random_ = random.Random(3)
    for key, value in zip(keys, values, strict=True):
        # Another's answer, half of one, pickled bytes, and another type.
        spoilt = random_.choice([random_.choice([v for v in values if v != value]), value[:50], b"\x80\x05cos\n", None])
        it.delete(key)
        it.rpush(key, "x") if spoilt is None else it.set(key, spoilt)
    run = Run(photos, tmp_path / "two", redis_server.url)
    assert run.all_right
    assert run.figures.hits == 0
    assert len([text for text in run.notices.texts if "none of imgtool's" in text]) == 1
    assert Run(photos, tmp_path / "three", redis_server.url).figures.hits_shared == 12


def test_a_server_that_hangs_dies_and_comes_back_while_an_engine_runs(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    notices = Notices()
    settings = {**TASKS, "cache_dir": tmp_path / "one", "shared_cache": redis_server.url}
    with Engine(observer=notices, **settings) as engine:  # type: ignore[arg-type]
        engine.submit(picture(0)).result(60)

        def ask(numbers: range) -> float:
            slowest = 0.0
            for number in numbers:
                began = time.monotonic()
                assert is_right(engine.submit(picture(number)).result(60), number)
                slowest = max(slowest, time.monotonic() - began)
            return slowest

        def available() -> bool:
            cache = engine.statistics.cache
            return bool(cache and cache.shared and cache.shared.available)

        ask(range(1, 10))
        assert available()
        redis_server.pause()
        assert ask(range(10, 30)) < 2
        assert not available()
        redis_server.go_on()
        number, deadline = 30, time.monotonic() + 20
        while not available() and time.monotonic() < deadline:
            ask(range(number, number + 1))
            number += 1
            time.sleep(0.05)
        assert available()
        redis_server.kill()
        assert ask(range(1000, 1020)) < 2
        assert not available()
        redis_server.start()
        number, deadline = 2000, time.monotonic() + 30
        while not available() and time.monotonic() < deadline:
            ask(range(number, number + 1))
            number += 1
            time.sleep(0.05)
        ask(range(3000, 3005))
    assert len(redis_server.client().keys("imgtool:1:*:*:*")) >= 15
    assert len(notices.texts) == len(set(notices.texts)) <= 2


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_cancelled_callers_and_a_delaying_proxy_never_shift_an_answer(
    tmp_path: Path, redis_server: RedisServer, count: int
) -> None:
    with Engine(cache_dir=tmp_path / "one", shared_cache=redis_server.url, **TASKS) as engine:
        for ticket in [engine.submit(picture(number)) for number in range(count)]:
            ticket.result(120)
    random_ = random.Random(5)
    wrong: list[int] = []
    figures: Counter[str] = Counter()

    def ask(engine: Engine, number: int) -> None:
        ticket = engine.submit(picture(number))
        if random_.random() < 0.5:
            threading.Timer(random_.random() * 0.02, ticket.cancel).start()
        try:
            result = ticket.result(60)
        except Cancelled:
            figures["cancelled"] += 1
            return
        figures["from cache" if result.from_cache else "computed"] += 1
        if not is_right(result, number):
            wrong.append(number)

    def delay() -> float:
        return random_.choice([0, 0, 0.001, 0.004, 0.02, 0.08, 0.08, 0.12 if random_.random() < 0.1 else 0])

    with (
        DelayingProxy(redis_server.port, delay) as proxy,
        Engine(cache_dir=tmp_path / "two", shared_cache=proxy.url, **TASKS) as engine,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(lambda number: ask(engine, number), range(count)))
        shared = engine.statistics.cache.shared  # type: ignore[union-attr]
    assert wrong == []
    assert figures["cancelled"] > count / 20
    assert figures["from cache"] > count / 20
    assert shared is not None
    # What is in the local store now was looked up through the proxy, and has to be right, too.
    with Engine(cache_dir=tmp_path / "two", **TASKS) as engine:
        assert all(is_right(engine.submit(picture(number)).result(60), number) for number in range(count))


def test_many_callers_of_two_engines_on_one_server(tmp_path: Path, redis_server: RedisServer) -> None:
    shape = Shape(images=120, contents=20, threads=4, coroutines=20)
    askings = []
    for name in ("one", "two"):
        with Engine(cache_dir=tmp_path / name, shared_cache=redis_server.url, **TASKS) as engine:
            asking = Asking(engine, shape, tmp_path / f"photos {name}")
            asking.run()
            askings.append((asking, engine.statistics))
    assert [asking.wrong for asking, _ in askings] == [[], []]
    second = askings[1][1]
    assert second.hits_shared > 0
    assert second.hits >= 0.9 * second.images


def test_the_database_on_disk_may_fail_and_answers_still_come_from_the_server(
    tmp_path: Path, photos: Path, redis_server: RedisServer
) -> None:
    Run(photos, tmp_path / "one", redis_server.url)
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    run = Run(photos, nowhere / "cache", redis_server.url)
    assert run.all_right
    assert all(result.from_cache for result in run.results)
    assert run.figures.hits_shared == 12


def test_warming_up_connects(tmp_path: Path, redis_server: RedisServer) -> None:
    with Engine(cache_dir=tmp_path / "one", shared_cache=redis_server.url, **TASKS) as engine:
        engine.warm_up()
        deadline = time.monotonic() + 20
        while not engine.statistics.cache.shared.available and time.monotonic() < deadline:  # type: ignore[union-attr]
            time.sleep(0.01)
        assert engine.statistics.cache.shared.available  # type: ignore[union-attr]
