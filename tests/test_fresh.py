"""Processes of imgtool's own import what is installed, whatever lies in the folder they are started in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.fresh import python_calling

SHADOWS = ("PIL", "json", "msgspec", "numpy", "onnx", "onnxruntime", "torch", "imgtool")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder of modules that leave a mark when they are imported."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit(99)\n")
    return tmp_path


@pytest.mark.parametrize(
    "function",
    [
        "imgtool.__main__:main",
        "imgtool.bench.measure.child:answer",
        "imgtool.bench.arms.eager:main",
        "imgtool.compiling.job:main",
        "imgtool.runtime.worker.main:main",
    ],
)
def test_a_module_in_the_current_folder_is_not_imported(trap: Path, function: str) -> None:
    given = ("imgtool.bench.arms.drawn_images:draw",) if function.endswith(":answer") else ()
    command = python_calling(function, *given, words=["--help"])
    done = subprocess.run(command, cwd=trap, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert not (trap / "imported").exists(), done.stderr.decode()
    assert done.returncode != 99


def test_what_a_function_is_called_with() -> None:
    command = python_calling("builtins:print", "a 'b'", 3, words=["x"], sep="-")
    assert command[0] == sys.executable
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "a 'b'-3\n"
