"""Runs that are killed at any moment, with their workers: the database has no page in part, and the next run
completes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgtool.database.locate import database_at
from imgtool.errors import ExitCode
from tests.cli.search.test_search import ENGINES
from tests.command import imgtool
from tests.database.kept import everything
from tests.database.servers import Server, why_not
from tests.pictures import folder, greys

PICTURES = 1000


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and a cache that has their results, so that runs are quick and write all the time."""
    place = tmp_path_factory.mktemp("killed")
    (place / "photos").mkdir()
    for part in range(PICTURES // 100):
        folder(place / "photos" / f"{part:02}", greys(100 * (part + 1))[-100:])
    return place / "photos"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'results.db'}"
        return
    if reason := why_not():
        pytest.skip(reason)
    server = Server()
    try:
        server.start()
        yield server.url()
    finally:
        server.remove()


def kill_runs(url: str, photos: Path, times: int) -> None:
    rng = random.Random(times)
    cache = {"IMGTOOL_CACHE_DIR": str(photos.parent / "cache")}
    command = ["analyze", str(photos), *ENGINES, "--database", url, "-f", "jsonl", "-o", os.devnull, "-q"]
    database = database_at(url)
    database.connect(create=True)
    began = time.monotonic()
    assert imgtool(*command, **cache).code is ExitCode.OK
    takes = time.monotonic() - began
    wanted = _content(everything(database))
    assert len(wanted) == PICTURES
    partly = 0
    for _ in range(times):
        if rng.random() < 0.7:
            database.forget([number for number, _, _ in database.files()])
        run = subprocess.Popen(
            [sys.executable, "-m", "imgtool", *command], env={**os.environ, **cache}, start_new_session=True
        )
        time.sleep(rng.uniform(0.2, 1.1) * takes)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert database.status(thorough=True).trouble == ()
        found = _content(everything(database))
        assert found.items() <= wanted.items()
        partly += 0 < len(found) < PICTURES
    assert imgtool(*command, **cache).code is ExitCode.OK
    assert _content(everything(database)) == wanted
    assert database.status(thorough=True).counts["files"] == PICTURES
    database.close()
    if times >= 10:
        assert partly, "no run was killed while it wrote"


def _content(found: list[tuple[Any, ...]]) -> dict[tuple[str, int], Any]:
    """Answers by page, without times. A page that is there twice is one too many."""
    pages = {
        (path, page): [(task, answer["value"]) for task, answer in result["tasks"].items()]
        for path, page, result, *_ in found
    }
    assert len(pages) == len(found)
    return pages


def test_two_killed_runs(url: str, photos: Path) -> None:
    kill_runs(url, photos, 2)


@pytest.mark.slow
def test_fifty_killed_runs(url: str, photos: Path) -> None:
    kill_runs(url, photos, 50)
