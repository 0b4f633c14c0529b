"""Loading as a run meets it: retries and stand-ins that are said, ``--strict``, models unloaded when idle."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from imgtool import Engine
from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, analyze
from tests.conftest import ROOT

FLAGS = ("--tasks", "caption", "--no-cache")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return pictures.flat(tmp_path / "image.png")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where planted analyzers write what they were asked."""
    monkeypatch.setenv("PLANTED_LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()
    yield tmp_path / "log"


@pytest.fixture
def preferring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The preferred engine of captions is one that never loads; the next one is ``describe``."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text(
        "from imgtool.analyzers.registry import ANALYZERS, ORDER\n"
        "ANALYZERS['fails-loading'] = ('tests.planted:FailsLoading',)\n"
        "ORDER['caption'] = ('fails-loading', 'describe')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{packages}")
    return "fails-loading"


def caption(done: Outcome) -> dict[str, object]:
    (result,) = done.results
    answer: dict[str, object] = result["tasks"]["caption"]
    return answer


def test_a_load_that_fails_twice_is_answered_and_each_retry_is_told_once(image: Path, log: Path) -> None:
    done = analyze(image, *FLAGS, "--caption-engine", "tests.planted:FailsTwice")
    assert done.code is ExitCode.OK, done.err
    assert caption(done)["value"] == "colour (255, 255, 255)"
    told = [line for line in done.err.splitlines() if "planted passing failure" in line]
    assert len(told) == 2
    assert ("2 of 3" in told[0], "3 of 3" in told[1]) == (True, True)
    assert log.read_text().splitlines()[:3] == ["attempt 1", "attempt 2", "attempt 3"]


def test_one_that_always_fails_is_stood_in_for_and_says_so(image: Path, preferring: str) -> None:
    done = analyze(image, *FLAGS)
    assert done.code is ExitCode.OK, done.err
    assert (caption(done)["engine"], caption(done)["stands_in_for"]) == ("describe", preferring)
    told = [line for line in done.err.splitlines() if "describe stands in for fails-loading" in line]
    assert len(told) == 1
    assert "planted load failure" in told[0]


@pytest.mark.parametrize("load", ["lazy", "parallel", "eager"])
def test_nobody_stands_in_where_strict_forbids_it(image: Path, preferring: str, load: str) -> None:
    done = analyze(image, *FLAGS, "--strict", "--load", load)
    assert done.code is ExitCode.MODEL_MISSING
    (result,) = done.results
    assert result["tasks"]["caption"]["error"]["code"] == "model_load_failed"
    assert "stands in" not in done.err


def test_the_figures_of_each_model_are_in_the_statistics_and_the_summary(image: Path, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    done = analyze(image, *FLAGS, "--caption-engine", "tests.planted:Heavy", "--stats", stats)
    (model,) = json.loads(stats.read_text())["models"]
    assert model["import_seconds"] >= 0.1
    assert model["load_seconds"] >= 0.05
    assert model["rss_after_bytes"] > model["rss_before_bytes"] > 0
    if sys.platform == "linux":
        assert model["anon_after_bytes"] - model["anon_before_bytes"] > 150_000_000
    assert "models loaded: " in done.err


class TestIdle:
    """A time to live of a tenth of a second, and waits that outlast any delay of this machine."""

    def engine(self, **more: object) -> Engine:
        options = {"tasks": ["caption"], "caption_engine": "tests.planted:Heavy", "cache": False, "idle_ttl": 0.1}
        return Engine(**{**options, **more})  # type: ignore[arg-type]

    @pytest.mark.parametrize("isolate", [True, False])
    def test_an_idle_model_is_unloaded_and_loaded_again_at_its_next_use(
        self, tmp_path: Path, log: Path, isolate: bool
    ) -> None:
        photos = [pictures.flat(tmp_path / f"{level}.png", (level, 0, 0)) for level in (1, 2)]
        with self.engine(isolate=isolate) as engine:
            assert [answer.status.value for answer in engine.analyze([photos[0]])] == ["ok"]
            _wait_for("close", log)
            assert [answer.status.value for answer in engine.analyze([photos[1]])] == ["ok"]
        steps = [line.split()[0] for line in log.read_text().splitlines()]
        assert steps[:5] == ["load", "run", "close", "load", "run"]
        assert len({line for line in log.read_text().splitlines() if line.startswith("run")}) == 1, "another worker"

    def test_without_it_nothing_is_unloaded(self, tmp_path: Path, log: Path) -> None:
        with self.engine(idle_ttl=None) as engine:
            list(engine.analyze([pictures.flat(tmp_path / "1.png")]))
            time.sleep(0.5)
            list(engine.analyze([pictures.flat(tmp_path / "2.png", (2, 0, 0))]))
        assert log.read_text().split().count("load") == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process holds")
    def test_the_worker_gives_the_memory_back(self, tmp_path: Path, log: Path) -> None:
        with self.engine(idle_ttl=1.0) as engine:
            list(engine.analyze([pictures.flat(tmp_path / "1.png")]))
            (worker,) = psutil.Process().children()
            loaded = _anon(worker)
            _wait_for("close", log)
            deadline = time.monotonic() + 30
            while loaded - _anon(worker) < 150_000_000 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert loaded - _anon(worker) > 150_000_000


def _wait_for(word: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while word not in log.read_text().split():
        assert time.monotonic() < deadline, f"no {word} in {log.read_text()!r}"
        time.sleep(0.02)


def _anon(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
