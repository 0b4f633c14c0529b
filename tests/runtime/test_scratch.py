"""The folder for temporary files of restricted workers is there while one of them runs, and then gone."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.runtime.scratch import hold, remove
from tests.command import imgtool
from tests.pictures import folder, greys

HOLDS = "from imgtool.runtime.scratch import hold; print(hold(), flush=True); input()"


def test_the_last_one_removes_it_with_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert holder.stdout is not None
    place = Path(holder.stdout.readline().strip())
    (place / "left").write_text("by a worker that was killed")
    remove()
    assert (place / "left").exists()
    holder.kill()
    holder.communicate()
    remove()
    assert not place.exists()
    remove()  # there is none


def test_a_new_one_in_its_place_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another parent removed it, and a worker made it again, after it was opened and before it was locked."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    place = tmp_path / f"imgtool-worker-{os.geteuid()}"
    place.mkdir()
    lock = fcntl.flock

    def late(held: int, how: int) -> None:
        place.rmdir()
        place.mkdir()
        lock(held, how)

    monkeypatch.setattr(fcntl, "flock", late)
    remove()
    assert place.is_dir()


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_one_that_others_may_enter_is_not_used(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / f"imgtool-worker-{os.geteuid()}").mkdir()
    (tmp_path / f"imgtool-worker-{os.geteuid()}").chmod(mode)
    assert hold() == ""


def test_a_run_leaves_no_folder(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    photos = folder(tmp_path / "photos", greys(1))
    done = imgtool(
        "analyze", photos, "-t", "caption", "--caption-engine", "describe", "--no-cache", TMPDIR=str(scratch)
    )
    assert done.code == 0, done.err
    assert list(scratch.iterdir()) == []
