"""What killed runs leave behind goes with a later run; what somebody still uses stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from imgtool import Engine
from imgtool.errors import ExitCode
from imgtool.files import STALE_SECONDS, claim, put_in_place, replacing, staging_folder, sweep
from tests import pictures
from tests.command import analyze, imgtool

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks that end with a process")

CAPTION = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")


def age(path: Path, seconds: float = STALE_SECONDS + 60) -> None:
    """Make ``path`` and all in it look untouched for so long."""
    then = time.time() - seconds
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    for name in ("run-old", "run-new", "run-used", "run-deep", "other"):
        (place / name / "below").mkdir(parents=True)
        (place / name / "below" / "file").write_text("x")
        age(place / name)
    (place / "run-file").write_text("x")
    age(place / "run-file")
    return place


def test_what_belongs_to_nobody_goes(place: Path, tmp_path: Path) -> None:
    used = claim(place / "run-used")
    assert used is not None
    age(place / "run-used")
    os.utime(place / "run-new")
    os.utime(place / "run-deep" / "below" / "file")
    (place / "run-link").symlink_to(place / "other")
    sweep(place, "run-*")
    assert left(place) == {"run-new", "run-used", "run-deep", "run-link", "other"}
    os.close(used)
    sweep(place, "run-*")
    assert left(place) == {"run-new", "run-deep", "run-link", "other"}
    sweep(tmp_path / "nowhere", "*")


def test_another_users_files_stay(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(place / "run-old", 12345, 12345)
    sweep(place, "run-*")
    assert "run-old" in left(place)


def test_the_folder_of_a_killed_run_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    image = pictures.flat(tmp_path / "green.png", (0, 255, 0))  # on which the planted engine hangs
    process = subprocess.Popen([sys.executable, "-m", "imgtool", "analyze", str(image), *CAPTION, "--no-cache"])
    deadline = time.monotonic() + 60
    while not (made := list(scratch.glob("imgtool-run-*/.in-use"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = {path.parent for path in made}
    assert analyze(pictures.flat(tmp_path / "a.png"), *CAPTION, "--no-cache").code is ExitCode.OK
    assert folder.exists(), "it might still be somebody's"
    age(folder)
    assert analyze(tmp_path / "a.png", *CAPTION, "--no-cache").code is ExitCode.OK
    assert left(scratch) == set()


def test_an_engine_that_has_idled_for_days_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    first, second = (
        Engine(tasks=["caption"], caption_engine="tests.planted:Hazard", cache=False, isolate=False) for _ in range(2)
    )
    with first, second:
        list(first.analyze([pictures.flat(tmp_path / "a.png")]))
        age(tmp_path / "tmp")
        list(second.analyze([tmp_path / "a.png"]))
        assert len(left(tmp_path / "tmp")) == 2
    assert left(tmp_path / "tmp") == set()


def test_the_unfinished_output_of_a_killed_run(tmp_path: Path) -> None:
    places = {name: tmp_path / f".imgtool-{name}.part" for name in ("aa", "bb")}
    for path in places.values():
        path.write_text("unfinished")
    (tmp_path / ".imgtool-cc.complete").write_text("complete")
    age(places["aa"])
    age(tmp_path / ".imgtool-cc.complete")
    image = pictures.flat(tmp_path / "a.png")
    assert imgtool("analyze", image, *CAPTION, "-o", tmp_path / "out.csv").code is ExitCode.OK
    assert {path.name for path in tmp_path.glob(".imgtool-*")} == {".imgtool-bb.part", ".imgtool-cc.complete"}


# -- whole or not at all


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_a_file_is_replaced_when_it_is_complete(here: Path) -> None:
    path = here / "deep" / "file"
    for content in (b"one", b"two"):
        with replacing(path) as file:
            file.write(content)
            file.flush()
            assert not path.exists() or path.read_bytes() == b"one"
        assert path.read_bytes() == content
    assert left(path.parent) == {"file"}


def test_a_file_that_fails_leaves_the_former_one(here: Path) -> None:
    path = here / "file"
    path.write_bytes(b"one")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        _ = 1 / 0
    assert path.read_bytes() == b"one"
    assert left(here) == {"file"}


def test_a_folder_is_put_in_the_place_of_another(here: Path) -> None:
    target = here / "target"
    for name in ("a", "b"):
        with staging_folder(target) as staging:
            (staging / name).touch()
            put_in_place(staging, target)
        assert left(target) == {name}
    assert left(here) == {"target"}


def test_a_folder_that_fails_is_removed(here: Path) -> None:
    with pytest.raises(ZeroDivisionError), staging_folder(here / "target") as staging:
        (staging / "half").touch()
        _ = 1 / 0
    assert left(here) == set()


def test_a_folder_that_cannot_be_moved_leaves_the_former_one(here: Path) -> None:
    target = here / "target"
    target.mkdir()
    (target / "former").touch()
    with pytest.raises(FileNotFoundError):
        put_in_place(here / "nowhere", target)
    assert left(target) == {"former"}
    assert left(here) == {"target"}
