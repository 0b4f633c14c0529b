"""One engine, many callers: nothing hangs, nothing is mixed up, and each content is computed once."""

from __future__ import annotations

import asyncio
import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import pytest
from PIL import Image

from imgtool import Cancelled, Engine, ImageResult, QueueFull, Ticket
from imgtool.engine.cache.listing import rows

TASKS = {
    "tasks": ["caption", "text", "labels"],
    "caption_engine": "tests.planted:Numbered",
    "text_engine": "tests.planted:NumberedText",
    "labels_engine": "tests.planted:NumberedLabels",
}


@dataclass(frozen=True)
class Shape:
    """How much is asked: ``images`` of so many different ``contents``."""

    images: int
    contents: int
    threads: int
    coroutines: int
    seconds: float = 0.0


SMALL = Shape(images=200, contents=20, threads=8, coroutines=40)
FULL = Shape(images=1000, contents=100, threads=32, coroutines=200, seconds=0.01)


def picture(number: int) -> bytes:
    """An image that carries its number in its colour, and a label of its own in the blue."""
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (number // 256, number % 256, number * 7 % 251)).save(buffer, "PNG")
    return buffer.getvalue()


def is_right(result: ImageResult, number: int) -> bool:
    labels = [label.label for label in result.labels or ()]
    said = (result.caption, result.text, labels)
    return said == (f"number {number}", f"number {number}", [f"blue {number * 7 % 251}"])


class Asking:
    """The callers of one engine, and what they noticed."""

    def __init__(self, engine: Engine, shape: Shape, folder: Path, cancelled_share: float = 0.0) -> None:
        self.engine = engine
        self.shape = shape
        self.folder = folder
        self.cancelled_share = cancelled_share
        self.contents = [picture(number) for number in range(shape.contents)]
        self.wrong: list[tuple[int, ImageResult]] = []
        self.answered: Counter[int] = Counter()
        self.cancelled = 0
        self._lock = threading.Lock()
        folder.mkdir()
        for number, content in enumerate(self.contents):
            (folder / f"{number:04}.png").write_bytes(content)

    def submit(self, number: int, random_: random.Random) -> Ticket:
        source = self.contents[number] if random_.random() < 0.5 else self.folder / f"{number:04}.png"
        while True:
            try:
                ticket = self.engine.submit(source, caller=threading.get_ident(), priority=random_.choice([-10, 0, 10]))
            except QueueFull:
                time.sleep(0.01)
                continue
            if random_.random() < self.cancelled_share:
                ticket.cancel()
            return ticket

    def check(self, number: int, result: ImageResult) -> None:
        with self._lock:
            self.answered[number] += 1
            if not is_right(result, number):
                self.wrong.append((number, result))

    def from_thread(self, thread: int) -> None:
        random_ = random.Random(thread)
        for _ in range(-(-self.shape.images // 2 // self.shape.threads)):
            number = random_.randrange(self.shape.contents)
            try:
                self.check(number, self.submit(number, random_).result(timeout=120))
            except Cancelled:
                with self._lock:
                    self.cancelled += 1

    async def from_coroutine(self, coroutine: int) -> None:
        random_ = random.Random(1000 + coroutine)
        for _ in range(-(-self.shape.images // 2 // self.shape.coroutines)):
            number = random_.randrange(self.shape.contents)
            try:
                self.check(number, await asyncio.wait_for(self.submit(number, random_), 120))
            except Cancelled:
                self.cancelled += 1

    def run(self) -> None:
        async def all_coroutines() -> None:
            await asyncio.gather(*(self.from_coroutine(number) for number in range(self.shape.coroutines)))

        with ThreadPoolExecutor(self.shape.threads + 1) as threads:
            asked = [threads.submit(self.from_thread, number) for number in range(self.shape.threads)]
            asked.append(threads.submit(lambda: asyncio.run(all_coroutines())))
            for each in asked:
                each.result(timeout=300)


@contextmanager
def killing(every: float, answers: Callable[[], int]) -> Iterator[list[int]]:
    """Kill the worker now and then, once it has answered something: on a busy machine its start takes longer."""
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        seen = 0
        while not over.wait(every):
            with suppress(psutil.Error, IndexError):
                if answers() > seen:
                    child = psutil.Process().children()[0]
                    child.kill()
                    killed.append(child.pid)
                    seen = answers()

    thread = threading.Thread(target=kill)
    thread.start()
    yield killed
    over.set()
    thread.join()


def check_store(root: Path, contents: list[bytes]) -> int:
    """Hold every record to what its image says; how many there are."""
    import hashlib

    numbers = {hashlib.sha256(content).hexdigest(): number for number, content in enumerate(contents)}
    seen = 0
    for row in rows(root):
        record = row.record()
        assert record is not None
        number = numbers[row.name]
        values = sorted(str(msgspec.json.decode(answer.value)) for answer in record.answers.values())
        for value in values:
            assert f"number {number}'" in value or f"blue {number * 7 % 251}'" in value or value == f"number {number}"
        seen += 1
    return seen


@pytest.mark.parametrize("shape", [SMALL, pytest.param(FULL, marks=pytest.mark.slow)], ids=["small", "full"])
@pytest.mark.parametrize("workers", [1, 2])
def test_every_answer_belongs_to_its_image_and_each_content_is_computed_once(
    tmp_path: Path, computed: Callable[[], Counter[str]], shape: Shape, workers: int
) -> None:
    for run in range(3 if shape is FULL else 1):
        root = tmp_path / f"cache{run}"
        before = computed()
        with Engine(cache_dir=root, workers=workers, **TASKS) as engine:
            asking = Asking(engine, shape, tmp_path / f"photos{run}")
            asking.run()
        assert asking.wrong == []
        assert sum(asking.answered.values()) >= shape.images
        since = computed() - before
        assert set(since.values()) == {1}
        assert len(since) == 3 * len(asking.answered)
        assert check_store(root, asking.contents) == len(asking.answered)


@pytest.mark.parametrize("shape", [SMALL, pytest.param(FULL, marks=pytest.mark.slow)], ids=["small", "full"])
def test_a_third_of_the_tickets_are_cancelled(
    tmp_path: Path, computed: Callable[[], Counter[str]], shape: Shape
) -> None:
    root = tmp_path / "cache"
    with Engine(cache_dir=root, **TASKS) as engine:
        asking = Asking(engine, shape, tmp_path / "photos", cancelled_share=0.3)
        asking.run()
        assert asking.cancelled > 0
    assert asking.wrong == []
    assert sum(asking.answered.values()) + asking.cancelled >= shape.images
    assert set(computed().values()) == {1}
    check_store(root, asking.contents)


@pytest.mark.parametrize("shape", [SMALL, pytest.param(FULL, marks=pytest.mark.slow)], ids=["small", "full"])
def test_workers_are_killed_all_the_time(
    tmp_path: Path, computed: Callable[[], Counter[str]], shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_SECONDS", "0.02")
    root = tmp_path / "cache"
    every = 1.0 if shape is FULL else 0.6
    with Engine(cache_dir=root, **TASKS) as engine, killing(every, lambda: computed().total()) as killed:
        asking = Asking(engine, shape, tmp_path / "photos", cancelled_share=0.1)
        asking.run()
    assert [
        (result.caption, result.text, result.labels, result.tasks)
        for _, result in asking.wrong
        if not _is_crash(result)
    ] == []
    # An image may be in hand twice by chance when its worker is killed, and is taken for guilty then.
    assert len({number for number, _ in asking.wrong}) <= len(killed)
    assert check_store(root, asking.contents) > 0


def _is_crash(result: ImageResult) -> bool:
    errors = [answer.error for _, answer in result.tasks.items() if answer.error is not None]
    return bool(errors) and all(error.code == "worker_crashed" for error in errors)


def test_several_analyses_at_once_are_independent(tmp_path: Path, computed: Callable[[], Counter[str]]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:04}.png").write_bytes(picture(number))
    outcomes: dict[int, list[ImageResult]] = {}
    with Engine(cache_dir=tmp_path / "cache", **TASKS) as engine:

        def run(thread: int) -> None:
            outcomes[thread] = list(engine.analyze(folder))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert len(outcomes) == 6
    for results in outcomes.values():
        assert [Path(result.path).name for result in results] == [f"{n:04}.png" for n in range(60)]
        assert all(is_right(result, number) for number, result in enumerate(results))
    assert set(computed().values()) == {1}


def test_a_second_analysis_while_the_first_lives_both_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:04}.png").write_bytes(picture(number))
    with Engine(cache_dir=tmp_path / "cache", **TASKS) as engine:
        first = engine.analyze(folder)
        taken = [next(first)]
        second = list(engine.analyze(folder))
        taken += list(first)
    assert all(is_right(result, number) for results in (taken, second) for number, result in enumerate(results))
