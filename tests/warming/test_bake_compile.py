"""Compiling as a step of baking, with a compiler that is planted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imgtool.artefacts.find import ArtefactState, ArtefactStatus
from imgtool.errors import ExitCode, ImgtoolError, MissingExtra, ModelLoadFailed
from imgtool.options import EngineOptions
from imgtool.types import Task
from imgtool.warming.bake import BakeOptions, WarmStepEnded, bake, exit_code
from imgtool.warming.unit_compiler import CompileOutcome
from imgtool.warming.units import Unit, configured_units
from imgtool.weights.observer import FetchObserver
from imgtool.weights.store import ModelStore
from tests.fakes.hub import FakeHub
from tests.model_files import QUICK
from tests.warming.test_bake import Planted, seen, units


@dataclass
class Compiler:
    """Compiles once; ``damaged`` says whether the result is."""

    missing: ImgtoolError | None = None
    error: ImgtoolError | None = None
    damaged: bool = False
    calls: list[bool] = field(default_factory=list)

    def unusable(self, unit: Unit, *, anew: bool = False) -> ImgtoolError | None:
        return self.missing

    def is_damaged(self, unit: Unit) -> bool:
        return self.damaged

    def status(self, unit: Unit, *, full: bool = False) -> ArtefactStatus:
        state = ArtefactState.COMPILED if self.calls else ArtefactState.ABSENT
        return ArtefactStatus(unit.name, state, state.value)

    def compile(self, unit: Unit, observer: FetchObserver, *, anew: bool = False) -> CompileOutcome:
        self.calls.append(anew)
        if self.error is not None:
            raise self.error
        self.damaged = False
        return CompileOutcome(anew or len(self.calls) == 1, "agrees", 2.0, 77)


def steps(store: ModelStore, loader: Planted, compiler: Compiler | None, anew: bool = False) -> list[WarmStepEnded]:
    events: Iterator[object] = bake(
        units("blip"), store, BakeOptions(QUICK, compile_anew=anew), loader, compiler=compiler
    )
    return [event for event in events if isinstance(event, WarmStepEnded)]


def test_compiling_comes_between_verifying_and_loading_and_is_done_once(hub: FakeHub, store: ModelStore) -> None:
    compiler = Compiler()
    ended = steps(store, Planted(), compiler)
    assert seen(ended)[1:4] == [("verify", "done"), ("compile", "done"), ("load", "done")]
    assert (ended[2].detail, ended[2].seconds, ended[2].size_bytes) == ("agrees", 2.0, 77)
    assert ("compile", "unchanged") in seen(steps(store, Planted(), compiler))
    assert ("compile", "done") in seen(steps(store, Planted(), compiler, anew=True))
    assert compiler.calls == [False, False, True]


def test_without_a_compiler_there_is_no_such_step(hub: FakeHub, store: ModelStore) -> None:
    assert "compile" not in dict(seen(steps(store, Planted(), None)))


def test_a_missing_library_skips_it_and_is_no_failure(hub: FakeHub, store: ModelStore) -> None:
    ended = steps(store, Planted(), Compiler(missing=MissingExtra("onnx not installed", "install it")))
    (step,) = [step for step in ended if step.step.value == "compile"]
    assert (step.result.value, step.detail, step.remedy) == ("skipped", "onnx not installed", "install it")
    assert exit_code(ended) is ExitCode.OK


def test_one_that_fails_is_told_and_the_model_is_loaded_all_the_same(hub: FakeHub, store: ModelStore) -> None:
    ended = steps(store, Planted(), Compiler(error=ModelLoadFailed("it differs", "report it")))
    assert seen(ended)[2:4] == [("compile", "failed"), ("load", "done")]
    assert exit_code(ended) is ExitCode.MODEL_MISSING


@pytest.mark.parametrize("mended", [True, False])
def test_a_load_that_fails_over_a_damaged_compile_is_tried_once_more(
    hub: FakeHub, store: ModelStore, mended: bool
) -> None:
    compiler = Compiler(damaged=True)
    loader = Planted(whole=lambda: mended and len(loader.loads) > 1)
    damaged_at_first = Compiler.compile

    def compile_(unit: Unit, observer: FetchObserver, *, anew: bool = False) -> CompileOutcome:
        done = damaged_at_first(compiler, unit, observer, anew=anew)
        compiler.damaged = not anew
        return done

    compiler.compile = compile_  # type: ignore[method-assign]
    ended = steps(store, loader, compiler)
    assert compiler.calls == [False, True]
    assert len(loader.loads) == 2
    assert seen(ended)[-1] == (("warm-up", "done") if mended else ("load", "failed"))


def test_what_was_mended_is_not_tried_a_third_time(hub: FakeHub, store: ModelStore) -> None:
    compiler = Compiler(damaged=True)
    loader = Planted(whole=lambda: not compiler.damaged)
    compiled = Compiler.compile

    def compile_(unit: Unit, observer: FetchObserver, *, anew: bool = False) -> CompileOutcome:
        done = compiled(compiler, unit, observer, anew=anew)
        compiler.damaged = not anew
        loader.version = "anew" if anew else loader.version
        return done

    compiler.compile = compile_  # type: ignore[method-assign]
    steps(store, loader, compiler)
    compiler.compile = lambda *_, **__: CompileOutcome(False, "", 0.0, 0)  # type: ignore[method-assign]
    assert seen(steps(store, loader, compiler))[-1] == ("warm-up", "unchanged")
    assert len(loader.loads) == 2


def test_what_the_user_keeps_in_folders_is_compiled_though_nothing_is_fetched(tmp_path: Path) -> None:
    options = EngineOptions(caption_model=str(tmp_path), easyocr_dir=tmp_path)
    found = configured_units(options, ("ko", "en"))
    assert [(unit.engine, unit.models) for unit in found] == [("blip", ()), ("easyocr", ())]
    assert found[0].name == tmp_path.name


def test_a_folder_is_compiled_and_loaded(store: ModelStore, tmp_path: Path) -> None:
    folder = configured_units(EngineOptions(caption_model=str(tmp_path), tasks=(Task.CAPTION,)), ())
    for expected in ("done", "unchanged"):
        events = bake(
            folder, store, BakeOptions(QUICK), Planted(), compiler=Compiler(calls=[False] * (expected != "done"))
        )
        ended = [event for event in events if isinstance(event, WarmStepEnded)]
        assert seen(ended) == [("compile", expected), ("load", expected), ("warm-up", expected)]
