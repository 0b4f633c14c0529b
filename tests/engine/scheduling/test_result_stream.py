"""From named paths to finished requests: in order, within a window, whatever stands still."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from imgtool.engine.observer import Observer
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.scheduling.result_stream import ResultStream
from imgtool.engine.statistics import Tally
from imgtool.types import Problem
from tests import pictures
from tests.engine.scheduling.settings import Setting


class Watching(Observer):
    """Notes what it is told."""

    def __init__(self, wants_total: bool = False) -> None:
        self.wants_total = wants_total
        self.totals: list[tuple[int, bool]] = []

    def found(self, images: int, *, complete: bool) -> None:
        self.totals.append((images, complete))


class Streaming:
    """A stream over a scheduler whose pool does what the test says."""

    def __init__(self, paths: Iterable[Any], *, wants_total: bool = False, **options: Any) -> None:
        self.setting = Setting(**options)
        self.setting.pool.answers_at_once = True
        self.watching = Watching(wants_total)
        self.tally = Tally()
        self.stream = ResultStream(
            self.setting.scheduler,
            self.setting.identifier,
            self.setting.options,
            tuple(self.setting.plan.chosen),
            paths,
            self.watching,
            self.tally,
        )

    def __iter__(self) -> Iterator[PageRequest]:
        self.stream.begin()
        while True:
            try:
                yield self.stream.wait()
            except StopIteration:
                return

    def names(self) -> list[str]:
        return [Path(request.name).name for request in self]


@pytest.fixture
def make() -> Iterator[Callable[..., Streaming]]:
    made: list[Streaming] = []

    def one(paths: Iterable[Any], **options: Any) -> Streaming:
        made.append(Streaming(paths, **options))
        return made[-1]

    yield one
    for each in made:
        each.stream.close()
        each.setting.close()


def photos(path: Path, count: int) -> Path:
    return pictures.folder(path / "photos", pictures.greys(count))


def test_requests_come_in_the_order_of_the_paths(make: Callable[..., Streaming], tmp_path: Path) -> None:
    folder = photos(tmp_path, 150)
    it = make([folder / "100.png", folder, tmp_path / "gone.png"])
    assert it.names() == ["100.png", *(f"{n:03}.png" for n in range(150) if n != 100), "gone.png"]
    assert len(it.setting.pool.asked) == 150


def test_no_more_than_a_window_is_listed_before_something_is_taken(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    pulled: list[int] = []
    folder = photos(tmp_path, 400)

    def paths() -> Iterator[Path]:
        for number in range(400):
            pulled.append(number)
            yield folder / f"{number:03}.png"

    it = make(paths(), batch_size=1)
    it.stream.begin()
    time.sleep(0.3)
    assert len(pulled) <= 258
    assert len(list(it)) == 400


def test_the_total_is_known_early_where_somebody_wants_it(make: Callable[..., Streaming], tmp_path: Path) -> None:
    folder = photos(tmp_path, 400)
    it = make([folder], wants_total=True)
    it.stream.begin()
    deadline = time.monotonic() + 30
    while it.watching.totals[-1:] != [(400, True)] and time.monotonic() < deadline:
        it.stream.tell_news()  # and no result is taken
        time.sleep(0.01)
    assert it.watching.totals[-1] == (400, True)

    it = make([folder])
    it.stream.begin()
    time.sleep(0.2)
    it.stream.tell_news()
    assert not it.watching.totals[-1][1]
    assert len(it.names()) == 400
    assert it.watching.totals[-1] == (400, True)


def test_pages_of_documents_are_inside_the_window(make: Callable[..., Streaming], tmp_path: Path) -> None:
    it = make([photos(tmp_path, 3)], pages="all", batch_size=2)
    it.setting.pool.pages = 500
    most = 0
    seen = []
    for request in it:
        seen.append((Path(request.name).name, request.page))
        most = max(most, len(it.setting.pool.asked) - len(seen))
    assert seen == [(f"{n:03}.png", page) for n in range(3) for page in range(500)]
    assert most <= 256 + 2 * 2 + 1


def test_the_pages_of_a_document_whose_first_was_taken_at_once(
    make: Callable[..., Streaming], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is done a moment before the stream is told."""
    real = ResultStream._on_first_page

    def late(*arguments: Any) -> None:
        time.sleep(0.1)
        real(*arguments)

    monkeypatch.setattr(ResultStream, "_on_first_page", late)
    it = make([photos(tmp_path, 2)], pages="all")
    it.setting.pool.pages = 3
    it.stream.begin()
    found = []
    with suppress(StopIteration):
        while True:
            if (request := it.stream.take()) is not None:
                found.append((Path(request.name).name, request.page))
    assert found == [(f"{n:03}.png", page) for n in range(2) for page in range(3)]


def test_a_later_document_that_is_known_first_does_not_keep_an_earlier_one_waiting(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    it = make([photos(tmp_path, 2)], pages="all", batch_size=2)
    it.setting.pool.answers_at_once, it.setting.pool.pages = False, 30
    it.stream.begin()
    deadline = time.monotonic() + 10
    while len(it.setting.pool.in_hand) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    first, second = sorted(it.setting.pool.in_hand.values(), key=lambda item: item.path)
    it.setting.pool.answer(second.id)
    while len(it.setting.pool.asked) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    it.setting.pool.answer(first.id)
    found: list[tuple[str, int]] = []
    with suppress(StopIteration):
        while time.monotonic() < deadline:
            if (request := it.stream.take()) is not None:
                found.append((Path(request.name).name, request.page))
            it.setting.pool.answer()
            time.sleep(0.001)  # what is posted is dealt with in turn
    assert found == [(f"{n:03}.png", page) for n in range(2) for page in range(30)]


def test_pages_of_a_document_are_computed_side_by_side_though_others_wait_behind_it(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    it = make([photos(tmp_path, 300)], pages="all", batch_size=2)
    it.setting.pool.pages = 50
    it.stream.begin()
    while len(it.setting.pool.asked) < 256 + 4:
        time.sleep(0.005)
    assert sum(item.page > 0 for item in it.setting.pool.asked) >= 4


def test_the_same_content_twice_is_asked_once_with_all_its_pages(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    folder = photos(tmp_path, 1)
    shutil.copy(folder / "000.png", folder / "copy.png")
    it = make([folder], pages="all")
    it.setting.pool.pages = 3
    assert [(Path(r.name).name, r.page, r.pages) for r in it] == [
        (name, page, 1 if page == 0 else 3) for name in ("000.png", "copy.png") for page in range(3)
    ]
    assert len(it.setting.pool.asked) == 3


def test_a_damaged_first_page_does_not_hide_the_others(make: Callable[..., Streaming], tmp_path: Path) -> None:
    it = make([photos(tmp_path, 1)], pages="all")
    it.setting.pool.pages = 3
    it.setting.pool.failing = {"000.png": Problem("damaged", "planted")}
    assert [(request.page, request.error is None) for request in it] == [(0, False), (1, False), (2, False)]


def test_only_what_failed_before_with_retry_failed(make: Callable[..., Streaming], tmp_path: Path) -> None:
    folder = photos(tmp_path, 3)
    it = make([folder])
    it.setting.pool.failing = {"001.png": Problem("damaged", "planted")}
    assert len(list(it)) == 3
    it.setting.settle()
    again = make([folder], retry_failed=True, tier=it.setting.tier)
    assert [request.name[-7:] for request in again if not request.skipped] == ["001.png"]


def test_what_ends_the_listing_early_comes_after_what_was_listed(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    folder = photos(tmp_path, 3)

    def failing() -> Iterator[Path]:
        yield folder
        raise ValueError("planted")

    it = make(failing())
    taken = []
    with pytest.raises(ValueError, match="planted"):
        taken.extend(it)
    it.stream.begin()
    assert len(taken) == 0 or len(taken) == 3


def test_closing_ends_the_listing_and_what_waits_is_not_computed(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    it = make([photos(tmp_path, 200)])
    it.setting.pool.answers_at_once = False
    it.setting.pool.capacity = 3
    it.stream.begin()
    while len(it.setting.pool.asked) < 3:
        time.sleep(0.005)
    it.stream.close()
    it.setting.settle()
    it.setting.pool.answer()
    it.setting.settle()
    assert len(it.setting.pool.asked) == 3
    with pytest.raises(StopIteration):
        it.stream.wait()
    deadline = time.monotonic() + 10
    while any(thread.name == "list" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("stuck", ["stat", "read", "scandir"])
def test_what_the_system_does_not_answer_is_refused_and_the_listing_goes_on(
    make: Callable[..., Streaming], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    folder = photos(tmp_path, 5)
    (folder / "002a").mkdir()
    never = threading.Event()
    real_stat, real_open, real_scandir = os.stat, os.open, os.scandir

    def stat(path: Any, **named: Any) -> os.stat_result:
        if stuck == "stat" and str(path).endswith("002.png") and threading.current_thread().name == "list":
            never.wait(20)
        return real_stat(path, **named)

    def opened(path: Any, *arguments: Any, **named: Any) -> int:
        if stuck == "read" and str(path).endswith("002.png") and threading.current_thread().name == "list":
            never.wait(20)
        return real_open(path, *arguments, **named)

    def scandir(path: Any) -> Any:
        if stuck == "scandir" and str(path).endswith("002a"):
            never.wait(20)
        return real_scandir(path)

    it = make([folder], timeout=0.3)
    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "scandir", scandir)
    began = time.monotonic()
    outcome = {Path(request.name).name: request.error for request in it}
    never.set()
    assert time.monotonic() - began < 10
    victim = "002a" if stuck == "scandir" else "002.png"
    problem = outcome.pop(victim)
    assert problem is not None
    assert (problem.code, "did not answer" in problem.message) == ("unreadable", True)
    assert outcome == {f"{n:03}.png": None for n in range(5) if f"{n:03}.png" != victim}


def test_paths_that_come_slowly_are_waited_for_and_answered_as_they_come(
    make: Callable[..., Streaming], tmp_path: Path
) -> None:
    folder = photos(tmp_path, 3)
    taken: list[str] = []
    go_on = threading.Event()

    def slowly() -> Iterator[Path]:
        for number in range(3):
            yield folder / f"{number:03}.png"
            assert go_on.wait(20)
            go_on.clear()

    it = make(slowly(), timeout=0.2)
    for request in it:
        taken.append(request.name)
        time.sleep(0.3)  # longer than the disk may take
        go_on.set()
    assert len(taken) == 3
