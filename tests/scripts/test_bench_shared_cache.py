"""The script that measures the shared cache: it runs, and its gate is one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from imgtool.errors import ExitCode
from tests.conftest import ROOT


@pytest.mark.slow
def test_hits_two_engines_and_outages_are_measured() -> None:
    pytest.importorskip("redis")
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    command = [sys.executable, ROOT / "scripts" / "bench_shared_cache.py", "--images", "4", "--rounds", "1", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # So few images say nothing about an outage.
    assert done.returncode in (ExitCode.OK, ExitCode.REGRESSION), done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("hit: local ")
    assert lines[1].endswith("of the second 100.0%")
    assert [line.split()[1] for line in lines[2:]] == ["without", "there", "killed", "hung"]
