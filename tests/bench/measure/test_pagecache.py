"""The page cache: files thrown out of memory and read in again, as the kernel itself says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgtool.bench.data.record import PageCache
from imgtool.bench.measure.pagecache import model_files, prepare, resident_share

SIZE = 8_000_000


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder as a model has it, its files on the disk."""
    folder = tmp_path / "model"
    (folder / "part").mkdir(parents=True)
    for name in ("one.bin", "part/two.bin"):
        with (folder / name).open("wb") as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
    return folder


def on_a_file_system_that_drops(folder: Path) -> None:
    if prepare(model_files([folder]), PageCache.COLD) != 0:
        pytest.skip("the temporary folder is in memory itself")


def test_cold_is_out_of_memory_and_warm_is_in(weights: Path) -> None:
    on_a_file_system_that_drops(weights)
    files = model_files([weights])
    assert prepare(files, PageCache.WARM) == 1
    assert resident_share(files) == 1
    assert prepare(files, PageCache.COLD) == 0


def test_half_is_half(weights: Path) -> None:
    on_a_file_system_that_drops(weights)
    (weights / "one.bin").read_bytes()
    assert resident_share(model_files([weights])) == pytest.approx(0.5, abs=0.01)


def test_the_files_of_a_model_are_each_there_once_through_links_too(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(weights / "one.bin")
    found = model_files([weights, tmp_path / "link", weights / "one.bin", tmp_path / "none"])
    assert sorted(path.name for path in found) == ["one.bin", "two.bin"]


def test_of_nothing_there_is_no_share(tmp_path: Path) -> None:
    assert resident_share([]) is None
    (tmp_path / "empty").touch()
    assert resident_share([tmp_path / "empty"]) is None
    assert resident_share([tmp_path / "missing"]) is None
