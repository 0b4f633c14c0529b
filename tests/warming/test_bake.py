"""Baking with a loader that is planted: which steps come, what is remembered, what is mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from imgtool.errors import ExitCode, ImgtoolError, MissingExtra, ModelLoadFailed, StoreNotWritable
from imgtool.options import EngineOptions
from imgtool.warming.bake import BakeOptions, Step, StepResult, WarmStepEnded, bake, exit_code
from imgtool.warming.trial_records import Trial
from imgtool.warming.units import Unit, configured_units
from imgtool.weights.store import ModelStore
from tests.fakes.hub import FakeHub
from tests.model_files import QUICK, blip_files

TRIAL = Trial(load_seconds=1.5, warm_up_seconds=0.5, rss_before=10, rss_after=30)


@dataclass
class Planted:
    """Counts loads; ``whole`` decides whether one goes well."""

    whole: Callable[[], bool] = lambda: True
    missing: ImgtoolError | None = None
    version: str = "1"
    loads: list[str] = field(default_factory=list)

    def unusable(self, unit: Unit) -> ImgtoolError | None:
        return self.missing

    def versions(self, unit: Unit) -> Mapping[str, str]:
        return {"planted": self.version}

    def load(self, unit: Unit, store: ModelStore) -> Trial:
        self.loads.append(unit.name)
        if not self.whole():
            raise ModelLoadFailed("planted", "do something")
        return TRIAL


def units(*names: str) -> tuple[Unit, ...]:
    found = configured_units(EngineOptions(), ("ko", "en"))
    return tuple(unit for unit in found if not names or unit.engine in names)


def steps(store: ModelStore, loader: Planted, *names: str) -> list[WarmStepEnded]:
    events = bake(units(*names), store, BakeOptions(QUICK), loader)
    return [event for event in events if isinstance(event, WarmStepEnded)]


def seen(ended: list[WarmStepEnded]) -> list[tuple[str, str]]:
    return [(event.step.value, event.result.value) for event in ended]


def test_the_parts_of_a_unit_come_first_then_one_load(hub: FakeHub, store: ModelStore, easyocr: Path) -> None:
    loader = Planted()
    ended = steps(store, loader)
    assert [(event.model, event.step) for event in ended] == [
        ("blip-base", Step.FETCH),
        ("blip-base", Step.VERIFY),
        ("blip-base", Step.LOAD),
        ("blip-base", Step.WARM_UP),
        ("craft", Step.FETCH),
        ("craft", Step.VERIFY),
        ("korean_g2", Step.FETCH),
        ("korean_g2", Step.VERIFY),
        ("easyocr (ko, en)", Step.LOAD),
        ("easyocr (ko, en)", Step.WARM_UP),
    ]
    assert {event.result for event in ended} == {StepResult.DONE}
    load, warm_up = ended[2:4]
    assert (load.seconds, load.rss_before, load.rss_after, warm_up.seconds) == (1.5, 10, 30, 0.5)
    assert exit_code(ended) is ExitCode.OK


def test_what_was_tried_is_not_tried_again_unless_something_changed(hub: FakeHub, store: ModelStore) -> None:
    loader = Planted()
    steps(store, loader, "blip")
    again = steps(store, loader, "blip")
    assert seen(again) == [("fetch", "unchanged"), ("verify", "done"), ("load", "unchanged"), ("warm-up", "unchanged")]
    assert len(loader.loads) == 1
    loader.version = "2"
    steps(store, loader, "blip")
    assert len(loader.loads) == 2
    (note,) = (store.root / ".trials").iterdir()
    note.write_bytes(note.read_bytes()[:-5])
    steps(store, loader, "blip")
    assert len(loader.loads) == 3


def test_a_missing_library_skips_the_load_and_is_no_failure(hub: FakeHub, store: ModelStore) -> None:
    loader = Planted(missing=MissingExtra("torch not installed", "install it"))
    ended = steps(store, loader, "blip")
    assert seen(ended)[-1] == ("load", "skipped")
    assert (ended[-1].detail, ended[-1].remedy) == ("torch not installed", "install it")
    assert exit_code(ended) is ExitCode.OK
    assert loader.loads == []


def test_one_that_fails_does_not_stop_the_others(hub: FakeHub, store: ModelStore, easyocr: Path) -> None:
    loader = Planted(whole=lambda: len(loader.loads) > 1)
    ended = steps(store, loader)
    assert [event.model for event in ended if event.result is StepResult.FAILED] == ["blip-base"]
    assert loader.loads == ["blip-base", "easyocr (ko, en)"]
    assert exit_code(ended) is ExitCode.MODEL_MISSING


def test_a_part_that_is_missing_keeps_the_whole_from_being_loaded(
    hub: FakeHub, store: ModelStore, easyocr: Path
) -> None:
    hub.fail("korean_g2", status=404)
    loader = Planted()
    ended = steps(store, loader, "easyocr")
    assert ("fetch", "failed") in seen(ended)
    assert seen(ended)[-1] == ("load", "skipped")
    assert loader.loads == []


def test_a_damaged_file_that_only_the_load_notices_is_fetched_again(hub: FakeHub, store: ModelStore) -> None:
    steps(store, Planted(), "blip")
    folder = store.folder("blip-base")
    assert folder is not None
    weights = (folder / "model.safetensors").resolve()
    right, times = weights.read_bytes(), weights.stat()
    weights.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))  # as on a failing disk
    loader = Planted(whole=lambda: weights.read_bytes() == right, version="2")
    ended = steps(store, loader, "blip")
    assert seen(ended) == [
        ("fetch", "unchanged"),
        ("verify", "done"),
        ("fetch", "done"),
        ("verify", "done"),
        ("load", "done"),
        ("warm-up", "done"),
    ]
    assert len(loader.loads) == 2


def test_what_was_copied_and_damaged_is_copied_again_by_the_remedy(store: ModelStore, tmp_path: Path) -> None:
    folder = tmp_path / "my stick"
    folder.mkdir()
    for name, content in blip_files().items():
        (folder / name).write_bytes(content)
    events = bake(units("blip"), store, BakeOptions(replace(QUICK, source=folder), load=False), Planted())
    for event in events:
        if isinstance(event, WarmStepEnded) and event.step is Step.FETCH:
            (copied,) = store.root.glob("blip-base/files-*/model.safetensors")
            copied.unlink()
        if isinstance(event, WarmStepEnded) and event.step is Step.VERIFY:
            assert event.result is StepResult.FAILED
            assert event.remedy == f"run `imgtool warm-cache blip-base --from '{folder}' --refresh`"
            return
    pytest.fail("nothing was verified")


@pytest.mark.parametrize("code", [ExitCode.NOT_WRITABLE, ExitCode.MODEL_MISSING])
def test_the_exit_code_is_that_of_the_failures(code: ExitCode) -> None:
    error = StoreNotWritable("full")
    failed = WarmStepEnded("a", Step.FETCH, StepResult.FAILED, str(error), exit_code=error.exit_code)
    other = WarmStepEnded("b", Step.LOAD, StepResult.FAILED, exit_code=code)
    assert exit_code([failed, other]) is code
