"""Keeping a database in step with a run: what is known is passed over, what is not gets there or is counted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from imgtool.database import recorder as recorder_module
from imgtool.database.entry import Entry, is_recorded, recorded
from imgtool.database.interface import Database, DatabaseBusy
from imgtool.database.locate import database_at
from imgtool.database.recorder import BATCH, Recorded, Recorder
from imgtool.database.sqlite import SqliteDatabase
from imgtool.types import ImageResult, TaskResults
from tests import results
from tests.database.kept import everything, paths, said, without
from tests.database.servers import Server


def lay_out(server: Server) -> None:
    database = database_at(server.url())
    database.migrate()
    database.close()


def record(url: str, given: Iterable[ImageResult], **options: Any) -> Recorded:
    recorder = Recorder(lambda: database_at(url), **options)
    for result in given:
        recorder.add(result)
    return recorder.close()


def pictures(count: int, folder: str = "/run") -> list[ImageResult]:
    return [said(f"{folder}/{number:05}.png", f"harbour {number}", sha=number).result for number in range(count)]


def test_a_file_of_a_far_future_is_recorded(url: str, tmp_path: Path) -> None:
    """Nanoseconds since 1970 leave 64 bits in 2262; file systems know later times, and anybody may set one."""
    file = tmp_path / "late.png"
    file.write_bytes(b"")
    os.utime(file, ns=(0, 13_569_465_600 * 10**9))  # in the year 2400
    found = structs.replace(said(str(file), "harbour", sha=1).result, path=str(file))
    assert record(url, [found]) == Recorded(written=1)
    assert record(url, [found]) == Recorded(known=1)


def test_what_comes_from_the_cache_is_known_by_one_stamp(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pictures(40)
    assert record(url, given) == Recorded(written=40)
    from_cache = [
        structs.replace(
            result,
            tasks=TaskResults(
                **{task.value: structs.replace(answer, from_cache=True) for task, answer in result.tasks.items()}
            ),
        )
        for result in given
    ]
    monkeypatch.setattr("imgtool.database.entry.stamps", lambda result: {"never": "equal"})
    assert record(url, from_cache) == Recorded(known=40)
    other = structs.replace(from_cache[0], tasks=TaskResults(caption=results.caption("of another run")))
    assert not is_recorded(recorded(given[0], {}), other)


def test_what_is_known_is_passed_over(url: str) -> None:
    given = pictures(2 * BATCH + 10)
    assert record(url, given) == Recorded(written=len(given))
    assert record(url, given) == Recorded(known=len(given))
    assert record(url, reversed(given)) == Recorded(known=len(given))
    # Some of the tasks of an earlier run.
    fewer = [without(each, "labels") for each in given]
    assert record(url, fewer) == Recorded(known=len(given))


def test_what_is_new_or_different_is_written(url: str) -> None:
    given = pictures(40)
    record(url, given)
    other = said("/run/00007.png", "pier", sha=7).result
    moved = msgspec.structs.replace(given[8], path="/elsewhere/8.png")
    changed = msgspec.structs.replace(given[9], sha256="f" * 64)
    failed = results.failed("/run/00010.png")
    more = [*given[:7], other, moved, changed, failed, *given[11:]]
    assert record(url, more) == Recorded(written=4, known=36)
    assert record(url, more) == Recorded(known=40)
    database = database_at(url)
    database.connect()
    assert paths(database, "pier") == ["/run/00007.png"]
    assert paths(database, 'text:"harbour 8"') == ["/elsewhere/8.png", "/run/00008.png"]
    assert paths(database, "status:failed") == ["/run/00010.png"]
    database.close()


def test_pages_of_one_file_are_told_apart(url: str) -> None:
    given = [said("/a.tif", f"page {number}", sha=1, page=number, pages=700).result for number in range(700)]
    assert record(url, given).written == 700
    assert record(url, given) == Recorded(known=700)


def test_relative_paths_are_kept_absolute(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    record(
        url,
        [said(name, "harbour", sha=place).result for place, name in enumerate(("a.png", "./b/../c.png", "d/e.png"))],
    )
    database = database_at(url)
    database.connect()
    assert sorted(paths(database, "harbour")) == [f"{tmp_path}/{name}" for name in ("a.png", "c.png", "d/e.png")]
    assert {entry.mtime_ns is None for entry in database.entries()} == {False, True}
    database.close()


def test_a_thumbnail_is_no_part_of_what_is_kept(url: str) -> None:
    given = said("/a.png", "harbour").result
    record(url, [msgspec.structs.replace(given, thumbnail=b"jpeg" * 1000)])
    assert record(url, [given]) == Recorded(known=1)


def test_a_run_that_begins_while_the_server_is_away(server: Server) -> None:
    lay_out(server)
    given = pictures(3 * BATCH)
    server.stop()
    back = threading.Timer(1.0, server.start)
    back.start()
    try:
        recorded = record(server.url(), given, connect=lambda database: database.connect())
    finally:
        back.join()
    assert (recorded.written, recorded.missing) == (len(given), 0)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_stops_and_starts_in_the_middle(server: Server, mode: str) -> None:
    database = database_at(server.url())
    database.connect(create=True)
    given = pictures(1000)
    recorder = Recorder(lambda: database_at(server.url()), connect=lambda each: each.connect())
    for place, result in enumerate(given):
        recorder.add(result)
        if place == 400:
            server.stop(mode)
        if place == 900:
            server.start()
    assert recorder.close().missing == 0
    database.connect()
    assert len(everything(database)) == 1000
    assert database.status(thorough=True).trouble == ()
    database.close()


def test_a_server_that_stays_away_is_told_and_the_next_run_completes(server: Server) -> None:
    lay_out(server)
    given = pictures(600)
    recorder = Recorder(lambda: database_at(server.url()), patience=1.0, connect=lambda each: each.connect())
    for result in given[:300]:
        recorder.add(result)
    deadline = time.monotonic() + 20
    while _count(server) < BATCH and time.monotonic() < deadline:
        time.sleep(0.1)
    server.stop()
    try:
        for result in given[300:]:
            recorder.add(result)
        recorded = recorder.close()
    finally:
        server.start()
    assert recorded.missing > 0
    assert recorded.written + recorded.missing == 600
    assert "reached" in str(recorded.trouble) or "closed" in str(recorded.trouble)
    again = record(server.url(), given)
    assert (again.written, again.known, again.missing) == (recorded.missing, recorded.written, 0)


def _count(server: Server) -> int:
    database = database_at(server.url())
    database.connect()
    count = database.status().counts["files"]
    database.close()
    return count


class _Failing(SqliteDatabase):
    """A database whose writes do not come back, or fail in a way that nobody foresaw."""

    def __init__(self, path: Path, gate: threading.Event | None) -> None:
        super().__init__(path)
        self._gate = gate

    def write(self, entries: Sequence[Entry]) -> None:
        if self._gate is None:
            raise RuntimeError("planted")
        self._gate.wait(10)
        super().write(entries)


def test_a_run_waits_where_thousands_wait_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_MAX_WAITING", 20)
    monkeypatch.setattr(recorder_module, "BATCH", 10)
    gate = threading.Event()
    recorder = Recorder(lambda: _Failing(tmp_path / "r.db", gate))
    added: list[int] = []

    def run() -> None:
        for place, result in enumerate(pictures(60)):
            recorder.add(result)
            added.append(place)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(1.5)
    assert len(added) < 60
    gate.set()
    thread.join(20)
    assert recorder.close().written == 60


def test_a_mistake_of_our_own_is_raised_and_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_MAX_WAITING", 20)
    monkeypatch.setattr(recorder_module, "_EVERY_SECONDS", 0.05)
    recorder = Recorder(lambda: _Failing(tmp_path / "r.db", None))
    for result in pictures(50):
        recorder.add(result)
    with pytest.raises(RuntimeError, match="planted"):
        recorder.close()


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'r.db'}"
    holder = SqliteDatabase(tmp_path / "r.db")
    holder.connect(create=True)
    connection = holder._open_connection()
    connection.execute("BEGIN IMMEDIATE")
    freed = threading.Timer(1.0, lambda: connection.execute("ROLLBACK"))
    freed.start()
    assert record(url, pictures(5)).written == 5
    freed.join()
    holder.close()


def test_closing_at_once_does_not_wait_for_a_database_that_is_away(tmp_path: Path) -> None:
    class Away(SqliteDatabase):
        def connect(self, *, write: bool = True, create: bool = False, check: bool = True) -> None:
            raise DatabaseBusy("planted")

    def away() -> Database:
        return Away(tmp_path / "r.db")

    recorder = Recorder(away, patience=3600.0)
    for result in pictures(5):
        recorder.add(result)
    began = time.monotonic()
    recorded = recorder.close(at_once=True)
    assert time.monotonic() - began < 10
    assert (recorded.missing, str(recorded.trouble)) == (5, "planted")
