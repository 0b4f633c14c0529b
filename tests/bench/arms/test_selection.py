"""Which arms are chosen: those that were typed, those that can run, and when synthetic weights are made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imgtool.bench.arms.commands import CommandRequest
from imgtool.bench.arms.contenders import Stage
from imgtool.bench.arms.selection import ArmRequest, images_for, select
from imgtool.cli.analyze.parser import engine_options
from imgtool.errors import ModelMissing, UsageProblem
from tests.pictures import flat

STAGE = Stage(("a.png",), ("--tasks", "caption"), engine_options)
PROGRAM = f"{sys.executable} -c pass"


def no_synthetic(stage: Stage) -> None:
    raise AssertionError("no synthetic weights were asked for")


@pytest.fixture(autouse=True)
def _no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "EASYOCR_MODULE_PATH"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ArmRequest(names=("eager", "eager")), "two arms have the name 'eager'"),
        (ArmRequest(options=("x=",), commands=CommandRequest((f"x={PROGRAM}",))), "two arms have the name 'x'"),
        (ArmRequest(commands=CommandRequest((f"lazy={PROGRAM}",))), "'lazy' is the name of a built-in arm"),
        (ArmRequest(names=("fastest",)), "there is no arm 'fastest'"),
        (ArmRequest(options=("--threads 2",)), "NAME=WORDS"),
    ],
)
def test_arms_that_cannot_be_read(request_: ArmRequest, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        request_.arms()


def test_programs_alone_need_no_models() -> None:
    found = select(ArmRequest(commands=CommandRequest((f"a={PROGRAM}", f"b={PROGRAM}"))), STAGE, no_synthetic)
    assert [one.arm.name for one in found.contenders] == ["a", "b"]
    assert (found.missing, found.weights) == ({}, "")


def test_an_arm_of_options_has_the_models_of_its_plan() -> None:
    found = select(ArmRequest(options=("mine=--caption-engine describe",)), STAGE, no_synthetic)
    (one,) = found.contenders
    assert [name for name, _ in one.weights] == ["describe"]
    assert one.arm.command[-2:] == ("--caption-engine", "describe")
    assert "--no-cache" in one.arm.command


def test_a_named_arm_without_its_model_is_refused_where_real_weights_are_asked_for() -> None:
    with pytest.raises(ModelMissing, match="has not been compiled"):
        select(ArmRequest(names=("compiled",), weights="real"), STAGE, no_synthetic)


def test_synthetic_weights_are_made_where_no_real_ones_are_found() -> None:
    made: list[tuple[str, ...]] = []
    with pytest.raises(ModelMissing, match="no arm can run here"):
        select(ArmRequest(), STAGE, lambda stage: made.append(stage.common))
    assert made == [("--weights", "synthetic", "--tasks", "caption")]


def test_images_are_those_named_or_drawn(tmp_path: Path) -> None:
    image = flat(tmp_path / "x.png")
    assert images_for([str(image)] * 5, tmp_path, 1) == (str(image), str(image))
    with pytest.raises(UsageProblem, match="is not a file"):
        images_for([str(tmp_path)], tmp_path, 1)
    assert len(images_for([], tmp_path / "drawn", 1)) == 2
