"""Runs ``imgtool profile`` as a user does, on one small image and a planted engine."""

from __future__ import annotations

from pathlib import Path

from imgtool.ground.versioned import decode
from imgtool.profiling.record import Profile
from tests.command import Outcome, imgtool
from tests.pictures import folder, greys

PLANTED = "tests.profiling.planted"


def profiled(
    tmp_path: Path, engine: str, *options: str, images: int = 1, out: str = "out", **environ: str
) -> tuple[Outcome, Path]:
    """Profile ``images`` grey images with the planted ``engine``; the outcome and the folder that was written."""
    photos = folder(tmp_path / "photos", greys(images))
    name = engine if ":" in engine else f"{PLANTED}:{engine}"
    where = tmp_path / out
    words = ["profile", photos, "--tasks", "caption", "--caption-engine", name, "-o", where, *options]
    return imgtool(*words, **environ), where


def read_profile(folder: Path) -> Profile:
    """The profile in ``folder``."""
    return decode((folder / "profile.json").read_bytes(), Profile)


def profile_of(tmp_path: Path, engine: str, *options: str, images: int = 1) -> Profile:
    """The profile that such a run wrote."""
    outcome, where = profiled(tmp_path, engine, *options, images=images)
    assert outcome.code == 0, outcome.err
    return read_profile(where)
