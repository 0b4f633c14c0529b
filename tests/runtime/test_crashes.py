"""Crashes, hangs and kills in real workers: exactly the guilty image fails."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from imgtool import Engine
from imgtool.types import ImageResult, Status
from tests import pictures, planted
from tests.hostile.bombs import bombs

HAZARD = "tests.planted:Hazard"


def caption_engine(name: str = "Hazard", **options: Any) -> Engine:
    defaults = {"cache": False, "timeout": 30}
    return Engine(tasks=["caption"], caption_engine=f"tests.planted:{name}", **{**defaults, **options})


def answers(engine: Engine, folder: Path) -> list[ImageResult]:
    with engine:
        return list(engine.analyze([folder]))


def failed(results: list[ImageResult]) -> list[str]:
    return [Path(result.path).name for result in results if result.status is not Status.OK]


def error_code(result: ImageResult) -> str:
    caption = result.tasks.get(planted.Task.CAPTION)
    assert caption is not None
    assert caption.error is not None
    return caption.error.code


def hazards(tmp_path: Path, bad: dict[int, pictures.Colour], count: int = 20) -> Path:
    colours = pictures.greys(count)
    for index, colour in bad.items():
        colours[index] = colour
    return pictures.folder(tmp_path / "photos", colours)


@pytest.mark.parametrize("analyzer", ["Hazard", "BatchedHazard"])
@pytest.mark.parametrize("colour", [planted.RED, planted.BLUE], ids=["SIGSEGV", "SIGKILL"])
def test_a_worker_killed_mid_batch_costs_the_guilty_image_alone(
    tmp_path: Path, analyzer: str, colour: pictures.Colour
) -> None:
    results = answers(caption_engine(analyzer), hazards(tmp_path, {5: colour}))
    assert failed(results) == ["005.png"]
    assert error_code(results[5]) == "worker_crashed"
    assert [Path(result.path).name for result in results] == [f"{n:03}.png" for n in range(20)]


def test_a_document_that_would_take_all_memory_fails_alone(tmp_path: Path) -> None:
    """Forms that draw others ten times each, 24 levels deep: PDFium would take all memory of the machine."""
    pytest.importorskip("pypdfium2")
    folder = hazards(tmp_path, {}, count=3)
    (folder / "001.pdf").write_bytes(bombs()["pdf-forms"])
    results = answers(caption_engine(max_worker_memory=400_000_000, timeout=10), folder)
    assert failed(results) == ["001.pdf"]
    (guilty,) = (result for result in results if result.path.endswith(".pdf"))
    assert guilty.error is not None
    assert guilty.error.code == "out_of_memory"
    assert "--max-worker-memory" in (guilty.error.remedy or "")


def test_two_guilty_images_in_one_batch_are_both_found(tmp_path: Path) -> None:
    results = answers(caption_engine("BatchedHazard"), hazards(tmp_path, {3: planted.RED, 4: planted.BLUE}))
    assert failed(results) == ["003.png", "004.png"]


def test_a_first_and_a_last_image_can_be_guilty(tmp_path: Path) -> None:
    results = answers(caption_engine(), hazards(tmp_path, {0: planted.RED, 19: planted.RED}))
    assert failed(results) == ["000.png", "019.png"]


@pytest.mark.parametrize("analyzer", ["Hazard", "BatchedHazard"])
def test_a_hang_is_cut_short_and_costs_one_image(tmp_path: Path, analyzer: str) -> None:
    folder = hazards(tmp_path, {2: planted.GREEN}, count=6)
    engine = caption_engine(analyzer, timeout=0.7)
    results = answers(engine, folder)
    assert failed(results) == ["002.png"]
    assert error_code(results[2]) == "timeout"


def test_an_exception_is_a_failure_of_that_image_and_kills_nobody(tmp_path: Path) -> None:
    engine = caption_engine("BatchedHazard")
    with engine:
        results = list(engine.analyze([hazards(tmp_path, {1: planted.YELLOW, 2: planted.MAGENTA})]))
        assert engine.statistics.workers.started == 1
    assert failed(results) == ["001.png", "002.png"]
    assert [error_code(results[n]) for n in (1, 2)] == ["model_failed", "out_of_memory"]


def test_what_an_engine_refuses_keeps_its_remedy(tmp_path: Path) -> None:
    (result,) = answers(caption_engine(), hazards(tmp_path, {0: planted.CYAN}, count=1))
    caption = result.tasks.get(planted.Task.CAPTION)
    assert caption is not None
    assert caption.error is not None
    assert (caption.error.message, caption.error.remedy) == ("hazard: planted refusal", "ask for something else")


def test_the_other_task_of_a_guilty_image_is_still_answered(tmp_path: Path) -> None:
    engine = Engine(
        tasks=["caption", "text"], caption_engine=HAZARD, text_engine="tests.planted:Fine", cache=False, timeout=30
    )
    results = answers(engine, hazards(tmp_path, {4: planted.RED}, count=8))
    assert failed(results) == ["004.png"]
    assert results[4].status is Status.PARTIAL
    text = results[4].tasks.get(planted.Task.TEXT)
    assert text is not None
    assert text.value == ()


def test_a_worker_killed_from_outside_costs_no_image(tmp_path: Path) -> None:
    folder = hazards(tmp_path, {}, count=30)
    with caption_engine("Slow") as engine:
        results = []
        for result in engine.analyze([folder]):
            results.append(result)
            if len(results) == 2:
                for child in psutil.Process().children():
                    child.kill()
        assert engine.statistics.workers.died == 1
    assert failed(results) == []
    assert len(results) == 30


@pytest.mark.parametrize("analyzer", ["DiesLoading", "HangsLoading", "FailsLoading"])
def test_a_model_that_cannot_be_loaded_fails_its_task_and_not_the_run(tmp_path: Path, analyzer: str) -> None:
    engine = Engine(
        tasks=["caption", "text"],
        caption_engine=f"tests.planted:{analyzer}",
        text_engine="tests.planted:Fine",
        cache=False,
        load_timeout=1.0,
    )
    results = answers(engine, hazards(tmp_path, {}, count=10))
    assert {result.status for result in results} == {Status.PARTIAL}
    assert {error_code(result) for result in results} == {"model_load_failed"}
    assert set(engine.model_problems) == {"caption"}


def test_a_worker_that_has_grown_is_replaced_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("PLANTED_LOG", str(log))
    with caption_engine("Hungry", batch_size=2, max_worker_memory="250MB") as engine:
        results = list(engine.analyze([hazards(tmp_path, {}, count=12)]))
        recycled = engine.statistics.workers.recycled
    assert failed(results) == []
    assert recycled >= 1
    pids = [line for line in log.read_text().splitlines() if line.startswith("pid")]
    assert len(pids) == 12  # none was computed twice
    assert recycled <= len(set(pids)) <= recycled + 1  # the last one may have been replaced with nothing left to do


def test_stdout_of_a_model_cannot_reach_the_protocol(tmp_path: Path) -> None:
    results = answers(caption_engine("Noisy"), hazards(tmp_path, {}, count=3))
    assert [r.tasks.caption.value for r in results] == ["noisy"] * 3  # type: ignore[union-attr]


def test_several_workers_answer_in_order(tmp_path: Path) -> None:
    with caption_engine("Slow", workers=3, batch_size=2) as engine:
        results = list(engine.analyze([hazards(tmp_path, {}, count=18)]))
        assert engine.statistics.workers.started == 3
    assert [Path(r.path).name for r in results] == [f"{n:03}.png" for n in range(18)]


def test_a_worker_that_has_no_room_for_a_model_costs_a_worker_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_ROOM", str(tmp_path / "room"))
    with caption_engine("LoadsOnce", workers=3, batch_size=2) as engine:
        results = list(engine.analyze([hazards(tmp_path, {}, count=18)]))
        assert engine.statistics.workers.started <= 3
        assert engine.model_problems == {}
    assert failed(results) == []
    assert len(results) == 18


def test_a_model_that_no_worker_can_load_costs_its_task_and_no_worker(tmp_path: Path) -> None:
    engine = Engine(
        tasks=["caption", "text"],
        caption_engine="tests.planted:FailsLoading",
        text_engine="tests.planted:SlowText",
        cache=False,
        workers=2,
        batch_size=2,
    )
    with engine:
        results = list(engine.analyze([hazards(tmp_path, {}, count=12)]))
        alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert {result.status for result in results} == {Status.PARTIAL}
    assert set(engine.model_problems) == {"caption"}
    assert len(alive) == 2


def test_without_isolation_the_work_is_done_in_this_process(tmp_path: Path) -> None:
    with caption_engine(isolate=False) as engine:
        iterator = engine.analyze([hazards(tmp_path, {}, count=4)])
        first = next(iterator)
        assert psutil.Process().children() == []
        rest = list(iterator)
    assert failed([first, *rest]) == []


def test_leaving_in_the_middle_leaves_no_process_behind(tmp_path: Path) -> None:
    engine = caption_engine("Slow")
    with engine:
        for _ in engine.analyze([hazards(tmp_path, {}, count=20)]):
            break
    deadline = time.monotonic() + 5
    while psutil.Process().children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert psutil.Process().children() == []


def test_an_engine_can_be_used_again_after_it_was_left_in_the_middle(tmp_path: Path) -> None:
    folder = hazards(tmp_path, {}, count=6)
    with caption_engine("Slow") as engine:
        iterator = engine.analyze([folder])
        next(iterator)
        iterator.close()  # type: ignore[attr-defined]
        assert len(list(engine.analyze([folder]))) == 6


def test_the_worker_outlives_one_analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("PLANTED_LOG", str(log))
    with caption_engine() as engine:
        list(engine.analyze([hazards(tmp_path / "a", {}, count=2)]))
        list(engine.analyze([pictures.folder(tmp_path / "b", [(1, 2, 3)])]))
    assert log.read_text().splitlines().count("load") == 1
