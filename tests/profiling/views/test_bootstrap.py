"""What runs first in every process of some profiled runs."""

from __future__ import annotations

import os
import pstats
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.profiling.views import cprofile, imports, lines
from imgtool.profiling.views.bootstrap import sitecustomize


def run(code: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **imports.bootstrap_path(), **environ},
    )
    return done.stdout


def test_the_names_of_the_settings_agree() -> None:
    assert sitecustomize.IMPORTS_FOLDER == imports.FOLDER_VARIABLE
    assert (sitecustomize.LINES, sitecustomize.LINES_FOLDER) == (lines.VARIABLE, lines.FOLDER_VARIABLE)
    assert sitecustomize.CALLS == cprofile.VARIABLE


def test_without_a_setting_nothing_happens() -> None:
    assert run("print('fine')") == "fine\n"


def test_calls_of_this_process_are_profiled_and_not_those_of_its_children(tmp_path: Path) -> None:
    output = tmp_path / "cpu.pstats"
    child = f"import os; print({cprofile.VARIABLE!r} in os.environ)"
    code = (
        "import subprocess, sys\ndef planted():\n    return sum(range(1000))\nplanted()\n"
        f"subprocess.run([sys.executable, '-c', {child!r}])\nsys.exit(0)"
    )
    assert run(code, **{cprofile.VARIABLE: str(output)}) == "False\n"
    names = {name for _, _, name in pstats.Stats(str(output)).stats}  # type: ignore[attr-defined]
    assert "planted" in names


def test_each_import_is_written_with_the_module_that_asked(tmp_path: Path) -> None:
    run("import imgtool.quantities", **{imports.FOLDER_VARIABLE: str(tmp_path), "PYTHONPROFILEIMPORTTIME": "1"})
    (file,) = tmp_path.glob("*.imports")
    tree = imports.read_imports(file.read_text().splitlines(), "parent")
    causes = {each.name: each.cause for each in tree.imports}
    assert "imgtool.quantities" in causes
    assert any(cause.startswith("imgtool:") for cause in causes.values())


@pytest.mark.parametrize(("target", "said"), [("planted:Kind.method", "Mem usage"), ("planted:nothing", "error: ")])
def test_a_function_is_measured_line_by_line(
    tmp_path: Path, target: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("memory_profiler")
    # Coverage and memory_profiler both need the interpreter's one trace function.
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    (tmp_path / "planted.py").write_text("class Kind:\n    def method(self):\n        return [1] * 1000\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import planted; print(len(planted.Kind().method()))"
    settings = {lines.VARIABLE: target, lines.FOLDER_VARIABLE: str(tmp_path)}
    assert run(code, **settings) == "1000\n"
    (file,) = tmp_path.glob("*.lines")
    assert said in file.read_text()
