"""How many workers and threads a run has where nobody said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from imgtool import Engine
from imgtool.engine import worker_count
from imgtool.engine.worker_count import threads_of, with_workers
from imgtool.options import EngineOptions

GB = 1_000_000_000


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_count, "granted_cores", lambda: 4)
    monkeypatch.setattr(worker_count, "available_memory", lambda: 16 * GB)


def planned(*pays: bool | None) -> Any:
    return SimpleNamespace(
        chosen={str(n): SimpleNamespace(spec=SimpleNamespace(workers_pay=each)) for n, each in enumerate(pays)}
    )


@pytest.mark.parametrize(
    ("pays", "workers"), [((True,), 4), ((True, None), 4), ((None,), 1), ((False,), 1), ((True, False), 1)]
)
def test_as_many_as_pay(pays: tuple[bool | None, ...], workers: int) -> None:
    assert with_workers(EngineOptions(), planned(*pays)).workers == workers


def test_what_was_asked_for_is_what_there_is() -> None:
    assert with_workers(EngineOptions(workers=7), planned(False)).workers == 7
    assert with_workers(EngineOptions(workers=1), planned(True)).workers == 1


def test_one_where_the_models_run_in_the_same_process() -> None:
    assert with_workers(EngineOptions(isolate=False), planned(True)).workers == 1


@pytest.mark.parametrize(("free", "workers"), [(16 * GB, 4), (5 * GB, 3), (GB, 1), (0, 1), (None, 4)])
def test_half_of_the_free_memory_at_most(free: int | None, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_count, "available_memory", lambda: free)
    assert with_workers(EngineOptions(), planned(True)).workers == workers


def test_the_first_worker_has_every_thread() -> None:
    options = EngineOptions(workers=4)
    assert threads_of(options, is_alone=True) == 4
    assert threads_of(options, is_alone=False) == 1
    assert threads_of(EngineOptions(workers=4, threads=3), is_alone=True) == 3


def test_text_alone_is_read_by_a_worker_a_core() -> None:
    with Engine(tasks=["text"], text_engine="rapidocr", cache=False) as engine:
        assert engine.options.workers == 4
    with Engine(tasks=["text"], text_engine="rapidocr", cache=False, workers=1) as engine:
        assert engine.options.workers == 1
