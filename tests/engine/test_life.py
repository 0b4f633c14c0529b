"""The life of an engine: opened when needed, closed, dropped, forked; never a process or thread is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from imgtool import Engine, EngineClosed, ImageResult, Priority, Status
from imgtool.engine.analysis import Analysis
from tests import pictures
from tests.conftest import ROOT

OURS = {"scheduler", "store", "hash", "list", "open-index", "worker-read", "worker-write", "worker-stderr"}


def engine(**options: Any) -> Engine:
    return Engine(**{"tasks": ["caption"], "caption_engine": "tests.planted:Hazard", "cache": False, **options})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return pictures.folder(tmp_path / "photos", pictures.greys(5))


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in OURS]


def nothing_is_left() -> bool:
    deadline = time.monotonic() + 15
    while children() or our_threads():
        if time.monotonic() > deadline:
            return False
        gc.collect()
        time.sleep(0.02)
    return True


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    assert nothing_is_left(), (children(), our_threads())
    yield
    assert nothing_is_left(), (children(), our_threads())


def test_an_engine_that_is_closed_leaves_nothing_and_says_so_when_asked(photos: Path) -> None:
    made = engine()
    results = list(made.analyze(photos))
    assert len(children()) == 1
    made.close()
    assert nothing_is_left()
    for ask in (lambda: made.submit(b""), lambda: made.analyze(photos), made.warm_up):
        with pytest.raises(EngineClosed):
            ask()
    made.close()
    assert {result.status for result in results} == {Status.OK}


def test_an_engine_that_nobody_refers_to_leaves_nothing(photos: Path) -> None:
    for _ in range(5):
        made = engine()
        assert len(list(made.analyze(photos))) == 5
        del made
    assert nothing_is_left()


def test_one_that_is_asked_and_dropped_at_once_still_answers(photos: Path) -> None:
    content = (photos / "000.png").read_bytes()
    assert engine().submit(content).result(60).ok
    assert [result.ok for result in engine().analyze(photos)] == [True] * 5


def test_an_engine_that_was_never_used_starts_nothing() -> None:
    made = engine()
    assert (children(), our_threads()) == ([], [])
    assert made.statistics.images == 0
    made.close()


def test_an_analysis_that_is_dropped_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("PLANTED_LOG", str(log))
    folder = pictures.folder(tmp_path / "many", pictures.greys(150))
    with engine(caption_engine="tests.planted:Slow", batch_size=2) as made:
        for _ in made.analyze(folder):
            break
        time.sleep(1)
        assert log.read_text().count("slow") <= 8
        assert "list" not in our_threads()
        assert len(list(made.analyze(folder / "149.png"))) == 1


def test_closing_while_others_wait_tells_them(tmp_path: Path) -> None:
    folder = pictures.folder(tmp_path / "many", pictures.greys(50))
    made = engine(caption_engine="tests.planted:Slow")
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            list(made.analyze(folder))
        except EngineClosed as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    ticket = made.submit((folder / "049.png").read_bytes(), priority=Priority.LOW)
    time.sleep(0.2)
    began = time.monotonic()
    made.close()
    thread.join(10)
    assert time.monotonic() - began < 10
    assert len(raised) == 1
    with pytest.raises(EngineClosed):
        ticket.result(1)


def waiting_list(over: threading.Event, *paths: Path) -> Iterator[Path]:
    """Paths of a program that has no more to give for now."""
    yield from paths
    over.wait(30)


def in_loop(analysis: Analysis) -> list[ImageResult]:
    async def gather() -> list[ImageResult]:
        return [result async for result in analysis]

    return asyncio.run(gather())


@pytest.mark.parametrize("take", [list, in_loop])
@pytest.mark.parametrize("begun", [True, False])
def test_closing_ends_an_analysis_that_waits_for_more_paths(
    photos: Path, take: Callable[[Analysis], list[ImageResult]], begun: bool
) -> None:
    over, raised = threading.Event(), threading.Event()
    made = engine()
    analysis = made.analyze(waiting_list(over, *[photos / "000.png"] * begun))

    def wait() -> None:
        try:
            take(analysis)
        except EngineClosed:
            raised.set()

    assert made.submit(photos / "001.png").result(60).ok
    thread = threading.Thread(target=wait, daemon=True)
    if begun:
        assert next(analysis).ok
        thread.start()
        time.sleep(0.2)
        made.close()
    else:
        made.close()
        thread.start()
    assert raised.wait(10)
    over.set()


def test_closing_ends_an_analysis_whose_next_file_does_not_come_back(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine()
    begun, over, raised = threading.Event(), threading.Event(), threading.Event()

    def read(*_: object) -> None:
        begun.set()
        over.wait(30)
        raise OSError("planted")

    def wait() -> None:
        try:
            next(analysis)
        except EngineClosed:
            raised.set()

    monkeypatch.setattr("imgtool.engine.files.identify.read_digest", read)
    analysis = made.analyze(photos)
    threading.Thread(target=wait, daemon=True).start()
    assert begun.wait(10)
    made.close()
    assert raised.wait(10)
    over.set()


def test_a_path_is_one_path(photos: Path) -> None:
    with engine() as made:
        for one in (str(photos), photos, [photos], (str(photos),), iter([photos])):
            assert len(list(made.analyze(one))) == 5  # type: ignore[arg-type]
        (missing,) = made.analyze("/no/such/file.png")
        assert missing.error is not None and missing.error.code == "not_found"


def test_an_engine_cannot_be_pickled_and_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(engine())


def test_for_and_async_for_give_the_same(photos: Path) -> None:
    async def names(made: Engine) -> list[str]:
        return [result.path async for result in made.analyze(photos)]

    with engine() as made:
        assert asyncio.run(names(made)) == [result.path for result in made.analyze(photos)]


def test_an_async_analysis_that_is_left_stops(tmp_path: Path) -> None:
    folder = pictures.folder(tmp_path / "many", pictures.greys(100))

    async def first(analysis: Analysis) -> ImageResult:
        async for result in analysis:
            return result
        raise AssertionError

    with engine(caption_engine="tests.planted:Slow") as made:
        assert asyncio.run(first(made.analyze(folder))).ok
        gc.collect()
        deadline = time.monotonic() + 10
        while "list" in our_threads():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def python(code: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        check=False,
    )


FORK = """
import os, sys
from imgtool import Engine, EngineClosed
engine = Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache_dir=sys.argv[2])
images = [sys.argv[1] + f"/00{n}.png" for n in range(5)]
assert engine.submit(images[0]).result(60).ok
ticket = engine.submit(images[1])
analysis = engine.analyze(images)
next(analysis)
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        for old in (lambda: ticket.done() or ticket.result(5), lambda: next(analysis)):
            try:
                old()
            except EngineClosed as error:
                assert "forked" in str(error)
        results = [engine.submit(image).result(60) for image in images]
        results += list(engine.analyze(images))
        assert all(result.ok for result in results), results
        engine.close()
        os._exit(0)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
assert ticket.result(60).ok
assert len(list(analysis)) == 4
assert engine.submit(images[4]).result(60).ok, "the parent's worker is still the parent's"
print(codes)
"""


def test_a_forked_process_begins_afresh_and_the_parent_goes_on(photos: Path, tmp_path: Path) -> None:
    done = python(FORK, photos, tmp_path / "cache")
    assert done.stdout.strip() == "[0, 0, 0, 0]", done.stderr
    assert done.returncode == 0


HEARD_IN_FORK = """
import os, sys
from imgtool import Engine
from imgtool.engine.observer import Observer
heard = []
class Watching(Observer):
    def model_loaded(self, loaded):
        heard.append(os.getpid())
engine = Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache=False, observer=Watching())
analysis = engine.analyze(sys.argv[1])
next(analysis)
pid = os.fork()
if pid == 0:
    assert engine.submit(sys.argv[1] + "/001.png").result(60).ok
    os._exit(0 if os.getpid() in heard else 9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(list(analysis)))
"""


def test_what_happens_in_a_forked_process_is_told_there_and_not_to_an_analysis_of_the_parent(photos: Path) -> None:
    done = python(HEARD_IN_FORK, photos)
    assert done.stdout.split() == ["0", "4"], done.stderr


ORPHANS = """
import os, sys, time
from imgtool import Engine
engine = Engine(tasks=["caption"], caption_engine="tests.planted:Slow", cache_dir=sys.argv[2])
engine.submit(sys.argv[1] + "/000.png").result(60)
import psutil
(worker,) = psutil.Process().children()
fork = os.fork()
if fork == 0:
    os.close(1)
    os.close(2)
    time.sleep(20)  # a child that lives on, with copies of everything
    os._exit(0)
print(worker.pid, fork, flush=True)
os.kill(os.getpid(), 9)
"""


def test_workers_end_with_the_process_that_started_them_though_a_fork_of_it_lives_on(
    photos: Path, tmp_path: Path
) -> None:
    done = python(ORPHANS, photos, tmp_path / "cache")
    worker, fork = map(int, done.stdout.split())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker waits for more from a parent that is gone"
        time.sleep(0.05)
    os.kill(fork, signal.SIGKILL)


NEVER_CLOSED = """
import sys
from imgtool import Engine
engine = Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache=False)
print([result.ok for result in engine.analyze(sys.argv[1])])
engine.submit(sys.argv[1] + "/000.png")
"""


def test_an_interpreter_ends_at_once_though_nobody_closed_the_engine(photos: Path) -> None:
    began = time.monotonic()
    done = python(NEVER_CLOSED, photos)
    assert (done.stdout.strip(), done.returncode, done.stderr) == (str([True] * 5), 0, "")
    assert time.monotonic() - began < 20
