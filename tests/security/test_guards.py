"""Each guard of docs/security.md is where it is said to be, and its test fails when it is taken away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.security.guards import GUARDS, Guard

PAGE = ROOT / "docs" / "security.md"


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_in_its_place_and_has_its_test(guard: Guard) -> None:
    assert (ROOT / guard.file).read_text().count(guard.text) == 1
    path, _, name = guard.test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()
    page = PAGE.read_text()
    assert guard.name in page and name in page


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, to be spoiled."""
    place = tmp_path_factory.mktemp("guards") / "copy"
    place.mkdir()
    for name in ("imgtool", "tests", "scripts"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "examples", "docs", "README.md", "requirements"):
        (place / name).symlink_to(ROOT / name)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_its_guard_a_test_fails(guard: Guard, copy: Path) -> None:
    file = copy / guard.file
    whole = file.read_text()
    file.write_text(whole.replace(guard.text, guard.without))
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", guard.test]
        environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, check=False)
    finally:
        file.write_text(whole)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert " failed" in done.stdout
