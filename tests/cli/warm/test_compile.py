"""Compiled models as a user of ``warm-cache`` and ``analyze`` meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imgtool.artefacts.find import artefacts_root, folder_name
from imgtool.artefacts.manifest import GATE, FastMode, Parity
from imgtool.artefacts.requested_model import BLIP, EASYOCR, RequestedModel
from imgtool.compiling.compile import compile_model
from imgtool.errors import ExitCode
from imgtool.options import EngineOptions
from imgtool.weights.warm_command import WarmCommand
from tests import pictures
from tests.command import Outcome, analyze, imgtool
from tests.compiled import OPTIONS, change_manifest, flip, other_runtime

PUBLISHED = "Salesforce/blip-image-captioning-base"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Machine:
    """A machine without weights and without a network, but with compiled models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.options = EngineOptions(cache_dir=self.cache)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "IMGTOOL_CACHE_DIR": str(self.cache),
            "HF_HUB_CACHE": str(self.folder / "hub"),
            "EASYOCR_MODULE_PATH": str(self.folder / "easyocr"),
            "COLUMNS": "200",
        }

    def plant(self, kind: str, model: str, version: str) -> Path:
        """A compiled model of that name, made of the fake exporter's network."""
        weights = self.folder / "weights"
        weights.mkdir(exist_ok=True)
        (weights / "model.safetensors").write_bytes(b"w")
        wanted = RequestedModel(
            kind=BLIP, model=model, source="", command=WarmCommand(()), version=version, folder=weights
        )
        folder = compile_model(wanted, artefacts_root(self.options), OPTIONS).artefact.folder
        runtime = change_manifest(folder, kind=kind).runtime
        named = RequestedModel(kind=kind, model=model, source="", command=WarmCommand(()))
        return folder.rename(folder.with_name(folder_name(named, version, runtime)))

    def warm(self, *arguments: str, **environ: str) -> Outcome:
        return imgtool("warm-cache", *arguments, timeout=900, **{**self.environment, **environ})

    def report(self, *arguments: str, code: ExitCode = ExitCode.OK) -> Any:
        done = self.warm(*arguments, "--json")
        assert done.code is code, done.err
        return json.loads(done.out)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def baked(machine: Machine) -> Machine:
    machine.plant(BLIP, PUBLISHED, COMMIT)
    machine.plant(EASYOCR, "korean_g2", "easyocr 1.7.2, korean_g2 abc")
    return machine


def artefact(machine: Machine, kind: str = BLIP) -> Path:
    (folder,) = artefacts_root(machine.options).glob(f"{kind}-*")
    return folder


def test_compiled_models_are_all_that_a_run_needs(baked: Machine) -> None:
    report = baked.report("--check")
    assert {row["state"] for row in report["models"]} == {"no manifest"}
    assert [(row["model"], row["state"], row["usable"]) for row in report["compiled"]] == [
        (PUBLISHED, "compiled", True),
        ("korean_g2", "compiled", True),
    ]
    assert all(row["parity"]["passed"] for row in report["compiled"])
    done = baked.warm("--check")
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert "a run needs no network" in done.out


def test_what_is_neither_here_nor_compiled_is_missing(machine: Machine) -> None:
    machine.plant(BLIP, PUBLISHED, COMMIT)
    done = machine.warm("--check")
    assert done.code is ExitCode.MODEL_MISSING
    assert "craft has not been fetched" in done.err
    assert "blip" not in done.err
    assert "not compiled: korean_g2 has not been compiled" in done.out


def test_whoever_asks_for_torch_needs_the_weights(baked: Machine) -> None:
    done = baked.warm("--check", IMGTOOL_BACKEND="torch")
    assert done.code is ExitCode.MODEL_MISSING
    assert "blip-base has not been fetched" in done.err


def test_a_flipped_byte_is_found_with_the_remedy(baked: Machine) -> None:
    flip(artefact(baked) / "small.onnx.data", 100_000)
    # Small files, and those that were written to, are read completely by any look.
    assert not baked.report("--check", code=ExitCode.MODEL_MISSING)["ok"]
    report = baked.report("--full-check", code=ExitCode.MODEL_MISSING)
    (row,) = [row for row in report["compiled"] if not row["usable"]]
    assert (row["model"], row["state"]) == (PUBLISHED, "changed file")
    done = baked.warm("--full-check")
    assert "small.onnx.data was changed" in done.err
    assert "imgtool warm-cache blip-base --compile" in done.err


def test_a_truncated_one_is_found_by_any_look(baked: Machine) -> None:
    path = artefact(baked) / "small.onnx.data"
    path.write_bytes(path.read_bytes()[:1000])
    done = baked.warm("--check")
    assert done.code is ExitCode.MODEL_MISSING
    assert "has 1000 bytes instead of" in done.err


def test_one_from_another_onnxruntime_passes_and_says_so(baked: Machine) -> None:
    change_manifest(artefact(baked), runtime=other_runtime(onnxruntime="0.1"))
    done = baked.warm("--check")
    assert done.code is ExitCode.OK
    assert "other onnxruntime" in done.out
    assert "portable graphs" in done.out


def test_a_run_says_before_it_starts_that_it_will_start_slower(baked: Machine, tmp_path: Path) -> None:
    change_manifest(artefact(baked), runtime=other_runtime(onnxruntime="0.1"))
    image = pictures.flat(tmp_path / "photo.png")
    done = analyze(image, "--tasks", "caption", "--no-cache", **baked.environment)
    assert "was optimised for onnxruntime 0.1" in done.err
    # The planted network is no BLIP: its settings are refused, and what stands in is named.
    assert "settings" in done.err
    assert done.results[0]["tasks"]["caption"]["engine"] == "describe"


def test_pruning_leaves_the_one_of_the_revision_that_is_pinned(machine: Machine) -> None:
    older = machine.plant(BLIP, PUBLISHED, "a" * 40)
    change_manifest(older, model_version="a" * 40, created="2026-01-01T00:00:00+00:00")
    newer = machine.plant(BLIP, PUBLISHED, COMMIT)
    assert "superseded" not in machine.warm("--prune", IMGTOOL_CAPTION_REVISION="a" * 40).out
    assert older.exists()
    assert "removed blip-blip-image-captioning-base, superseded" in machine.warm("--prune").out
    assert (older.exists(), newer.exists()) == (False, True)


@pytest.mark.parametrize(
    "arguments", [("--compile", "--no-compile"), ("--compile", "--check"), ("--compile", "--no-load")]
)
def test_options_that_exclude_each_other_are_refused(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = machine.warm(*arguments)
    assert done.code is ExitCode.USAGE
    assert "--compile" in done.err


# -- with the real exporters


@pytest.mark.slow
def test_synthetic_models_are_compiled_once_and_answer_without_torch(machine: Machine, tmp_path: Path) -> None:
    for module in ("torch", "transformers", "easyocr", "onnx"):
        pytest.importorskip(module)
    synthetic = ("--weights", "synthetic", "--scale", "small")
    steps = machine.report(*synthetic)["steps"]
    compiled = [step for step in steps if step["step"] == "compile"]
    assert [step["result"] for step in compiled] == ["done", "done"]
    assert all("agrees with torch" in step["detail"] for step in compiled)
    assert [step["result"] for step in steps if step["step"] == "load"] == ["done", "done"]
    again = machine.report(*synthetic)["steps"]
    assert {step["result"] for step in again if step["step"] not in ("fetch", "verify")} == {"unchanged"}
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    names = ("torch", "torchvision", "transformers", "easyocr", "scipy", "skimage")
    (hidden / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({names}))\n")
    from tests.conftest import ROOT

    environment = {**machine.environment, "PYTHONPATH": f"{ROOT}:{hidden}"}
    done = analyze(
        pictures.flat(tmp_path / "photo.png"),
        "--tasks",
        "caption,text",
        *synthetic,
        "--strict",
        "--no-cache",
        **environment,
    )
    assert done.code is ExitCode.OK, done.err
    assert {task["backend"] for task in done.results[0]["tasks"].values()} == {"onnx"}
    left_out = machine.report(*synthetic, "--no-compile")["steps"]
    assert "compile" not in {step["step"] for step in left_out}


def test_what_the_bake_found_stands_in_the_list_of_engines(baked: Machine) -> None:
    parity = Parity(passed=True, figures={"numbers_rms_share": 0.045}, detail="judged on 18 drawn pictures")
    fast = FastMode(executor="onnxruntime", method="convolutions in int8", speed_up=3.1, parity=parity, gate=GATE)
    change_manifest(artefact(baked), fast=fast, denormals=1234, methods={"craft": "nine convolutions otherwise"})
    done = imgtool("models", **baked.environment)
    told = " ".join(done.out.split())
    assert "1,234 denormal weights are zero now; craft: nine convolutions otherwise" in told
    assert (
        "fast: convolutions in int8, 3.1 times as fast, numbers rms share 0.045 (judged on 18 drawn pictures)" in told
    )
    rows = json.loads(imgtool("models", "--json", **baked.environment).out)
    assert [row["name"] for row in rows if "1,234" in row["details"]] == ["blip"]
