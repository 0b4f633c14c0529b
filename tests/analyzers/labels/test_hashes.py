"""A large model is read once, whatever comes after; what may have changed is read again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from imgtool.analyzers.labels import hashes
from imgtool.analyzers.labels.hashes import file_sha256
from imgtool.options import EngineOptions


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "model.onnx", b"a")


def written(path: Path, letter: bytes, size: int = 1_200_000, seconds: int = 1_600_000_000) -> Path:
    path.write_bytes(letter * size)
    os.utime(path, (seconds, seconds))
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read, in runs long after the file was written."""
    found: list[str] = []
    real, clock = hashlib.file_digest, hashes.time.time_ns

    def counting(file: object, name: str) -> object:
        found.append(name)
        return real(file, name)  # type: ignore[arg-type, type-var]

    monkeypatch.setattr(hashlib, "file_digest", counting)
    monkeypatch.setattr(hashes.time, "time_ns", lambda: clock() + 60_000_000_000)
    return found


def in_a_new_process(path: Path, options: EngineOptions) -> str:
    hashes._sha256.cache_clear()
    return file_sha256(path, options)


def test_a_later_run_does_not_read_it_again(tmp_path: Path, model: Path, readings: list[str]) -> None:
    options = EngineOptions(cache_dir=tmp_path / "cache")
    expected = hashlib.sha256(model.read_bytes()).hexdigest()
    assert [in_a_new_process(model, options) for _ in range(3)] == [expected] * 3
    assert len(readings) == 1


@pytest.mark.parametrize(
    "options",
    [{"cache": False}, {"rehash": True}, {"cache_dir": Path("/dev/null/cache")}],
    ids=lambda each: next(iter(each)),
)
def test_where_nothing_is_kept_or_trusted_it_is_read(
    tmp_path: Path, model: Path, readings: list[str], options: dict[str, object]
) -> None:
    given = EngineOptions(**{"cache_dir": tmp_path / "cache", **options})  # type: ignore[arg-type]
    assert len({in_a_new_process(model, given) for _ in range(2)}) == 1
    assert len(readings) == 2


def test_a_file_that_was_changed_is_read(tmp_path: Path, model: Path, readings: list[str]) -> None:
    options = EngineOptions(cache_dir=tmp_path / "cache")
    first = in_a_new_process(model, options)
    written(model, b"b")
    assert in_a_new_process(model, options) != first
    (tmp_path / "cache" / "classifiers.json").write_text("garbage")
    assert in_a_new_process(model, options) != first
    assert len(readings) == 3


def test_what_was_changed_just_now_may_change_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    in_a_new_process(model, EngineOptions(cache_dir=tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
