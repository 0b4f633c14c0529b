"""Full disks, clocks that go back, rights that change during a run: what is lost is time, and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from imgtool.engine.cache import upkeep
from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, analyze, imgtool
from tests.conftest import ROOT
from tests.container import REASON

NUMBERED = ("-t", "caption", "--caption-engine", "tests.planted:Numbered", "--database", "off")
COUNT = 40


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return pictures.folder(tmp_path / "photos", [(0, number, 9) for number in range(COUNT)])


def captions(done: Outcome) -> list[str]:
    assert done.code is ExitCode.OK, done.err
    return [each["tasks"]["caption"]["value"] for each in done.results]


EXPECTED = [f"number {number}" for number in range(COUNT)]


@pytest.mark.slow
@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_a_full_disk_costs_what_is_not_kept_and_no_answer(photos: Path, tmp_path: Path) -> None:
    """A file system of 300 kB for the cache, and then for the output."""
    full, earlier = tmp_path / "full", tmp_path / "full/out.csv"
    full.mkdir()
    words = [sys.executable, "-m", "imgtool", "analyze", str(photos), *NUMBERED]
    to_cache = [*words, "--cache-dir", str(full / "cache"), "-f", "jsonl"]
    to_output = [*words, "--cache-dir", str(tmp_path / "cache"), "-o", str(earlier)]
    script = f"""
        mount -t tmpfs -o size=300k tmpfs {shlex.quote(str(full))}
        {shlex.join(to_cache)} >{tmp_path}/first 2>{tmp_path}/first.err; echo $? >>{tmp_path}/codes
        mount -o remount,size=50m {shlex.quote(str(full))}
        {shlex.join(to_cache)} >{tmp_path}/second 2>{tmp_path}/second.err; echo $? >>{tmp_path}/codes
        {shlex.join(to_cache)} --stats {tmp_path}/stats >{tmp_path}/third 2>&1; echo $? >>{tmp_path}/codes
        rm -rf {full}/cache; echo earlier >{earlier}; dd if=/dev/zero of={full}/rest bs=1k 2>/dev/null
        {shlex.join(to_output)} 2>{tmp_path}/fourth.err; echo $? >>{tmp_path}/codes
        cp {earlier} {tmp_path}/kept; ls -A {full} >{tmp_path}/left
    """
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (tmp_path / "codes").read_text().split() == ["0", "0", "0", "6"]
    for name in ("first", "second"):
        found = [json.loads(line)["tasks"]["caption"]["value"] for line in (tmp_path / name).read_text().splitlines()]
        assert found == EXPECTED, name
    assert "the disk is full" in (tmp_path / "first.err").read_text()
    assert json.loads((tmp_path / "stats").read_text())["hit_rate_percent"] == 100
    assert "no space" in (tmp_path / "fourth.err").read_text().lower()
    assert (tmp_path / "kept").read_text() == "earlier\n"
    assert (tmp_path / "left").read_text().split() == ["out.csv", "rest"]


_CLOCK = """
import os, time
shift = int(os.environ.get("CLOCK_SHIFT", "0"))
if shift:
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + shift
    time.time_ns = lambda: real_ns() + shift * 10**9
"""


@pytest.mark.slow
def test_a_clock_that_was_set_back_loses_nothing(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock/sitecustomize.py").write_text(_CLOCK)
    path = f"{ROOT}:{tmp_path / 'clock'}"
    month = str(-30 * 86_400)

    def run(shift: str, *more: str) -> Any:
        done = analyze(photos, *NUMBERED, "--stats", tmp_path / "stats", *more, PYTHONPATH=path, CLOCK_SHIFT=shift)
        assert captions(done) == EXPECTED
        assert done.err.strip() == "" or "Traceback" not in done.err
        return done.stats(tmp_path / "stats")["hit_rate_percent"]

    assert run("0") == 0
    assert run(month) == 100
    assert run(month, "--cache-ttl", "1h") == 100  # what is from the future is not old
    for words in (("--older-than", "1h"), ("--stale-index",)):
        assert imgtool("cache", "prune", *words, PYTHONPATH=path, CLOCK_SHIFT=month).code is ExitCode.OK
    assert run("0") == 100
    assert upkeep.verify(Path(os.environ["IMGTOOL_CACHE_DIR"])).sound


@pytest.mark.slow
def test_rights_that_are_taken_during_a_run_cost_the_images_and_come_back(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    def take() -> None:
        while not out.exists() or out.read_bytes().count(b"\n") < 3:
            time.sleep(0.01)
        photos.chmod(0)

    thief = threading.Thread(target=take)
    thief.start()
    words = [photos, *NUMBERED, "--workers", "1", "-o", out]
    done = imgtool("analyze", *words, bound=True, PLANTED_SECONDS="0.1")
    thief.join()
    photos.chmod(0o755)
    assert done.code is ExitCode.SOME_FAILED, done.err
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(results) == COUNT
    failed = [each for each in results if each["status"] == "failed"]
    assert failed and {each["error"]["code"] for each in failed} == {"permission_denied"}
    assert all("chmod" in each["error"]["remedy"] or each["error"]["remedy"] for each in failed)
    assert captions(analyze(photos, *NUMBERED)) == EXPECTED


def test_a_file_that_is_rewritten_within_a_tick_of_its_time_is_not_kept_under_its_old_hash(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between hashing and decoding, with the same size and the same time: only its bytes tell."""
    from imgtool import Engine
    from imgtool.engine.files import identify

    path = photos / "007.png"
    other = pictures.flat(tmp_path / "other.png", (0, 99, 9), size=(15, 6)).read_bytes()
    assert len(other) == path.stat().st_size
    real = identify.read_digest

    def read_and_rewrite(ref: Any, *more: Any) -> Any:
        found = real(ref, *more)
        if ref.path == str(path):
            times = path.stat()
            path.write_bytes(other)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return found

    monkeypatch.setattr(identify, "read_digest", read_and_rewrite)
    options = {"tasks": "caption", "caption_engine": "tests.planted:Numbered", "cache_dir": tmp_path / "cache"}
    with Engine(**options) as engine:
        (result,) = engine.analyze([path])
    assert result.error is not None and result.error.code == "changed_while_reading"
    monkeypatch.undo()
    with Engine(**options) as engine:
        (result,) = engine.analyze([path])
    assert result.tasks.caption is not None and result.tasks.caption.value == "number 99"
