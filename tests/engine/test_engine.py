"""The engine as a whole: what is computed, what is not computed twice, and in which order it comes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgtool import ImageResult, Status
from imgtool.engine.engine import Engine
from imgtool.errors import ModelMissing, UnknownKey
from tests import pictures, planted
from tests.command import analyze

HAZARD = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")
SLOW = ("-t", "caption", "--caption-engine", "tests.planted:Slow")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where planted analyzers write what they were asked."""
    path = tmp_path / "planted.log"
    path.touch()
    monkeypatch.setenv("PLANTED_LOG", str(path))
    yield path


def run(*paths: Path | str, engine: str = "Hazard", **options: Any) -> list[ImageResult]:
    with Engine(tasks=["caption"], caption_engine=f"tests.planted:{engine}", **options) as made:
        return list(made.analyze(paths))


def computed(log: Path) -> int:
    return sum(line.startswith(("run", "slow")) for line in log.read_text().splitlines())


def names(results: list[ImageResult]) -> list[str]:
    return [Path(result.path).name for result in results]


def test_a_second_run_computes_nothing_and_says_the_same(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(30))
    cache = tmp_path / "cache"
    first = run(photos, cache_dir=cache)
    second = run(photos, cache_dir=cache)
    assert computed(log) == 30
    assert {result.from_cache for result in first} == {False}
    assert {result.from_cache for result in second} == {True}
    assert [(r.path, r.tasks.caption.value) for r in first] == [  # type: ignore[union-attr]
        (r.path, r.tasks.caption.value)
        for r in second  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize("cache", [True, False])
def test_the_same_content_is_computed_once_and_reported_for_every_path(tmp_path: Path, log: Path, cache: bool) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    for copy in range(40):
        shutil.copy(photos / "001.png", photos / f"copy{copy:02}.png")
    results = run(photos, cache_dir=tmp_path / "cache", cache=cache)
    assert computed(log) == 3
    assert len(results) == 43
    assert len({result.tasks.caption.value for result in results if "copy" in result.path}) == 1  # type: ignore[union-attr]
    assert not any(result.from_cache for result in results) or cache


def test_a_thumbnail_that_is_kept_does_not_go_to_the_worker(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    for tasks in (["caption"], ["caption", "text"]):
        with Engine(
            tasks=tasks,
            caption_engine="tests.planted:Hazard",
            text_engine="tests.planted:Fine",
            cache_dir=tmp_path / "cache",
            thumbnails=True,
        ) as made:
            assert [result.status for result in made.analyze(photos)] == [Status.OK] * 3


def test_results_come_in_the_order_of_the_paths_whatever_is_cached(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(60))
    some = [photos / f"{n:03}.png" for n in range(0, 60, 7)]
    run(*some, cache_dir=tmp_path / "cache")
    results = run(photos, cache_dir=tmp_path / "cache")
    assert names(results) == sorted(names(results))
    assert [result.from_cache for result in results] == [n % 7 == 0 for n in range(60)]


def test_images_are_asked_about_in_order_even_where_a_later_one_is_hashed_sooner(tmp_path: Path, log: Path) -> None:
    first = pictures.flat(tmp_path / "a.png", (10, 10, 10))
    with first.open("ab") as file:
        file.write(bytes(8_000_000))
    later = [pictures.flat(tmp_path / f"{name}.png", (value,) * 3) for name, value in (("b", 20), ("c", 30))]
    run(first, *later, cache=False)
    asked = [line for line in log.read_text().splitlines() if line.startswith("run")]
    assert asked == [f"run {(value,) * 3}" for value in (10, 20, 30)]


def test_a_changed_file_is_asked_again(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    run(photos, cache_dir=tmp_path / "cache")
    pictures.flat(photos / "000.png", (99, 98, 97), (30, 30))
    results = run(photos, cache_dir=tmp_path / "cache")
    assert [result.from_cache for result in results] == [False, True]
    assert results[0].width == 30


def test_another_parameter_is_another_answer(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    run(photos, cache_dir=tmp_path / "cache")
    assert not any(result.from_cache for result in run(photos, cache_dir=tmp_path / "cache", engine="BatchedHazard"))


def test_a_task_added_later_keeps_the_answers_of_the_others(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(4))
    run(photos, cache_dir=tmp_path / "cache")
    both = Engine(
        tasks=["caption", "text"],
        caption_engine="tests.planted:Hazard",
        text_engine="tests.planted:Fine",
        cache_dir=tmp_path / "cache",
    )
    with both:
        results = list(both.analyze([photos]))
    assert computed(log) == 4
    for result in results:
        assert result.status is Status.OK
        assert [answer.from_cache for _, answer in result.tasks.items()] == [True, False]
        assert not result.from_cache


def tiff(path: Path, pages: int) -> Path:
    frames = [Image.new("RGB", (10 + n, 10), (n * 20, 10, 10)) for n in range(pages)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def test_every_page_is_a_result_of_its_own_when_asked_for(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    tiff(photos / "000a.tif", 5)
    for _ in range(2):
        results = run(photos, cache_dir=tmp_path / "cache", pages="all")
        assert [(name, r.page, r.pages) for name, r in zip(names(results), results, strict=True)] == [
            ("000.png", 0, 1),
            *[("000a.tif", page, 5) for page in range(5)],
            ("001.png", 0, 1),
        ]
        assert [r.width for r in results[1:6]] == [10, 11, 12, 13, 14]
    assert {result.from_cache for result in results} == {True}
    assert computed(log) == 7


def test_the_first_page_alone_where_it_is_asked_for(tmp_path: Path) -> None:
    (result,) = run(tiff(tmp_path / "a.tif", 3), cache_dir=tmp_path / "cache", pages="first")
    assert (result.page, result.pages) == (0, 3)


def test_only_what_failed_is_run_again_with_retry_failed(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", [(1, 2, 3), planted.YELLOW, (4, 5, 6)])
    (photos / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    run(photos, cache_dir=tmp_path / "cache")
    pictures.flat(photos / "new.png", (7, 7, 7))
    results = run(photos, cache_dir=tmp_path / "cache", retry_failed=True)
    assert names(results) == ["001.png", "bad.png"]
    assert computed(log) == 4


def test_failures_are_tried_again_by_an_ordinary_run(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", [(1, 2, 3), planted.YELLOW])
    for _ in range(2):
        run(photos, cache_dir=tmp_path / "cache")
    assert computed(log) == 3


def test_no_images_are_no_results(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", cache_dir=tmp_path / "cache") == []


def test_a_name_that_is_no_utf8_is_answered(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pictures.flat(tmp_path / "plain.png").rename(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png"))
    (result,) = run(photos, cache_dir=tmp_path / "cache")
    assert result.status is Status.OK
    assert result.path.encode()  # valid Unicode
    assert isinstance(result.uri, str)
    for path in (result.path, result.uri):
        (again,) = run(path, cache_dir=tmp_path / "cache")
        assert (again.sha256, again.from_cache) == (result.sha256, True)
    outcome = analyze(photos, *HAZARD)
    assert outcome.code == 0


def test_more_files_than_the_window_flow_through(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(300))
    results = run(photos, cache_dir=tmp_path / "cache", batch_size=3)
    assert len(results) == 300
    assert {result.status for result in results} == {Status.OK}


def test_a_listing_that_trickles_in_is_answered_as_it_comes(tmp_path: Path) -> None:
    """Like ``inotifywait | imgtool analyze -``: an answer must not wait for the next path."""
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    run(photos, cache_dir=tmp_path / "cache")  # known to the stat index: the path that gathers chunks
    came: list[float] = []

    def slowly() -> Iterator[Path]:
        for number in range(3):
            yield photos / f"{number:03}.png"
            deadline = time.monotonic() + 5
            while len(came) <= number and time.monotonic() < deadline:
                time.sleep(0.01)

    with Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache_dir=tmp_path / "cache") as engine:
        began = time.monotonic()
        for _ in engine.analyze(slowly()):
            came.append(time.monotonic() - began)
    assert came[-1] < 5


def test_wrong_options_are_refused_at_once() -> None:
    with pytest.raises(UnknownKey, match="'task'"):
        Engine(task=["caption"])
    with pytest.raises(ModelMissing):
        Engine(tasks=["labels"])


@pytest.mark.parametrize("load", ["lazy", "eager", "parallel"])
def test_warming_up_runs_the_models_once_however_they_are_loaded(tmp_path: Path, load: str) -> None:
    with Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache=False, load=load) as engine:
        engine.warm_up()
        list(engine.analyze([pictures.flat(tmp_path / "a.png")]))
        assert engine.statistics.warmed_up


def test_warming_up_loads_before_the_first_image(tmp_path: Path, log: Path) -> None:
    with Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache=False) as engine:
        engine.warm_up()
        deadline = time.monotonic() + 10
        while "load" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert log.read_text().splitlines() == ["load"]
        list(engine.analyze([pictures.flat(tmp_path / "a.png")]))
        assert engine.statistics.models[0].task == "caption"
    assert log.read_text().splitlines().count("load") == 1


def test_tasks_side_by_side_show_in_the_efficiency_however_many_images_run_together(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(9))
    engines = {"caption_engine": "tests.planted:SlowTogether", "text_engine": "tests.planted:SlowText"}
    with Engine(tasks=["caption", "text"], cache=False, **engines) as engine:
        results = list(engine.analyze([photos]))
        figures = engine.statistics
    assert figures.inference_seconds_total == pytest.approx(1.8, rel=0.3)
    assert figures.parallel_efficiency == pytest.approx(2.0, rel=0.3)
    # Each image is charged its share of the time that it spent with others.
    assert sum(result.processing_time_ms for result in results) < 1000 * figures.wall_seconds


def start(photos: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "imgtool", "analyze", str(photos), *SLOW, "-o", str(output), "-q"]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def test_two_runs_at_once_on_one_cache_lose_nothing(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(40))
    runs = [start(photos, tmp_path / f"{n}.jsonl") for n in range(2)]
    for process in runs:
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, b"")
    before = computed(log)
    assert analyze(photos, *SLOW).code == 0
    assert computed(log) == before


def test_a_killed_run_leaves_no_process_and_the_next_computes_what_is_missing(tmp_path: Path, log: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(40))
    process = start(photos, tmp_path / "out.jsonl")
    while computed(log) < 10:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    time.sleep(0.5)  # the worker sees the end of its pipe
    before = computed(log)
    time.sleep(0.4)
    assert computed(log) == before
    outcome = analyze(photos, *SLOW)
    assert outcome.code == 0
    kept = sum(result["from_cache"] for result in outcome.results)
    assert kept >= 8  # at most the batch in hand was lost
    assert computed(log) == before + 40 - kept
