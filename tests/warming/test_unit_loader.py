"""A load tried in a worker of its own: what it takes, and every way in which it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from imgtool.artefacts.find import artefacts_root
from imgtool.artefacts.requested_model import requested_blip
from imgtool.compiling.compile import compile_model
from imgtool.errors import ModelLoadFailed
from imgtool.options import EngineOptions
from imgtool.runtime.protocol import TaskPlan
from imgtool.types import Task
from imgtool.warming.trial_records import Trial
from imgtool.warming.unit_loader import UnitLoader, trial_of
from imgtool.warming.units import Unit, configured_units
from tests.compiled import OPTIONS, flip
from tests.model_files import blip_files


def tried(name: str, **options: Any) -> Trial:
    plan = TaskPlan(task="caption", analyzer=name, target=f"tests.planted:{name}", parameters={})
    return trial_of(plan, EngineOptions(**options))


def children() -> int:
    return len(psutil.Process().children(recursive=True))


def test_a_load_is_measured_in_a_process_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_LOG", str(tmp_path / "log"))
    before = children()
    trial = tried("Slow")
    assert trial.load_seconds >= 0
    assert trial.warm_up_seconds >= 0
    assert 1_000_000 < trial.rss_before <= trial.rss_after
    assert (tmp_path / "log").read_text() == "load\n"
    assert children() == before


@pytest.mark.parametrize(
    ("failing", "words"),
    [
        (lambda: tried("FailsLoading"), "planted load failure"),
        (lambda: tried("DiesLoading"), "was killed by SIGKILL"),
        (lambda: tried("HangsLoading", load_timeout=1.0), "not loaded within 1 s"),
    ],
)
def test_a_failure_is_told_and_leaves_no_process(failing: Callable[[], Trial], words: str) -> None:
    before = children()
    with pytest.raises(ModelLoadFailed, match=words) as caught:
        failing()
    assert caught.value.remedy
    assert children() == before


@pytest.mark.parametrize("engine", ["blip", "easyocr"])
def test_what_a_trial_holds_for_names_the_libraries(engine: str) -> None:
    unit = next(unit for unit in configured_units(EngineOptions(), ("ko", "en")) if unit.engine == engine)
    versions = UnitLoader(EngineOptions()).versions(unit)
    assert {"engine", "torch"} <= set(versions)


def test_a_trial_does_not_hold_for_a_compiled_model_that_was_damaged_since(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for name, data in blip_files().items():
        (weights / name).write_bytes(data)
    options = EngineOptions(cache_dir=tmp_path / "cache", caption_model=str(weights), tasks=(Task.CAPTION,))
    folder = compile_model(requested_blip(options), artefacts_root(options), OPTIONS).artefact.folder
    (unit,) = configured_units(options, ())
    before = UnitLoader(options).versions(unit)
    assert UnitLoader(options).versions(unit) == before
    flip(folder / "settings.json", 5)
    assert UnitLoader(options).versions(unit) != before


def test_every_engine_that_models_are_fetched_for_has_a_unit() -> None:
    units: tuple[Unit, ...] = configured_units(EngineOptions(), ("ko", "en"))
    assert [unit.engine for unit in units] == ["blip", "easyocr"]
