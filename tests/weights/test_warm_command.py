"""The command that a remedy names brings what was asked for, not what happens to be the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from imgtool.analyzers.registry import load_class
from imgtool.artefacts.find import find_blip, find_easyocr
from imgtool.engine.plan import UNPRINTED
from imgtool.errors import ImgtoolError, ModelMissing
from imgtool.options import EngineOptions, Precision, Scale, Weights
from imgtool.weights.catalogue import CATALOGUE, find
from imgtool.weights.on_disk import blip as blip_weights
from imgtool.weights.on_disk import easyocr as easyocr_weights
from imgtool.weights.store import ModelStore, store_for
from imgtool.weights.synthetic.store import blip_spec, easyocr_spec

SMALL: dict[str, Any] = {"weights": Weights.SYNTHETIC, "scale": Scale.SMALL}
FAST: dict[str, Any] = {"precision": Precision.FAST}


@pytest.fixture(autouse=True)
def _empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path / "easyocr"))


def run(command: str) -> str:
    return f"run `imgtool warm-cache {command}`"


def remedies(options: EngineOptions, *looks: Callable[[EngineOptions], object]) -> set[str]:
    """What each of ``looks`` proposes where it finds no model."""
    found = set()
    for look in looks:
        with pytest.raises(ModelMissing) as caught:
            look(options)
        found.add(caught.value.remedy)
    return found


@pytest.mark.parametrize(
    ("analyzer", "given", "command"),
    [
        ("caption.blip_compiled:BlipOnnx", {"caption_revision": "v2"}, "blip-base@v2 --compile"),
        ("caption.blip_compiled:BlipOnnx", SMALL, "--weights synthetic --scale small --compile"),
        (
            "text.easyocr_compiled:EasyOcrOnnx",
            {"languages": ("ja",), **FAST},
            "easyocr --languages ja --precision fast --compile",
        ),
        ("caption.blip:BlipTorch", {"caption_revision": "v2"}, "blip-base@v2 --refresh"),
        ("text.easyocr:EasyOcrTorch", {"languages": ("ja",)}, "easyocr --languages ja --refresh"),
    ],
)
def test_a_worker_that_finds_damage_knows_what_was_asked_for(
    analyzer: str, given: dict[str, Any], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = SimpleNamespace(folder=tmp_path, manifest=SimpleNamespace(judged_fast=None), notice="")
    for place in (
        *("caption.blip_compiled.find_blip", "text.easyocr_compiled.find_easyocr"),
        *("caption.blip.weights_for", "text.easyocr.weights_for"),
    ):
        monkeypatch.setattr(f"imgtool.analyzers.{place}", lambda _: here)
    options = EngineOptions(cache_dir=tmp_path, **given)
    cls = load_class(f"imgtool.analyzers.{analyzer}")
    parameters = cls.parameters(options)
    assert parameters["remedy"] == run(command)
    assert "remedy" in UNPRINTED
    with pytest.raises(ImgtoolError) as caught:
        cls({**parameters, "device": "cpu"}).load()
    assert caught.value.remedy == run(command)


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({}, "blip-base"),
        ({"languages": ("ja",)}, "blip-base"),
        ({"caption_revision": "v2"}, "blip-base@v2"),
        ({"caption_model": "blip-large", "caption_revision": "v2"}, "blip-large@v2"),
        ({"caption_revision": "it's"}, """'blip-base@it'"'"'s'"""),
        (FAST, "blip-base --precision fast"),
        (SMALL, "--weights synthetic --scale small"),
        ({**SMALL, **FAST}, "--weights synthetic --scale small --precision fast"),
    ],
)
def test_a_missing_blip(given: dict[str, Any], command: str, tmp_path: Path) -> None:
    options = EngineOptions(cache_dir=tmp_path, **given)
    assert remedies(options, find_blip, blip_weights.weights_for) == {run(command)}


def test_a_revision_behind_the_name(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        find_blip(EngineOptions(cache_dir=tmp_path, caption_model="blip-base@v3"))
    assert caught.value.remedy == run("blip-base@v3")


@pytest.mark.skipif(find_spec("easyocr") is None, reason="the torch extra is not installed")
@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({}, "easyocr"),
        ({"languages": ("ja",)}, "easyocr --languages ja"),
        ({"languages": ("ja",), **FAST}, "easyocr --languages ja --precision fast"),
        (SMALL, "--weights synthetic --scale small"),
        ({"weights": Weights.SYNTHETIC, "languages": ("de", "en")}, "--weights synthetic --languages de,en"),
        ({**SMALL, "languages": ("en",)}, "--weights synthetic --scale small --languages en"),
    ],
)
def test_a_missing_easyocr(given: dict[str, Any], command: str, tmp_path: Path) -> None:
    options = EngineOptions(cache_dir=tmp_path, **given)
    assert remedies(options, find_easyocr, easyocr_weights.weights_for) == {run(command)}


def test_a_folder_is_named_and_languages_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "my weights"
    folder.mkdir()
    with pytest.raises(ModelMissing) as caught:
        find_blip(EngineOptions(cache_dir=tmp_path, caption_model=str(folder), caption_revision="v2"))
    assert caught.value.remedy == run(f"caption --caption-model '{folder}'")
    with pytest.raises(ModelMissing) as caught:
        find_easyocr(EngineOptions(cache_dir=tmp_path, easyocr_dir=folder, languages=("en",)))
    assert caught.value.remedy == run(f"text --easyocr-dir '{folder}' --languages en")


def test_a_model_that_the_store_lacks(tmp_path: Path) -> None:
    store, small = ModelStore.at(tmp_path), EngineOptions(cache_dir=tmp_path, **SMALL)
    english = msgspec.structs.replace(small, languages=("en",))
    for spec, command in (
        (find("blip"), "blip-base"),
        (find("blip-large@v2"), "blip-large@v2"),
        (replace(CATALOGUE["craft"]), "craft"),
        (blip_spec(english), "--weights synthetic --scale small"),
        (easyocr_spec(small), "--weights synthetic --scale small"),
        (easyocr_spec(english), "--weights synthetic --scale small --languages en"),
        (blip_spec(EngineOptions(weights=Weights.SYNTHETIC)), "--weights synthetic"),
    ):
        assert store.status(spec).remedy == run(command)


@pytest.mark.parametrize("look", [find_blip, blip_weights.weights_for])
def test_a_cache_directory_given_by_a_flag_is_named(
    look: Callable[[EngineOptions], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of the run is also that of the pasted command, a flag is not."""
    folder = tmp_path / "my cache"
    assert remedies(EngineOptions(cache_dir=folder), look) == {run(f"blip-base --cache-dir '{folder}'")}
    monkeypatch.setenv("IMGTOOL_CACHE_DIR", str(folder))
    assert remedies(EngineOptions(cache_dir=folder), look) == {run("blip-base")}


def test_the_store_names_the_cache_directory_too(tmp_path: Path) -> None:
    store = store_for(EngineOptions(cache_dir=tmp_path / "flagged"))
    assert store.status(find("blip")).remedy == run(f"blip-base --cache-dir {tmp_path / 'flagged'}")


def test_languages_of_a_flag_win_over_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_LANGUAGES", "ja")
    assert remedies(EngineOptions(cache_dir=tmp_path), find_easyocr) == {run("easyocr --languages ko,en")}


@pytest.mark.parametrize("look", [find_blip, blip_weights.weights_for])
def test_a_repository_outside_the_catalogue(look: Callable[[EngineOptions], object], tmp_path: Path) -> None:
    options = EngineOptions(cache_dir=tmp_path, caption_model="owner/captions")
    assert remedies(options, look) == {run("caption --caption-model owner/captions")}
    pinned = msgspec.structs.replace(options, caption_revision="v1")
    command = "IMGTOOL_CAPTION_REVISION=v1 imgtool warm-cache caption --caption-model owner/captions"
    assert remedies(pinned, look) == {f"run `{command}`"}


def test_nothing_is_fetched_into_a_damaged_folder_of_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "blip"
    folder.mkdir()
    own = EngineOptions(cache_dir=tmp_path, caption_model=str(folder))
    with pytest.raises(ModelMissing) as caught:
        blip_weights.weights_for(own)
    for remedy in (caught.value.remedy, blip_weights.how_to_repair(own)):
        assert "copy the model into" in remedy
        assert "warm-cache" not in remedy
    easyocr = EngineOptions(cache_dir=tmp_path, easyocr_dir=folder)
    assert "warm-cache" not in easyocr_weights.how_to_repair(easyocr)
