"""The arm ``cached`` gets a cache of its own: the models of the user's, its own answers, and who gave them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.arms.cached import beside_models, filled
from imgtool.bench.arms.contenders import Stage, contender
from imgtool.bench.arms.definitions import CACHED, built_in
from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.experiment import Contender
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.sample_process import start
from imgtool.cli.analyze.parser import engine_options
from imgtool.options import EngineOptions
from tests.pictures import flat

DESCRIBE = ("--tasks", "caption", "--caption-engine", "describe")


class Told(list[str]):
    """What a person is told."""

    def __call__(self, text: str) -> None:
        self.append(text)


def saying(script: str) -> Contender:
    return Contender(Arm(name=CACHED, kind=ArmKind.ANALYZE, command=("sh", "-c", script)))


def test_models_of_either_kind_are_those_of_the_users_cache(tmp_path: Path) -> None:
    cache, scratch = tmp_path / "cache", tmp_path / "scratch"
    for name in ("models", "compiled", "results"):
        (cache / name).mkdir(parents=True)
        (cache / name / "here").touch()
    beside_models(EngineOptions(cache_dir=cache), scratch)
    assert sorted(path.name for path in scratch.iterdir()) == ["compiled", "models"]
    assert (scratch / "compiled" / "here").exists()
    assert (scratch / "models" / "here").exists()


def test_a_cache_without_models_is_one_too(tmp_path: Path) -> None:
    beside_models(EngineOptions(cache_dir=tmp_path / "none"), tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_it_answers_from_what_it_kept_and_who_answered_is_told(tmp_path: Path) -> None:
    told = Told()
    stage = Stage(images=(str(flat(tmp_path / "x.png")),), common=DESCRIBE, parse=engine_options)
    cached = contender(built_in([CACHED])[0], stage)
    ready = filled(cached, stage.parse(stage.common), tmp_path / "scratch", 60, told)
    assert told == ["filling the cache of the arm cached", "it has answers of describe (python)"]
    with Launcher() as launcher:
        sample, _ = start(ready.arm, 0, launcher, tmp_path, 60, {})
    assert sample.error is None
    assert not (tmp_path / "home" / "cache").exists(), "the user's own cache is left alone"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo all is lost >&2; exit 9", "exited with code 9"),
        ("echo all is lost >&2; exec sleep 60", "within 0.5 s"),
        ("echo '{\"tasks\": {'; echo all is lost >&2; kill -9 $$", "was killed by SIGKILL"),
    ],
)
def test_why_it_was_not_filled_is_told(script: str, why: str, tmp_path: Path) -> None:
    told = Told()
    filled(saying(script), EngineOptions(cache_dir=tmp_path), tmp_path / "scratch", 0.5, told)
    assert why in told[1]
    assert told[2:] == ["    all is lost"]


def test_it_is_filled_once_for_all_that_share_it(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for _ in range(2):
        ready = filled(saying(f"echo >> {runs}"), EngineOptions(cache_dir=tmp_path), tmp_path / "scratch", 60, Told())
        assert ready.arm.command[-2:] == ("--cache-dir", str(tmp_path / "scratch"))
    assert runs.read_text() == "\n"
