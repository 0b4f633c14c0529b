"""Several processes over one folder and one cache: they share the work, and nothing is lost if one is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import pictures, planted


class Run:
    """One ``imgtool analyze`` in a process of its own, and how many images its workers have computed."""

    def __init__(self, number: int, photos: Path, place: Path, analyzer: str, *more: str, **environ: str) -> None:
        self.log = place / f"log-{number}"
        self.output = place / f"out-{number}.jsonl"
        words = ["-t", "caption", "--caption-engine", f"tests.planted:{analyzer}", "-o", str(self.output), *more]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imgtool", "analyze", str(photos), *words],
            env={**os.environ, "PLANTED_LOG": str(self.log), "PLANTED_GATE": str(place / "gate"), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> str:
        """Wait for it; what it said."""
        _, said = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, said
        return said

    @property
    def computed(self) -> int:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return sum(line not in ("load",) for line in lines)

    @property
    def names(self) -> list[str]:
        return [json.loads(line)["path"] for line in self.output.read_text().splitlines()]

    def wait_until_it_computes(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while self.computed < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def running(count: int, photos: Path, place: Path, analyzer: str, *more: str) -> Iterator[list[Run]]:
    runs = [Run(number, photos, place, analyzer, *more) for number in range(count)]
    try:
        yield runs
    finally:
        for run in runs:
            run.process.kill()
            run.process.communicate()


def end_together(runs: list[Run]) -> None:
    """Let all begin at once, when each has its first image in hand, and wait until they have ended."""
    deadline = time.monotonic() + 90
    while not all(run.log.with_name(f"{run.log.name}.waits").exists() for run in runs):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (runs[0].log.parent / "gate").touch()
    for run in runs:
        run.end()


@pytest.mark.slow
def test_two_processes_compute_about_half_each(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(400))
    with running(2, photos, tmp_path, "Gated") as runs:
        end_together(runs)
    assert max(run.computed for run in runs) <= 240, [run.computed for run in runs]
    assert sum(run.computed for run in runs) == 400
    for run in runs:
        assert run.names == [str(path) for path in sorted(photos.iterdir())]


def test_few_images_are_shared_too(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(32))
    with running(2, photos, tmp_path, "Gated") as runs:
        end_together(runs)
    assert sum(run.computed for run in runs) == 32
    assert max(run.computed for run in runs) <= 24, [run.computed for run in runs]


@pytest.mark.slow
def test_eight_processes_lose_nothing(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(400))
    with running(8, photos, tmp_path, "Gated") as runs:
        end_together(runs)
    assert sum(run.computed for run in runs) == 400, [run.computed for run in runs]
    for run in runs:
        assert run.names == [str(path) for path in sorted(photos.iterdir())]


def test_what_a_killed_process_had_claimed_is_computed_by_another(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(60))
    with running(2, photos, tmp_path, "Brief") as runs:
        runs[0].wait_until_it_computes(3)
        runs[0].process.kill()
        runs[1].end()
    assert runs[1].names == [str(path) for path in sorted(photos.iterdir())]
    assert sum(run.computed for run in runs) <= 60 + 16  # what was in its hands


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--timeout", "5"), ("--no-cache",)])
def test_a_process_that_stands_still_is_not_waited_for_for_ever(tmp_path: Path, more: tuple[str, ...]) -> None:
    photos = pictures.folder(tmp_path / "photos", [planted.GREEN, *pictures.greys(20)])
    stands = Run(0, photos, tmp_path, "Hazard")
    try:
        stands.wait_until_it_computes(1)
        other = Run(1, photos, tmp_path, "Brief", *more)
        said = other.end()
    finally:
        stands.process.kill()
        stands.process.communicate()
    assert len(other.names) == 21
    # What is not kept is not shared either.
    assert ("computed here, too" in said) == (more[0] == "--timeout")


def test_a_cache_that_is_removed_during_a_run_is_made_anew(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(150))
    cache = Path(os.environ["IMGTOOL_CACHE_DIR"])
    run = Run(0, photos, tmp_path, "Brief")
    run.wait_until_it_computes(40)
    shutil.rmtree(cache)
    said = run.end()
    assert said.count("was removed or replaced during the run; a new one is begun") >= 1
    before = run.computed
    again = Run(1, photos, tmp_path, "Brief")
    again.end()
    assert again.names == run.names
    assert again.computed < before - 40  # what came after the removal was kept
