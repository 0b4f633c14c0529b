"""Processes of imgtool's own import what is installed, whatever lies in the folder they are started in."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from imgtool.bench.arms import eager
from imgtool.bench.arms.drawn_images import draw
from imgtool.bench.measure.child import answer
from imgtool.compiling import child
from imgtool.ground.fresh import imgtool_command, python_calling
from imgtool.runtime.start_process import run_worker
from tests.conftest import ROOT

SHADOWS = ("PIL", "json", "msgspec", "numpy", "onnx", "onnxruntime", "torch", "imgtool")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder of modules that leave a mark when they are imported."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit(99)\n")
    return tmp_path


@pytest.mark.parametrize("functions", [(answer, draw), (eager.main,), (child.main,), (run_worker,), ()])
def test_a_module_in_the_current_folder_is_not_imported(trap: Path, functions: tuple[Callable[..., None], ...]) -> None:
    words = ["--help"]
    command = python_calling(*functions, words=words) if functions else imgtool_command(words)
    done = subprocess.run(command, cwd=trap, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert not (trap / "imported").exists(), done.stderr.decode()
    assert done.returncode != 99


def show(*given: object, **named: object) -> None:
    print(given, named, sys.argv[1:])


def called(number: int, function: Callable[[int], None], word: str = "") -> None:
    function(number)
    print(word)


def test_what_a_function_is_called_with() -> None:
    command = python_calling(show, "a 'b'", 3, words=["x"], sep="-")
    assert command[0] == sys.executable
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == """("a 'b'", 3) {'sep': '-'} ['x']\n"""


def test_a_function_may_be_called_with_another() -> None:
    done = subprocess.run(python_calling(called, 3, show, word="x"), capture_output=True, text=True, check=True)
    assert done.stdout == "(3,) {} []\nx\n"


def test_no_package_stands_in_for_a_module_of_the_standard_library(tmp_path: Path) -> None:
    """Installed, imgtool lies among packages that may have any name; in this process they come last."""
    venv.create(tmp_path, with_pip=False)
    (packages,) = tmp_path.glob("lib/python*/site-packages")
    shutil.copytree(ROOT / "imgtool", packages / "imgtool", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "random.py").write_text("raise SystemExit(99)\n")
    code = (
        "import tempfile; from imgtool.ground.fresh import python_calling; "
        "import subprocess, sys; sys.exit(subprocess.run(python_calling(tempfile.gettempdir)).returncode)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([tmp_path / "bin" / "python", "-P", "-c", code], cwd=tmp_path, env=environ, check=False)
    assert done.returncode == 0


def show_path() -> None:
    print(sys.path)


def test_a_path_that_is_safe_already_keeps_its_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first entry is not the current folder, and must not be taken for it."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}{os.environ['PYTHONPATH']}")
    done = subprocess.run(python_calling(show_path), capture_output=True, text=True, check=True)
    assert "/nowhere" in ast.literal_eval(done.stdout)
