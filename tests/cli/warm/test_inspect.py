"""Looking and removing in this process: the exit codes, the lines for people, the same as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imgtool.cli.warm.inspect import check, dry_run, prune
from imgtool.errors import ExitCode
from imgtool.options import BackendChoice, EngineOptions
from imgtool.warming.units import Unit, named_units
from imgtool.weights.languages import easyocr_codes
from imgtool.weights.store import ModelStore, store_for
from tests.cli.warm.test_request import asking


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineOptions:
    """Those of a machine on which nothing was ever fetched."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path / "easyocr"))
    return EngineOptions(languages=("en",), cache_dir=tmp_path / "cache")


@pytest.fixture
def store(options: EngineOptions) -> ModelStore:
    return store_for(options)


@pytest.fixture
def units(options: EngineOptions) -> tuple[Unit, ...]:
    return named_units(("blip-base",), options, easyocr_codes(options.languages))


def test_what_has_not_been_fetched_is_missing(
    store: ModelStore, units: tuple[Unit, ...], options: EngineOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(units, store, asking(check=True), options) is ExitCode.MODEL_MISSING
    out, err = capsys.readouterr()
    assert out.startswith("no manifest: blip-base has not been fetched\n")
    assert "imgtool warm-cache blip-base" in err
    assert "a run needs no network" not in out


def test_nothing_wanted_is_nothing_missing(
    store: ModelStore, options: EngineOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check((), store, asking(check=True), options) is ExitCode.OK
    assert "need no model" in capsys.readouterr().out


@pytest.mark.parametrize("backend", [BackendChoice.AUTO, BackendChoice.TORCH])
def test_machines_get_the_same_verdict(
    store: ModelStore,
    units: tuple[Unit, ...],
    options: EngineOptions,
    backend: BackendChoice,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = replace(options, backend=backend)
    assert check(units, store, asking(check=True, json=True), options) is ExitCode.MODEL_MISSING
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["ok"], report["exit_code"]) == (1, False, 5)
    assert [model["name"] for model in report["models"]] == ["blip-base"]
    assert len(report["compiled"]) == (0 if backend is BackendChoice.TORCH else 1)


def test_a_forecast_without_a_network_fetches_nothing(
    store: ModelStore, units: tuple[Unit, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(units, store, asking(dry_run=True, offline=True)) is ExitCode.OK
    assert capsys.readouterr().out.startswith("blip-base: nothing to transfer")
    assert dry_run(units, store, asking(dry_run=True, offline=True, json=True)) is ExitCode.OK
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert (row["model"], row["size_bytes"]) == ("blip-base", 0)


def test_an_empty_store_has_nothing_to_prune(
    store: ModelStore, options: EngineOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prune(store, asking(prune=True), options) is ExitCode.OK
    assert capsys.readouterr().out == "nothing to remove\nmodels take 0 B\n"
    assert prune(store, asking(prune=True, json=True), options) is ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert (report["executed"], report["removals"], report["compiled"]["ok"]) == (False, [], True)
