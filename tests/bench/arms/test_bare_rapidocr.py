"""The loop that users would write reads what RapidOCR reads, and says when."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from imgtool.bench.arms.contenders import Stage, contender
from imgtool.bench.arms.definitions import BUILT_IN, built_in
from imgtool.bench.measure.phases import course, read_trace
from imgtool.options import EngineOptions

EXAMPLES = Path(__file__).parents[3] / "examples" / "images"


def test_it_reads_and_says_when(tmp_path: Path) -> None:
    (arm,) = built_in(["bare-rapidocr"])
    page = str(EXAMPLES / "street-sign.jpg")
    stage = Stage(images=(page, page), common=(), parse=lambda words: EngineOptions())
    command = contender(arm, stage).arm.command
    environment = {**os.environ, "IMGTOOL_TRACE": str(tmp_path / "trace")}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == second
    assert first["text"]
    seen = course(read_trace(tmp_path / "trace"), 0)
    assert seen.first_result is not None
    assert seen.steady is not None


def test_it_is_no_arm_that_runs_unasked() -> None:
    assert "bare-rapidocr" not in [arm.name for arm in BUILT_IN]
    with pytest.raises(Exception, match="no arm"):
        built_in(["bare"])
