"""Synthetic weights: only where they are asked for, made whole or not at all, and said to be so in every answer."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgtool.analyzers.text.easyocr import EasyOcrTorch
from imgtool.distribution import install_command
from imgtool.engine.plan import make_plan
from imgtool.errors import ExitCode, ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.options import BackendChoice, EngineOptions, Scale, Weights
from imgtool.types import Task
from imgtool.warming.units import configured_units, named_units
from imgtool.weights.errors import LanguagesRefused, LibraryMissing, UnknownModel
from imgtool.weights.fetching import from_synthetic
from imgtool.weights.fetching.fetch import fetch
from imgtool.weights.fetching.fetch_job import FetchOptions
from imgtool.weights.manifest import Origin
from imgtool.weights.on_disk.blip import weights_for
from imgtool.weights.on_disk.easyocr import weights_folder
from imgtool.weights.store import MANIFEST, StoredState, store_for
from imgtool.weights.synthetic.marker import FILES, NAME, Marker, write_marker
from imgtool.weights.synthetic.store import (
    BLIP_NAME,
    blip_spec,
    easyocr_spec,
    synthetic_store,
)
from tests import pictures
from tests.command import analyze, imgtool
from tests.fakes import makers


def folders(options: EngineOptions) -> dict[Task, Path]:
    """Where the weights of the scale and for the languages that ``options`` set are, or would be."""
    names = {Task.CAPTION: BLIP_NAME, Task.TEXT: easyocr_spec(options).name}
    return {task: synthetic_store(options).folder_of(name) / FILES for task, name in names.items()}


def ensure_synthetic(options: EngineOptions, tasks: Iterable[Task] = (Task.CAPTION, Task.TEXT)) -> dict[Task, Path]:
    """Make the weights for ``tasks`` that are not here yet; what is here is only looked at."""
    store, wanted = synthetic_store(options), set(tasks)
    for spec in (blip_spec(options), easyocr_spec(options)):
        if spec.task in wanted:
            fetch(spec, store)
    return folders(options)


LIBRARIES = ("torch", "torchvision", "transformers", "easyocr")
with_torch = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in LIBRARIES),
    reason="the torch extra is not installed",
)


def options(**more: Any) -> EngineOptions:
    return EngineOptions(weights=Weights.SYNTHETIC, scale=Scale.SMALL, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with small weights of both models."""
    cache = tmp_path_factory.mktemp("synthetic")
    ensure_synthetic(options(cache_dir=cache))
    yield cache


class TestWhere:
    def test_real_and_synthetic_models_and_scales_have_places_of_their_own(self, tmp_path: Path) -> None:
        every = [EngineOptions(cache_dir=tmp_path), options(cache_dir=tmp_path)]
        every.append(EngineOptions(cache_dir=tmp_path, weights=Weights.SYNTHETIC))
        roots = [store_for(each).root for each in every]
        assert len(set(roots)) == 3
        assert roots[1] == synthetic_store(EngineOptions(cache_dir=tmp_path, scale=Scale.SMALL)).root

    def test_a_recogniser_has_a_folder_of_its_own_whatever_its_languages_are_called(self, tmp_path: Path) -> None:
        korean, english, chinese, simplified = (
            folders(options(cache_dir=tmp_path, languages=languages))[Task.TEXT]
            for languages in (("ko", "en"), ("en",), ("zh",), ("ch_sim", "en"))
        )
        assert chinese == simplified
        assert len({korean, english, chinese}) == 3
        assert korean.is_relative_to(tmp_path)

    def test_languages_that_no_recogniser_reads_together(self) -> None:
        with pytest.raises(LanguagesRefused):
            folders(options(languages=("ko", "ja")))


class TestWhichModels:
    def test_those_of_the_tasks(self) -> None:
        given = options(tasks=(Task.CAPTION,))
        assert [unit.models for unit in configured_units(given, ("ko", "en"))] == [(blip_spec(given),)]
        names = [unit.name for unit in configured_units(options(), ("ko", "en"))]
        assert names == ["synthetic blip-base", "synthetic easyocr (ko, en)"]

    @pytest.mark.parametrize(("name", "task"), [("blip", Task.CAPTION), ("text", Task.TEXT), ("easyocr", Task.TEXT)])
    def test_those_that_are_named(self, name: str, task: Task) -> None:
        assert [unit.models[0].task for unit in named_units([name], options(), ("ko", "en"))] == [task]

    def test_an_engine_of_another_kind_has_none(self) -> None:
        assert configured_units(options(caption_engine="describe", text_engine="rapidocr"), ("ko", "en")) == ()

    def test_there_are_none_of_other_models(self) -> None:
        with pytest.raises(UnknownModel, match="blip-large"):
            named_units(["blip-large"], options(), ("ko", "en"))


class TestMissing:
    def test_they_are_made_by_no_run_and_the_remedy_says_how(self, tmp_path: Path) -> None:
        given = options(cache_dir=tmp_path)
        for find in (weights_for, weights_folder):
            with pytest.raises(ModelMissing, match="synthetic") as caught:
                find(given)
            cache = f"--cache-dir {tmp_path}"
            assert caught.value.remedy == f"run `imgtool warm-cache --weights synthetic --scale small {cache}`"
        assert "--scale" not in _remedy(EngineOptions(cache_dir=tmp_path, weights=Weights.SYNTHETIC))
        assert not (tmp_path / "models").exists()

    def test_naming_another_model_beside_them_makes_no_sense(self, tmp_path: Path) -> None:
        with pytest.raises(UsageProblem, match="and the caption model blip-large"):
            weights_for(options(caption_model="blip-large"))
        with pytest.raises(UsageProblem, match="and those in"):
            weights_folder(options(easyocr_dir=tmp_path))

    def test_other_engines_stand_in_as_ever_and_say_so(self, tmp_path: Path) -> None:
        plan = make_plan(options(cache_dir=tmp_path, backend=BackendChoice.TORCH, tasks=(Task.CAPTION,)))
        assert plan.chosen["caption"].spec.name == "describe"
        assert plan.chosen["caption"].stands_in_for == "blip"

    def test_without_the_libraries_they_cannot_be_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(from_synthetic, "find_spec", lambda name: None)
        with pytest.raises(LibraryMissing, match="torch and torchvision and transformers") as caught:
            ensure_synthetic(options(cache_dir=tmp_path))
        assert install_command("torch") in caught.value.remedy


def _remedy(given: EngineOptions) -> str:
    with pytest.raises(ModelMissing) as caught:
        weights_for(given)
    return caught.value.remedy


class TestMaking:
    """How a model comes into its place, with a program in the place of the one that makes it."""

    @pytest.fixture
    def given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineOptions:
        monkeypatch.setattr(from_synthetic, "find_spec", lambda name: object())
        return options(cache_dir=tmp_path / "cache", languages=("en",))

    def test_whole_with_a_manifest_that_says_what_it_is(
        self, given: EngineOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(from_synthetic, "make_blip", makers.make_whole)
        folder = ensure_synthetic(given, [Task.CAPTION])[Task.CAPTION]
        manifest = synthetic_store(given).manifest("blip-base")
        assert manifest is not None
        assert (manifest.origin, manifest.revision) == (Origin.SYNTHETIC, "small")
        assert {file.path for file in manifest.files} == {NAME, "w"}
        assert synthetic_store(given).folder("blip-base") == folder
        assert store_for(EngineOptions(cache_dir=given.cache_dir)).manifest("blip-base") is None

    @pytest.mark.parametrize("make", [makers.refuse, makers.make_half, makers.make_nothing])
    def test_what_failed_leaves_nothing_that_is_taken_for_whole(
        self, given: EngineOptions, monkeypatch: pytest.MonkeyPatch, make: Callable[[str, str], None]
    ) -> None:
        monkeypatch.setattr(from_synthetic, "make_blip", make)
        with pytest.raises(ModelLoadFailed, match=r"blip-base could not be made") as caught:
            ensure_synthetic(given, [Task.CAPTION])
        assert ("planted trouble" in str(caught.value)) == (make is makers.refuse)
        assert not list(synthetic_store(given).folder_of("blip-base").iterdir())
        assert synthetic_store(given).status(blip_spec(given)).state is StoredState.NO_MANIFEST

    def test_what_a_killed_process_left_is_made_again(
        self, given: EngineOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = folders(given)[Task.CAPTION]
        folder.mkdir(parents=True)
        write_marker(folder, Marker(seed=0, size="tiny"))
        (folder / "half").write_text("x")
        with pytest.raises(ModelMissing, match="no synthetic weights"):
            weights_for(given)
        monkeypatch.setattr(from_synthetic, "make_blip", makers.make_whole)
        ensure_synthetic(given, [Task.CAPTION])
        assert sorted(path.name for path in folder.iterdir()) == [NAME, "w"]

    def test_what_is_here_is_left_alone(self, given: EngineOptions, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(from_synthetic, "make_blip", makers.make_whole)
        first = ensure_synthetic(given, [Task.CAPTION])
        monkeypatch.setattr(from_synthetic, "make_blip", makers.refuse)
        assert ensure_synthetic(given, [Task.CAPTION]) == first

    def test_the_remedy_for_damaged_ones_makes_them_again(
        self, given: EngineOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(from_synthetic, "make_blip", makers.make_whole)
        folder = ensure_synthetic(given, [Task.CAPTION])[Task.CAPTION]
        (folder / "w").write_text("2")
        store, spec = store_for(given), blip_spec(given)
        status = store.status(spec, full=True)
        assert status.state is StoredState.CHANGED_FILE
        assert "warm-cache --weights synthetic --scale small" in status.remedy
        assert status.remedy.endswith("--refresh`")
        fetch(spec, store, FetchOptions(refresh=True))
        assert store.status(spec, full=True).complete


_RUN = """
import sys
from imgtool import Engine

made, task, image = sys.argv[1:]
options = {"weights": "synthetic", "scale": "small", "backend": "torch", "strict": True, "load": "lazy"}
with Engine(cache_dir=made, cache=False, isolate=False, tasks=["text", "caption"], **options) as both:
    assert {chosen.spec.name for chosen in both.plan.chosen.values()} == {"blip", "easyocr"}
with Engine(cache_dir=made, cache=False, isolate=False, tasks=[task], **options) as engine:
    (result,) = engine.analyze([image])
    assert result.status.value == "ok", result
print(*sys.modules)
"""


@with_torch
@pytest.mark.slow
class TestReallyMade:
    def test_both_models_are_found_and_say_what_they_are(self, made: Path) -> None:
        given = options(cache_dir=made)
        found = weights_for(given)
        assert found.folder == folders(given)[Task.CAPTION]
        assert (found.model, found.version[:10]) == ("blip-base", "synthetic-")
        probe = EasyOcrTorch.probe(given)
        assert probe.available, probe.reason
        assert probe.model_version.startswith("synthetic-0 easyocr ")
        for spec in (blip_spec(given), easyocr_spec(given)):
            assert synthetic_store(given).status(spec, full=True).complete

    def test_a_run_that_does_not_name_them_never_sees_them(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HOME", str(made / "hf"))
        with pytest.raises(ModelMissing, match="not in the hub's cache"):
            weights_for(EngineOptions(cache_dir=made))

    def test_a_run_says_so_once_and_every_answer_does(self, made: Path, tmp_path: Path) -> None:
        image = pictures.flat(tmp_path / "a.png")
        done = analyze(image, "--weights", "synthetic", "--scale", "small", "--cache-dir", made, "--backend", "torch",
                       "--tasks", "caption", "--strict")  # fmt: skip
        assert done.code is ExitCode.OK, done.err
        assert done.err.count("answers mean nothing") == 1
        (result,) = done.results
        caption = result["tasks"]["caption"]
        assert caption["model_version"].startswith("synthetic-0 ")
        assert (caption["engine"], caption["stands_in_for"]) == ("blip", None)

    @pytest.mark.parametrize(("task", "library"), [("text", "transformers"), ("caption", "easyocr")])
    def test_a_lazy_run_never_imports_the_other_task_s_library(
        self, made: Path, tmp_path: Path, task: str, library: str
    ) -> None:
        image = pictures.flat(tmp_path / "a.png", size=(64, 48))
        said = subprocess.run(
            [sys.executable, "-c", _RUN, str(made), task, str(image)], capture_output=True, text=True, check=True
        )
        loaded = set(said.stdout.split())
        assert "torch" in loaded
        assert library not in loaded

    def test_warm_cache_makes_tries_and_then_has_nothing_to_do(self, tmp_path: Path) -> None:
        words = ("--weights", "synthetic", "--scale", "small", "--cache-dir", tmp_path)
        missing = imgtool("warm-cache", *words, "--check")
        assert missing.code is ExitCode.MODEL_MISSING
        first = imgtool("warm-cache", *words, "--json", timeout=300)
        assert first.code is ExitCode.OK, first.err
        steps = {(step["model"], step["step"]): step["result"] for step in json.loads(first.out)["steps"]}
        assert steps["blip-base", "fetch"] == steps["easyocr-korean_g2", "fetch"] == "done"
        assert steps["synthetic blip-base", "warm-up"] == steps["synthetic easyocr (ko, en)", "warm-up"] == "done"
        again = imgtool("warm-cache", *words)
        assert again.code is ExitCode.OK
        assert "nothing to do" in again.err
        assert imgtool("warm-cache", *words, "--full-check").code is ExitCode.OK
        weights = next(tmp_path.rglob("model.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
        damaged = imgtool("warm-cache", *words, "--full-check")
        assert damaged.code is ExitCode.MODEL_MISSING
        assert list(tmp_path.rglob(MANIFEST))
        (remedy,) = re.findall("run `imgtool (.*?)`", damaged.err)
        assert imgtool(*shlex.split(remedy)).code is ExitCode.OK
        assert imgtool("warm-cache", *words, "--full-check").code is ExitCode.OK


def test_they_come_from_nowhere_else(tmp_path: Path) -> None:
    done = imgtool("warm-cache", "--weights", "synthetic", "--from", str(tmp_path))
    assert done.code is ExitCode.USAGE
    assert "--from" in done.err
