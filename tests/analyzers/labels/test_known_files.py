"""A large model is hashed once: what is known about it is kept with its stat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from imgtool.analyzers.labels import known_files
from imgtool.analyzers.labels.known_files import FOLDER, KEEP_FROM_BYTES, KnownFile, know
from imgtool.ground.sealed import encode_sealed
from imgtool.ground.versioned import decode
from tests.analyzers.labels.test_conventions import beside, write_external

OLD_NS = time.time_ns() - 10**12


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """Each test begins as a new process does."""
    known_files._know.cache_clear()


def settled(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    os.utime(path, ns=(OLD_NS, OLD_NS))
    return path


def again(path: Path, kept: Path, **how: bool) -> str:
    known_files._know.cache_clear()
    return know(path, kept, **how).sha256


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the last change of status cannot be set: let the reading be later than it is."""
    monkeypatch.setattr(known_files.time, "time_ns", lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) + 10**10)


@pytest.mark.usefixtures("long_ago")
def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path, kept = settled(tmp_path / "w", bytes(KEEP_FROM_BYTES)), tmp_path / "cache"
    first = know(path, kept).sha256
    (record,) = (kept / FOLDER).iterdir()
    # A record of another hash shows that it is believed.
    found = decode(record.read_bytes(), KnownFile)
    record.write_bytes(encode_sealed(msgspec.structs.replace(found, sha256="0" * 64)))
    assert again(path, kept) == "0" * 64
    assert again(path, kept, trust=False) == first
    settled(path, bytes(KEEP_FROM_BYTES - 1) + b"x")
    assert again(path, kept) not in (first, "0" * 64)


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize("damage", ["", "{}", "no JSON", "[1]"], ids=["another hash", "no record", "no JSON", "a list"])
def test_a_damaged_record_is_no_harm(tmp_path: Path, damage: str) -> None:
    path, kept = settled(tmp_path / "w", bytes(KEEP_FROM_BYTES)), tmp_path / "cache"
    first = know(path, kept).sha256
    (record,) = (kept / FOLDER).iterdir()
    written = record.read_text()
    record.write_text(damage or written.replace(first, "0" * 64))
    assert again(path, kept) == first
    assert json.loads(record.read_text())["sha256"] == first


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(bytes(KEEP_FROM_BYTES))
    know(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("long_ago")
def test_small_files_leave_nothing_behind_and_no_place_to_keep_is_no_harm(tmp_path: Path) -> None:
    know(settled(tmp_path / "small", b"x"), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    (tmp_path / "file").touch()
    assert know(settled(tmp_path / "w", bytes(KEEP_FROM_BYTES)), tmp_path / "file").sha256


def test_a_second_process_does_not_read_the_weights(tmp_path: Path) -> None:
    """Weights that give the time for many megabytes, replaced behind a record that vouches for them."""
    model, weights = tmp_path / "m.onnx", tmp_path / "w"
    write_external(model, "w", (1.0, 2.0, 3.0))
    beside(model)
    settled(weights, weights.read_bytes() + bytes(KEEP_FROM_BYTES))
    code = (
        "import sys; from pathlib import Path; from imgtool.options import EngineOptions\n"
        "from imgtool.analyzers.labels import known_files\n"
        "known_files._MARGIN_NS = -10**12\n"
        "opened = []; digest = known_files.hashlib.file_digest\n"
        "def note(file, kind): opened.append(Path(file.name).name); return digest(file, kind)\n"
        "known_files.hashlib.file_digest = note\n"
        "from imgtool.analyzers.labels.classifier import Classifier\n"
        "Classifier.probe(EngineOptions(labels_model=Path(sys.argv[1]), cache_dir=Path(sys.argv[2])))\n"
        "print(opened)"
    )
    words = [sys.executable, "-c", code, str(model), str(tmp_path / "cache")]
    said = [subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)]
    assert said == ["['m.onnx', 'w']", "['m.onnx']"]
