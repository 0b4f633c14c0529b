"""A cache that another user made, a user without a home or an entry in the password file, and a root that nobody may
write: each command runs and says what it goes without, or ends with exit code 6 and a remedy that mends it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, imgtool
from tests.container import REASON, UID, in_container

needs_root = pytest.mark.skipif(bool(REASON), reason=REASON)

FINE = ("-t", "text", "--text-engine", "tests.planted:Fine", "-f", "jsonl")
OK, NOT_WRITABLE, MISSING = ExitCode.OK, ExitCode.NOT_WRITABLE, ExitCode.MODEL_MISSING

WITH_ANOTHERS_CACHE = {
    ("analyze", "PHOTO", *FINE): OK,
    ("analyze", "PHOTO", *FINE, "--no-cache"): OK,
    ("analyze", "PHOTO", "-t", "caption,text", "-f", "html"): OK,
    ("search", "x"): NOT_WRITABLE,
    ("cache", "stats"): OK,
    ("cache", "verify"): NOT_WRITABLE,
    ("cache", "verify", "--repair"): NOT_WRITABLE,
    ("cache", "clear"): NOT_WRITABLE,
    ("cache", "prune", "--older-than", "1d"): NOT_WRITABLE,
    ("warm-cache", "--check"): NOT_WRITABLE,
    ("warm-cache", "--full-check"): NOT_WRITABLE,
    ("warm-cache", "--offline"): NOT_WRITABLE,
    ("warm-cache", "--prune"): NOT_WRITABLE,
    ("models",): OK,
    ("database", "status"): NOT_WRITABLE,
    ("database", "init"): NOT_WRITABLE,
    ("database", "export"): NOT_WRITABLE,
    ("database", "import", "/dev/null"): NOT_WRITABLE,
    ("bench", "startup", "PHOTO", "--runs", "2", "--warm-ups", "0", "--arm", "a=-t text"): OK,
    ("profile", "PHOTO", *FINE[:-2], "--view", "phases", "-o", "PLACE/profile"): OK,
}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return pictures.flat(tmp_path / "photo.png")


@pytest.fixture
def cache(tmp_path: Path, photo: Path) -> Iterator[Path]:
    """A cache with results and with folders of models, that nobody may enter."""
    folder = tmp_path / "others"
    assert imgtool("analyze", photo, *FINE, "-q", IMGTOOL_CACHE_DIR=str(folder)).code is OK
    for name in ("models/blip-base", "compiled", "cleaned"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "models/blip-base/manifest.json").write_text("{}")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def filled(words: tuple[str, ...], photo: Path) -> list[str]:
    """``words`` with the places that they name."""
    return [word.replace("PHOTO", str(photo)).replace("PLACE", str(photo.parent)) for word in words]


def said_well(outcome: Outcome) -> None:
    """Neither a traceback nor an internal error, and whatever ends a command has a remedy."""
    assert "Traceback" not in outcome.err
    assert "internal error" not in outcome.err
    if outcome.code is NOT_WRITABLE:
        assert "  try: " in outcome.err


@pytest.mark.parametrize(("words", "code"), WITH_ANOTHERS_CACHE.items())
def test_a_cache_that_may_not_be_entered(words: tuple[str, ...], code: ExitCode, photo: Path, cache: Path) -> None:
    done = imgtool(*filled(words, photo), bound=True, IMGTOOL_CACHE_DIR=str(cache))
    said_well(done)
    assert done.code is code, done.err
    if words[0] == "analyze" and "--no-cache" not in words:
        assert "the run goes on without it" in done.err
    if words == ("cache", "stats"):
        assert "permission is denied" in done.out


@needs_root
@pytest.mark.parametrize("words", [("cache", "verify"), ("search", "x"), ("database", "status"), ("cache", "clear")])
def test_its_remedies_mend_it(words: tuple[str, ...], photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert imgtool("analyze", photo, *FINE, "-q", IMGTOOL_CACHE_DIR=str(folder)).code is OK
    folder.chmod(0o700)
    environ = {"IMGTOOL_CACHE_DIR": str(folder)}

    def run(**more: str) -> Outcome:
        return in_container(["-m", "imgtool", *words], visible=[tmp_path], environ={**environ, **more})

    done = run()
    said_well(done)
    assert done.code is NOT_WRITABLE
    elsewhere = re.search(r"`export (\w+)=(\S+)`", done.err)
    assert elsewhere is not None
    try:
        assert "ermission denied" not in run(**{elsewhere[1]: elsewhere[2]}).err
    finally:
        shutil.rmtree(elsewhere[2], ignore_errors=True)
    give = re.search(rf"chown -R {UID} (\S+)", done.err)
    assert give is not None and give[1] == str(folder)
    subprocess.run(["sh", "-c", give[0]], check=True)
    again = run()
    assert again.code in (OK, ExitCode.NONE_ANSWERED), again.err
    assert "ermission" not in again.err


EVERYWHERE = {
    ("analyze", "PHOTO", *FINE): OK,
    ("analyze", "PHOTO", *FINE, "--no-cache"): OK,
    ("search", "x"): ExitCode.NONE_ANSWERED,
    ("cache", "stats"): OK,
    ("cache", "verify"): OK,
    ("cache", "clear"): OK,
    ("warm-cache", "--check"): MISSING,
    ("warm-cache", "--prune"): OK,
    ("models",): OK,
}


@needs_root
@pytest.mark.slow
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("home", [{}, {"HOME": "/nowhere"}, {"HOME": ""}], ids=["no home", "none there", "empty"])
def test_a_user_without_a_home(home: dict[str, str], read_only: bool, photo: Path) -> None:
    try:
        for words, code in EVERYWHERE.items():
            command = ["-m", "imgtool", *filled(words, photo)]
            done = in_container(command, visible=[photo.parent], environ=home, read_only=read_only)
            said_well(done)
            assert done.code is code, (words, done.err)
            assert (f"imgtool-{UID}" in done.err) or home or not read_only or "--no-cache" in words
    finally:
        shutil.rmtree(f"/tmp/imgtool-{UID}", ignore_errors=True)


@needs_root
def test_a_stand_in_for_a_home_that_another_user_has_made_is_refused(photo: Path) -> None:
    place = Path("/tmp/imgtool-10002")
    place.mkdir()
    try:
        done = in_container(["-m", "imgtool", "cache", "stats"], visible=[photo.parent], uid=10002)
    finally:
        place.rmdir()
    assert done.code is NOT_WRITABLE
    assert "another user's" in done.err
    assert os.geteuid() == 0
