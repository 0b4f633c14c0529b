"""What a run of ``warm-cache`` says of its steps, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgtool.cli.warm import run as warm_run
from imgtool.cli.warm.run import WarmRun
from imgtool.cli.warm.steps import steps_object
from imgtool.config import resolve
from imgtool.errors import ExitCode
from imgtool.warming.bake import Step, StepResult, WarmStepBegan, WarmStepEnded
from imgtool.weights.store import store_for
from tests.cli.warm.test_request import asking

FETCHED = WarmStepEnded("blip-base", Step.FETCH, StepResult.DONE, seconds=1.5, size_bytes=2_000_000)
VERIFIED = WarmStepEnded("blip-base", Step.VERIFY, StepResult.DONE, seconds=0.01)
KEPT = WarmStepEnded("blip-base", Step.FETCH, StepResult.UNCHANGED)
NOT_COMPILED = WarmStepEnded("blip", Step.COMPILE, StepResult.SKIPPED, "torch is not installed", remedy="install it")
NOT_LOADED = WarmStepEnded("blip", Step.LOAD, StepResult.SKIPPED, "nothing can run it", remedy="install torch")
FAILED = WarmStepEnded(
    "craft", Step.FETCH, StepResult.FAILED, "the hub is gone", remedy="try later", exit_code=ExitCode.MODEL_MISSING
)


def baking(
    steps: list[WarmStepEnded],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    quiet: bool = False,
    json: bool = False,
) -> ExitCode:
    """The exit code of a run whose bake takes ``steps``."""
    told = [event for step in steps for event in (WarmStepBegan(step.model, step.step), step)]
    monkeypatch.setattr(warm_run, "bake", lambda *_: iter(told))
    resolved = resolve({"quiet": quiet, "cache_dir": str(tmp_path)}, folder=tmp_path, user_file=tmp_path / "none")
    return WarmRun(asking(json=json), resolved, store_for(resolved.engine)).run([])


def test_steps_are_shown_under_their_model_and_causes_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [FETCHED, VERIFIED, NOT_COMPILED, NOT_LOADED, FAILED]
    assert baking(steps, tmp_path, monkeypatch) is ExitCode.MODEL_MISSING
    out, err = capsys.readouterr()
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["blip-base"],
        ["fetch", "done", "1.50", "s", "2.0", "MB"],
        ["verify", "done", "0.01", "s"],
    ]
    assert "the hub is gone" not in out
    assert err.splitlines() == [
        "error: craft: fetch: the hub is gone",
        "  try: try later",
        "note: blip was not loaded: nothing can run it; install torch",
    ]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "nothing to do: the engines that are configured need no model to be fetched"),
        ([KEPT, VERIFIED], "nothing to do: blip-base ready"),
    ],
)
def test_nothing_to_do(
    steps: list[WarmStepEnded],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert baking(steps, tmp_path, monkeypatch) is ExitCode.OK
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert baking(steps, tmp_path, monkeypatch, quiet=True) is ExitCode.OK
    assert capsys.readouterr() == ("", "")


def test_machines_are_told_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    baking([FETCHED, FAILED], tmp_path, monkeypatch, json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == steps_object([FETCHED, FAILED])
    assert (report["schema_version"], report["ok"], report["exit_code"], report["analyzed"]) == (1, False, 5, None)
