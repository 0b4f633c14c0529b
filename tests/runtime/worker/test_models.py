"""A worker's models: loaded once, tried again, stood in for, unloaded when idle; each state visible."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from imgtool import Engine
from imgtool.analyzers.interface import Analyzer
from imgtool.ground.retry import RetryPolicy
from imgtool.runtime.protocol import FromWorker, LoadRetried, ModelFailed, ModelLoaded, TaskPlan
from imgtool.runtime.worker import models as module
from imgtool.runtime.worker.memory import give_back
from imgtool.runtime.worker.models import Cores, Model, Models, ModelState
from imgtool.types import Problem
from tests import pictures

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOADING", RetryPolicy(first_wait=0.0, jitter=0.0))


def plan(*names: str, task: str = "caption") -> TaskPlan:
    """The first of ``names`` answers; the others stand in."""
    first, *others = [
        TaskPlan(task=task, analyzer=name, target=f"tests.planted:{name}", parameters={}) for name in names
    ]
    return TaskPlan(task=task, analyzer=first.analyzer, target=first.target, parameters={}, stand_ins=tuple(others))


class Said(list[FromWorker]):
    """What a worker would have told its parent."""

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in self if isinstance(message, kind)]


def state(model: Model) -> ModelState:
    return model.state


def label(found: Analyzer | Problem) -> str:
    assert isinstance(found, Analyzer)
    return found.spec.name


def test_thirty_two_threads_at_once_load_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_LOG", str(tmp_path / "log"))
    said = Said()
    model = Model(plan("Heavy"), Cores(1, 1), said.append)
    assert state(model) is ModelState.NOT_LOADED
    together = threading.Barrier(32)

    def ask() -> Analyzer | Problem:
        together.wait()
        return model.get()

    with ThreadPoolExecutor(32) as threads:
        found = [future.result() for future in [threads.submit(ask) for _ in range(32)]]
    assert len(set(map(id, found))) == 1
    assert label(found[0]) == "heavy"
    assert (tmp_path / "log").read_text() == "load\n"
    assert len(said.of(ModelLoaded)) == 1
    assert model.state is ModelState.READY


def test_imports_of_several_models_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_LOG", str(tmp_path / "log"))
    said = Said()
    models = [Model(plan("SlowImports", task=task), Cores(1, 1), said.append) for task in ("caption", "text", "labels")]
    began = time.perf_counter()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(Model.get, models))
    elapsed = time.perf_counter() - began
    words = [word for word in (tmp_path / "log").read_text().split() if word != "load"]
    assert words == ["begin", "end"] * 3
    assert sum(message.import_seconds for message in said.of(ModelLoaded)) < elapsed, "waiting is no importing"


def test_while_it_loads_its_state_says_so() -> None:
    inside, go_on = threading.Event(), threading.Event()
    model = Model(plan("Hazard"), Cores(1, 1), Said().append)

    def load() -> None:
        inside.set()
        go_on.wait(10)

    model.analyzer.load = load  # type: ignore[method-assign]
    thread = threading.Thread(target=model.get)
    thread.start()
    assert inside.wait(10)
    assert state(model) is ModelState.LOADING
    go_on.set()
    thread.join(10)
    assert model.state is ModelState.READY


def test_a_load_that_fails_twice_is_tried_a_third_time_and_both_are_reported() -> None:
    said = Said()
    model = Model(plan("FailsTwice", "Hazard"), Cores(1, 1), said.append)
    assert label(model.get()) == "fails-twice"
    retries = said.of(LoadRetried)
    assert [(each.attempt, each.attempts, each.cause) for each in retries] == [
        (2, 3, "OSError: [Errno 5] planted passing failure"),
        (3, 3, "OSError: [Errno 5] planted passing failure"),
    ]
    assert model.state is ModelState.READY


def test_one_that_always_fails_is_stood_in_for() -> None:
    said = Said()
    model = Model(plan("FailsLoading", "Hazard"), Cores(1, 1), said.append)
    assert label(model.get()) == "hazard"
    assert len(said.of(LoadRetried)) == 2
    (failed,) = said.of(ModelFailed)
    assert failed.stand_in == "Hazard"
    assert "planted load failure" in failed.problem.message
    assert model.state is ModelState.READY


def test_one_that_nothing_stands_in_for_stays_failed() -> None:
    said = Said()
    model = Model(plan("FailsLoading", "FailsLoading"), Cores(1, 1), said.append)
    assert isinstance(model.get(), Problem)
    assert model.state is ModelState.FAILED
    model.close()
    before = len(said)
    assert isinstance(model.get(), Problem)
    assert model.state is ModelState.FAILED
    assert len(said) == before, "it was tried again"


@pytest.mark.parametrize(
    "error",
    [
        ImportError("no"),
        MemoryError(),
        RuntimeError("Protobuf parsing failed"),
        ValueError("header too large"),
        FileNotFoundError(2, "no such file"),
        OSError("a library's own words for a model that is not there"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    said = Said()
    model = Model(plan("Hazard"), Cores(1, 1), said.append)

    def load() -> None:
        raise error

    model.analyzer.load = load  # type: ignore[method-assign]
    assert isinstance(model.get(), Problem)
    assert said.of(LoadRetried) == []


def test_imports_are_counted_apart_and_what_cannot_be_imported_is_left_to_the_load() -> None:
    sys.modules.pop("tests.planted_library", None)
    give_back()  # what earlier tests freed would be used again, and nothing would seem to be taken
    said = Said()
    Model(plan("Heavy"), Cores(1, 1), said.append).get(warm_up=True)
    Model(plan("Heavy"), Cores(1, 1), said.append).get()
    first, second = said.of(ModelLoaded)
    assert first.import_seconds >= 0.1
    assert second.import_seconds < first.import_seconds
    assert min(first.load_seconds, second.load_seconds) >= 0.05
    assert second.warm_up_seconds == 0


def test_what_a_model_takes_is_told_by_the_process_that_holds_it(tmp_path: Path) -> None:
    # A worker of its own: here, what former tests have freed would be used again.
    picture = pictures.flat(tmp_path / "a.png")
    with Engine(tasks=["caption"], caption_engine="tests.planted:Heavy", cache=False) as engine:
        list(engine.analyze([picture]))
        (loaded,) = engine.statistics.models
    if sys.platform == "linux":
        assert loaded.anon_after_bytes - loaded.anon_before_bytes > 150_000_000
    assert loaded.rss_after_bytes - loaded.rss_before_bytes > 150_000_000


class TestIdle:
    def models(self, said: Said) -> Models:
        return Models([plan("Heavy"), plan("Fine", task="text")], 1, said.append)

    def test_only_what_was_idle_that_long_is_unloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = _Clock(monkeypatch)
        models = self.models(Said())
        assert models.unload_idle(10) is None
        models.load_all(None)
        clock.now += 6
        models["text"].used()
        assert models.unload_idle(10) == pytest.approx(4)
        clock.now += 4
        assert models.unload_idle(10) == pytest.approx(6)
        assert (models["caption"].state, models["text"].state) == (ModelState.NOT_LOADED, ModelState.READY)
        clock.now += 6
        assert models.unload_idle(10) is None
        assert models["text"].state is ModelState.NOT_LOADED

    def test_the_next_use_loads_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, said = _Clock(monkeypatch), Said()
        models = self.models(said)
        models["caption"].get()
        clock.now += 11
        models.unload_idle(10)
        assert label(models["caption"].get()) == "heavy"
        assert [each.analyzer for each in said.of(ModelLoaded)] == ["Heavy", "Heavy"]

    def test_a_stand_in_comes_back_rather_than_what_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, said = _Clock(monkeypatch), Said()
        models = Models([plan("FailsLoading", "Heavy")], 1, said.append)
        models["caption"].get()
        clock.now += 11
        models.unload_idle(10)
        assert label(models["caption"].get()) == "heavy"
        assert len(said.of(ModelFailed)) == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process holds")
    def test_the_memory_goes_back_to_the_machine(self) -> None:
        said = Said()
        models = self.models(said)
        models["caption"].get()
        loaded = _anon()
        time.sleep(0.01)
        models.unload_idle(0.001)
        assert loaded - _anon() > 150_000_000


class _Clock:
    """A clock that the test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("imgtool.runtime.worker.models.time.monotonic", lambda: self.now)


def _anon() -> int:
    from imgtool import trace

    return trace.memory()["anon"]
