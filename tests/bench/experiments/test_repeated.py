"""A run and the same run again: on the models of the user's cache, and with a crash told from a complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.analyzers.interface import Probe
from imgtool.bench.experiments.repeated import Repeated, measure_repeated
from imgtool.bench.measure.child import ChildFailed
from imgtool.cli.analyze.parser import engine_options
from imgtool.errors import UsageProblem
from imgtool.options import EngineOptions, cache_root
from tests.pictures import flat
from tests.planted import RED, Hazard, _spec


class Compiled(Hazard):
    """Can be had where the cache holds a compiled model."""

    spec = _spec("compiled")

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        here = (cache_root(options) / "compiled" / "model").is_file()
        return Probe(available=here, reason="" if here else "nothing is compiled", model="planted", model_version="1")


def repeated(image: Path, engine: str, *words: str) -> Repeated:
    options = ("--tasks", "caption", "--caption-engine", engine, *words)
    return measure_repeated([str(image)], images=0, options=options, models=engine_options(options), folder=None)


def test_compiled_models_are_those_of_the_users_cache_and_answers_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("IMGTOOL_CACHE_DIR", str(cache))
    (cache / "compiled").mkdir(parents=True)
    (cache / "compiled" / "model").touch()
    found = repeated(flat(tmp_path / "x.png"), f"{__name__}:Compiled")
    assert (found.images, found.first_hits, found.hits) == (1, 0, 1)
    assert [path.name for path in cache.iterdir()] == ["compiled"]


def test_a_cache_that_the_options_name_keeps_no_answer_of_it(tmp_path: Path) -> None:
    cache = tmp_path / "named"
    for _ in range(2):
        found = repeated(flat(tmp_path / "x.png"), "describe", "--cache-dir", str(cache))
        assert (found.first_hits, found.hits) == (0, 1)
    assert not cache.exists()


def test_a_crash_is_no_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="SIGSEGV"):
        repeated(flat(tmp_path / "x.png", RED), "tests.planted:Hazard", "--no-isolate")


def test_what_the_run_refuses_is_one(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"exited with code 4$"):
        repeated(tmp_path / "none.png", "describe")
