"""Listing and hashing beside the run: a window ahead, counted further ahead, and stopped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from imgtool.engine.files.discover import ImageRef, RefusedPath, discover
from imgtool.engine.files.identity import Identity
from imgtool.engine.files.intake import Exhausted, Identified, Intake, IntakeEvent
from imgtool.types import Problem
from tests import pictures


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[Identity]:
    made = Identity(tmp_path / "cache", rehash=False, warn=pytest.fail)
    yield made
    made.close()


class Listing:
    """An intake and the events it posted."""

    def __init__(
        self, source: Iterable[ImageRef | RefusedPath], identity: Identity, window: int, count_ahead: int = 0
    ) -> None:
        self.chunks: queue.SimpleQueue[list[IntakeEvent]] = queue.SimpleQueue()
        self.pulled = 0

        def counted() -> Iterator[ImageRef | RefusedPath]:
            for entry in source:
                self.pulled += 1
                yield entry

        self.intake = Intake(counted(), identity, self.chunks.put, window, count_ahead)

    def events(self, count: int) -> list[IntakeEvent]:
        """The next ``count`` events."""
        found: list[IntakeEvent] = []
        while len(found) < count:
            self.intake.flush()
            found += self.chunks.get(timeout=20)
        return found

    def pulled_after_a_moment(self) -> int:
        time.sleep(0.1)
        return self.pulled


def photos(folder: Path, count: int) -> list[ImageRef | RefusedPath]:
    return list(discover([pictures.folder(folder, pictures.greys(count))]))


def test_every_file_comes_with_its_number_and_its_hash(tmp_path: Path, identity: Identity) -> None:
    found = photos(tmp_path / "photos", 5)
    refused = RefusedPath("gone.png", Problem("not_found", "planted"))
    it = Listing([*found, refused], identity, window=100)
    events = it.events(7)
    assert [e for e in events if isinstance(e, Exhausted)] == [Exhausted(6, None)]
    files = sorted(e for e in events if isinstance(e, Identified))
    assert [(e.seq, e.path) for e in files] == list(enumerate([*(each.path for each in found), "gone.png"]))
    assert len({e.sha256 for e in files}) == 6
    assert [e.problem for e in files] == [None] * 5 + [refused.problem]


def test_no_more_than_a_window_is_listed_until_something_is_released(tmp_path: Path, identity: Identity) -> None:
    it = Listing(photos(tmp_path / "photos", 20), identity, window=4)
    it.events(4)
    assert it.pulled_after_a_moment() <= 5
    it.intake.release(3)
    it.events(3)
    assert it.pulled_after_a_moment() <= 8


def test_with_counting_the_number_is_known_while_the_window_is_full(tmp_path: Path, identity: Identity) -> None:
    it = Listing(photos(tmp_path / "photos", 20), identity, window=4, count_ahead=100)
    events = it.events(5)
    assert Exhausted(20, None) in events
    assert sum(isinstance(e, Identified) for e in events) == 4
    it.intake.release(16)
    assert len(it.events(16)) == 16


def test_counting_ahead_is_bounded_too(tmp_path: Path, identity: Identity) -> None:
    it = Listing(photos(tmp_path / "photos", 50), identity, window=4, count_ahead=10)
    it.events(4)
    assert it.pulled_after_a_moment() <= 15


def test_what_was_listed_ahead_is_passed_on_while_the_listing_waits_for_more(
    tmp_path: Path, identity: Identity
) -> None:
    found = photos(tmp_path / "photos", 6)
    more = threading.Event()

    def trickle() -> Iterator[ImageRef | RefusedPath]:
        yield from found
        more.wait(20)

    it = Listing(trickle(), identity, window=2, count_ahead=100)
    it.events(2)
    it.intake.release(4)
    assert len(it.events(4)) == 4
    more.set()
    assert it.events(1) == [Exhausted(6, None)]


def test_what_ends_the_listing_early_is_passed_on(tmp_path: Path, identity: Identity) -> None:
    def failing() -> Iterator[ImageRef | RefusedPath]:
        yield from photos(tmp_path / "photos", 1)
        raise RuntimeError("planted")

    (exhausted,) = (e for e in Listing(failing(), identity, window=9).events(2) if isinstance(e, Exhausted))
    assert (exhausted.files, str(exhausted.error)) == (1, "planted")


def test_a_file_that_is_gone_is_a_failure_of_that_file(tmp_path: Path, identity: Identity) -> None:
    found = photos(tmp_path / "photos", 2)
    Path(found[0].path).unlink()
    files = sorted(e for e in Listing(found, identity, window=9).events(3) if isinstance(e, Identified))
    assert [e.problem and e.problem.code for e in files] == ["not_found", None]


def test_nothing_comes_after_stop(tmp_path: Path, identity: Identity) -> None:
    it = Listing(photos(tmp_path / "photos", 50), identity, window=4)
    it.events(4)
    it.intake.stop()
    it.intake.release(40)
    assert it.pulled_after_a_moment() <= 5
    it.intake.flush()
    assert it.chunks.empty()
