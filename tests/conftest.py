"""What every test gets: a cache of its own, nobody's configuration, and the tests' own modules for workers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.compiled import Bench

pytest_plugins = ["tests.model_files", "tests.redis_servers"]

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("IMGTOOL_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("IMGTOOL_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    # Workers and subprocesses find the planted analyzers by their module name.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A store with a small compiled model in it, for a module's tests to copy."""
    from tests.compiled import Bench

    bench = Bench.at(tmp_path_factory.mktemp("baked"))
    bench.compile()
    return bench


@pytest.fixture
def folder(baked: Bench, tmp_path: Path) -> Path:
    """A copy of that model, to be spoiled."""
    return Path(shutil.copytree(baked.folder, tmp_path / "model"))
