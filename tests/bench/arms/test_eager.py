"""The eager arm: the program it stands for gives the answers that imgtool gives, and is measured as imgtool is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from imgtool.bench.arms.cached import filled
from imgtool.bench.arms.contenders import Stage, contender
from imgtool.bench.arms.definitions import CACHED, built_in
from imgtool.bench.arms.eager import main as eager_main
from imgtool.bench.data.record import ArmKind, Experiment, Metric
from imgtool.cli.analyze.parser import engine_options
from imgtool.errors import ExitCode
from imgtool.ground.fresh import python_calling
from imgtool.ground.versioned import decode
from tests.command import analyze, imgtool

pytestmark = pytest.mark.slow

SYNTHETIC = ("--weights", "synthetic", "--scale", "small", "--languages", "en")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with small synthetic models."""
    for name in ("torch", "transformers", "easyocr"):
        pytest.importorskip(name)
    cache = tmp_path_factory.mktemp("cache")
    outcome = imgtool("warm-cache", *SYNTHETIC, "--no-load", timeout=300, IMGTOOL_CACHE_DIR=str(cache))
    assert outcome.code is ExitCode.OK, outcome.err
    return cache


@pytest.fixture(scope="module")
def compiled(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cache with the models compiled too."""
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name)
    cache = tmp_path_factory.mktemp("compiled") / "cache"
    shutil.copytree(models, cache, symlinks=True)
    outcome = imgtool("warm-cache", *SYNTHETIC, "--compile", timeout=900, IMGTOOL_CACHE_DIR=str(cache))
    assert outcome.code is ExitCode.OK, outcome.err
    return cache


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    """A little picture with two dark words: large ones take minutes with weights that see text everywhere."""
    picture = Image.new("RGB", (240, 120), (235, 235, 235))
    pen = ImageDraw.Draw(picture)
    for top in (20, 70):
        pen.text((20, top), "OPEN DAILY", fill=(20, 20, 20), font=ImageFont.load_default(28))
    picture.save(tmp_path / "sign.png")
    return tmp_path / "sign.png"


def measured(models: Path, saved: Path, *arguments: str) -> str:
    """Bench with ``arguments``; what it said on stderr."""
    outcome = imgtool(
        *("bench", *arguments, *SYNTHETIC[:4], "--languages", "en", "-n", "2", "--warm-ups", "0", "--steady", "0"),
        *("--save", saved),
        timeout=600,
        IMGTOOL_CACHE_DIR=str(models),
    )
    assert outcome.code is ExitCode.OK, outcome.err
    return outcome.err


def test_it_answers_as_imgtool_does_on_the_same_libraries(models: Path, sign: Path, tmp_path: Path) -> None:
    measured(models, tmp_path / "run.json", "--arms", "eager", str(sign))
    (arm,) = decode((tmp_path / "run.json").read_bytes(), Experiment).arms
    said = json.loads(subprocess.run(arm.command, capture_output=True, check=True).stdout)
    assert said["caption"] == answered(models, sign, "caption", "exact")
    # As its users would write it, which has EasyOCR quantise its recogniser: that is what imgtool calls fast.
    lines = answered(models, sign, "text", "fast")
    assert [line for line, _ in said["text"]] == [line["text"] for line in lines]


def answered(models: Path, sign: Path, task: str, precision: str) -> Any:
    words = (sign, *SYNTHETIC, "--backend", "torch", "--tasks", task, "--precision", precision, "--no-cache")
    (result,) = analyze(*words, timeout=300, IMGTOOL_CACHE_DIR=str(models)).results
    return result["tasks"][task]["value"]


def test_all_strategies_are_measured_alike(models: Path, sign: Path, tmp_path: Path) -> None:
    measured(models, tmp_path / "run.json", "--arms", "eager,lazy,parallel,cached", str(sign))
    found = decode((tmp_path / "run.json").read_bytes(), Experiment)
    assert found.reference == "eager"
    assert found.arm("eager").kind is ArmKind.EAGER
    assert found.settings.weights == "synthetic"
    assert {"blip", "easyocr"} <= found.machine.weights.keys()
    assert all("synthetic" in version for version in found.machine.weights.values())
    for sample in found.samples:
        loads = {phase.name for phase in sample.phases if phase.name.startswith("load ")}
        assert loads == (set() if sample.arm == "cached" else {"load blip", "load easyocr"})
        assert {step.model for step in sample.memory.steps} == {name.removeprefix("load ") for name in loads}
    for metric in (Metric.STARTUP, Metric.FIRST_RESULT, Metric.PEAK_ANON):
        assert max(found.values("cached", metric)) < min(found.values("eager", metric))


def test_what_is_kept_comes_from_compiled_models_where_they_are(compiled: Path, sign: Path, tmp_path: Path) -> None:
    said = measured(compiled, tmp_path / "run.json", "--arms", "compiled,cached", str(sign))
    assert "it has answers of blip (onnx), easyocr (onnx)" in said
    found = decode((tmp_path / "run.json").read_bytes(), Experiment)
    assert max(found.values("cached", Metric.STARTUP)) < min(found.values("compiled", Metric.STARTUP))


def test_the_cache_of_the_arm_cached_holds_answers_of_compiled_models(
    compiled: Path, sign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE_DIR", str(compiled))
    stage = Stage(images=(str(sign),), common=(*SYNTHETIC, "--tasks", "caption,text"), parse=engine_options)
    cached = contender(built_in([CACHED])[0], stage)
    ready = filled(cached, stage.parse(stage.common), tmp_path / "scratch", 300, print)
    said = json.loads(subprocess.run(ready.arm.command, capture_output=True, check=True).stdout)
    kept = {task: (each["engine"], each["backend"], each["from_cache"]) for task, each in said["tasks"].items()}
    assert kept == {"caption": ("blip", "onnx", True), "text": ("easyocr", "onnx", True)}


def test_it_needs_an_image() -> None:
    done = subprocess.run(python_calling(eager_main), capture_output=True, check=False)
    assert done.returncode == ExitCode.USAGE
