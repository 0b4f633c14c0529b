"""What killed runs leave behind goes with a later run; what somebody still uses stays."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from imgtool.files import (
    FORMER,
    STALE_SECONDS,
    new_partial,
    put_in_place,
    replacing,
    scratch_folder,
    staging_folder,
    sweep,
    sweep_partials,
    temporary_beside,
)
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
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    (place / "run-folder").mkdir(parents=True)
    for name in ("run-old", "run-new", "run-used", "other"):
        (place / name).write_text("x")
    (place / "run-folder" / "inside").write_text("x")
    age(place)
    return place


def test_what_belongs_to_nobody_goes(place: Path, tmp_path: Path) -> None:
    os.utime(place / "run-new")
    (place / "run-link").symlink_to(place / "other")
    with (place / "run-used").open("rb") as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        sweep(place, "run-")
        assert left(place) == {"run-new", "run-used", "run-link", "other"}
    sweep(place, "run-")
    assert left(place) == {"run-new", "run-link", "other"}
    sweep(tmp_path / "nowhere", "")


_KILLED = """
import os, signal, sys
from pathlib import Path
from imgtool.files import new_partial, replacing, scratch_folder, staging_folder
folder = Path(sys.argv[1])
new_partial(folder)
with replacing(folder / "file") as file, staging_folder(folder / "model") as claimed, scratch_folder("test") as scratch:
    for path in (claimed, scratch):
        (path / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_of_this_system_left_goes_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(here))
    monkeypatch.setattr("tempfile.tempdir", str(here))
    subprocess.run([sys.executable, "-c", _KILLED, str(here)], check=False)
    assert len(left(here)) == 4
    sweep_partials(here)
    with replacing(here / "file"):
        pass
    with staging_folder(here / "model"), scratch_folder("test"):
        pass
    assert left(here) == {"file"}


def test_the_only_copy_of_what_was_to_be_replaced_stays(here: Path) -> None:
    former = here / f"{temporary_beside(here / 'target').name.replace('.tmp-', FORMER)}"
    former.mkdir()
    age(here)
    sweep(here, "target")
    assert left(here) == {former.name}
    (here / "target").mkdir()
    sweep(here, "target")
    assert left(here) == {"target"}


def test_what_is_being_written_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(here))
    descriptor, partial = new_partial(here)
    with replacing(here / "file"), staging_folder(here / "model"), scratch_folder("test") as scratch:
        assert scratch.stat().st_mode & 0o777 == 0o700
        before = left(here)
        age(here)
        for prefix in ("file", "model", "imgtool-", ".imgtool-"):
            sweep(here, prefix)
        assert left(here) == before
    os.close(descriptor)
    assert left(here) == {"file", partial.name}


def test_what_another_system_writes_stays_for_a_day(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.files._this_system", lambda: "01234567")
    theirs = temporary_beside(here / "file")
    theirs.touch()
    monkeypatch.undo()
    sweep(here, "file")
    assert left(here) == {theirs.name}
    age(theirs)
    sweep(here, "file")
    assert left(here) == set()


def test_a_sweep_takes_nothing_from_those_who_write(here: Path) -> None:
    """However it falls between the making of a file and its claim."""
    ended = threading.Event()

    def sweeping() -> None:
        while not ended.is_set():
            sweep(here, "")

    with ThreadPoolExecutor(1) as thread:
        thread.submit(sweeping)
        try:
            for number in range(100):
                with replacing(here / f"{number}") as file, staging_folder(here / "model"):
                    file.write(b"x")
                descriptor, partial = new_partial(here)
                partial.replace(here / f"output {number}")
                os.close(descriptor)
        finally:
            ended.set()
    assert len(left(here)) == 200


def test_another_users_files_stay(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(place / "run-old", 12345, 12345)
    sweep(place, "run-")
    assert "run-old" in left(place)


def test_a_run_without_a_cache_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    image = pictures.flat(tmp_path / "a.png")
    assert analyze(image, image, *CAPTION, "--no-cache").code is ExitCode.OK


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
