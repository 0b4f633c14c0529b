"""Who an image is, in threads beside everything else: files, bytes, and disks that do not answer."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgtool.engine.files.discover import ImageRef, discover
from imgtool.engine.files.identify import Identified, Identifier
from imgtool.engine.files.identity import Identity
from tests import pictures


class Told:
    """What was found, once it is there."""

    def __init__(self) -> None:
        self.all: list[Identified] = []
        self._there = threading.Event()

    def __call__(self, found: Identified) -> None:
        self.all.append(found)
        self._there.set()

    def one(self, ticking: Callable[[], None] = lambda: None) -> Identified:
        deadline = time.monotonic() + 10
        while not self._there.wait(0.01) and time.monotonic() < deadline:
            ticking()
        (found,) = self.all
        return found


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Identifier]]:
    made: list[Identifier] = []

    def one(patience: float = 10.0, open_index: Any = None) -> Identifier:
        index = open_index or (lambda: Identity(tmp_path / "cache", rehash=False, warn=print))
        made.append(Identifier(index, patience))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = pictures.flat(tmp_path / "a.png")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ref(path: Path) -> ImageRef:
    (found,) = discover([path])
    assert isinstance(found, ImageRef)
    return found


def test_a_file_is_looked_at_read_and_known_the_next_time(
    make: Callable[..., Identifier], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ctime is now: the index trusts a file only some seconds after its last change.
    monkeypatch.setattr("imgtool.engine.files.identity._MARGIN_NS", -(10**12))
    it = make()
    first = Told()
    it.identify_path(str(image), first)
    found = first.one()
    assert (found.sha256, found.problem) == (digest(image), None)
    assert found.ref is not None and found.ref.size == image.stat().st_size
    deadline = time.monotonic() + 5
    while it.known(ref(image)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setattr("imgtool.engine.files.identify.read_digest", None)
    again = Told()
    it.identify_path(str(image), again)
    assert again.one().sha256 == digest(image)


def test_bytes_are_hashed(make: Callable[..., Identifier]) -> None:
    told = Told()
    make().identify_bytes(b"some bytes", told)
    assert told.one() == Identified(sha256=hashlib.sha256(b"some bytes").hexdigest())


@pytest.mark.parametrize(
    ("name", "code"),
    [("gone.png", "not_found"), ("notes.txt", "not_an_image"), ("empty.png", "empty_file"), (".", "not_a_file")],
)
def test_what_is_no_image_is_a_problem(make: Callable[..., Identifier], tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty.png").touch()
    told = Told()
    make().identify_path(str(tmp_path / name), told)
    problem = told.one().problem
    assert problem is not None
    assert (problem.code, bool(problem.remedy)) == (code, True)


def test_a_file_that_is_gone_before_it_is_read(make: Callable[..., Identifier], image: Path) -> None:
    found = ref(image)
    image.unlink()
    told = Told()
    make().identify(found, told)
    problem = told.one().problem
    assert problem is not None and problem.code == "not_found"


@pytest.mark.parametrize("error", [OSError(116, "Stale file handle"), MemoryError(), RuntimeError("planted")])
@pytest.mark.parametrize("call", ["fstat", "stat", "open"])
def test_whatever_goes_wrong_is_a_failure_of_that_file(
    make: Callable[..., Identifier], image: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, call: str
) -> None:
    it = make()
    real = getattr(os, call)

    def fail(path: Any, *arguments: Any, **named: Any) -> Any:
        if threading.current_thread().name == "hash":
            raise error
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, call, fail)
    told = Told()
    it.identify_path(str(image), told)
    problem = told.one().problem
    assert problem is not None and problem.code in ("unreadable", "out_of_memory")


def test_a_disk_that_does_not_answer_costs_the_file_and_no_other(
    make: Callable[..., Identifier], tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = make(patience=0.2)
    never = threading.Event()
    real = os.fstat

    def stall(handle: int) -> os.stat_result:
        found = real(handle)
        if found.st_ino == image.stat().st_ino:
            never.wait(20)
        return found

    monkeypatch.setattr(os, "fstat", stall)
    stuck, fine = Told(), Told()
    it.identify_path(str(image), stuck)
    it.identify_path(str(pictures.flat(tmp_path / "b.png", (1, 2, 3))), fine)
    assert fine.one(it.tick).problem is None
    problem = stuck.one(it.tick).problem
    assert problem is not None
    assert (problem.code, "did not answer" in problem.message) == ("unreadable", True)
    never.set()


class StuckIndex:
    """An index whose disk does not answer."""

    def __init__(self) -> None:
        self.never = threading.Event()
        self.given_up = False

    def lookup(self, _: ImageRef) -> None:
        self.never.wait(20)

    def is_known_image(self, _: os.stat_result) -> bool:
        return False

    def remember(self, *_: object) -> None:
        self.never.wait(20)

    def flush(self) -> None:
        self.never.wait(20)

    def close(self) -> None:
        self.never.wait(20)

    def give_up(self) -> None:
        self.given_up = True


def test_an_index_that_does_not_answer_is_done_without(make: Callable[..., Identifier], image: Path) -> None:
    index = StuckIndex()
    it = make(patience=0.2, open_index=lambda: index)
    told = Told()
    it.identify_path(str(image), told)
    found = told.one(it.tick)
    assert (found.sha256, found.problem, index.given_up) == (digest(image), None, True)
    began = time.monotonic()
    it.close()
    assert time.monotonic() - began < 5
    index.never.set()


def test_an_index_that_does_not_open_is_done_without(
    make: Callable[..., Identifier], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgtool.engine.files.identify._OPEN_SECONDS", 0.1)
    never = threading.Event()

    def stuck() -> Identity:
        never.wait(20)
        raise OSError

    def broken() -> Identity:
        raise RuntimeError("planted")

    for opening in (stuck, broken):
        told = Told()
        make(open_index=opening).identify_path(str(image), told)
        assert told.one().sha256 == digest(image)
    never.set()
    said: list[str] = []
    Identifier(broken, 10, said.append).known(ref(image))
    assert "RuntimeError: planted" in said[0]


def test_what_was_learnt_is_there_the_next_time(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.engine.files.identity._MARGIN_NS", -(10**12))

    def opened() -> Identity:
        return Identity(tmp_path / "cache", rehash=False, warn=pytest.fail)

    it = Identifier(opened, 10)
    told = Told()
    it.identify_path(str(image), told)
    told.one()
    deadline = time.monotonic() + 5
    while it.known(ref(image)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    it.close()
    other = Identifier(opened, 10)
    assert other.known(ref(image)) == digest(image)
    other.close()
