"""The load test runs, and says what the service does with a crash and with clients that leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_a_short_run(tmp_path: Path) -> None:
    arguments = ["--rounds", "1", "--seconds", "1", "--json", tmp_path / "out.json"]
    for mix in ("hash", "crash", "leave", "events"):
        arguments += ["--mix", mix]
    subprocess.run([sys.executable, ROOT / "scripts" / "load_test.py", *arguments], check=True, timeout=300)
    found = json.loads((tmp_path / "out.json").read_text())["medians"]
    assert found["hash"]["serve"]["error_share"] == 0
    # The crash costs one task of one image, which had no other.
    assert (found["crash"]["serve"]["answered"], found["crash"]["serve"]["failed"]) == (200, 1)
    assert found["leave"]["serve"]["computed"] < 60
    assert found["events"]["serve"]["right_share"] == 1
