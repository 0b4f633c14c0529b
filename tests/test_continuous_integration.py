"""What runs before a commit and for a pull request: the files are read as their programs read them."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


WORKFLOW = read(".github/workflows/ci.yml")


def scripts() -> list[str]:
    return [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


def test_pushes_and_pull_requests_are_tested() -> None:
    # YAML 1.1 reads the key "on" as a truth value.
    assert set(WORKFLOW[True]) == {"push", "pull_request"}
    assert "bash .ci/run" in scripts()
    assert "make test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_script_is_valid_shell_and_every_target_exists() -> None:
    for script in scripts():
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        for target in re.findall(r"^make ([\w-]+)", script, flags=re.M):
            assert re.search(rf"^{target}:", MAKEFILE, flags=re.M)


def test_every_supported_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [found[1] for each in project["classifiers"] if (found := re.search(r":: Python :: (3\.\d+)$", each))]
    assert WORKFLOW["jobs"]["pythons"]["strategy"]["matrix"]["python"] == named
    assert f">={named[0]}" == project["requires-python"]
    assert " ".join(named) in (ROOT / "scripts" / "test-pythons.sh").read_text(encoding="utf-8")


def test_the_startup_gate_is_the_documented_one() -> None:
    documented = read("docs/github-actions-bench.yml")["jobs"]["startup"]
    ours = WORKFLOW["jobs"]["startup"]
    assert ours["if"] == "github.event_name == 'pull_request'"
    assert {**ours, "if": None} == {**documented, "if": None}


def test_hooks_before_a_commit_are_those_of_make_test() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    hooks = {hook["id"]: shlex.split(hook["entry"]) for hook in repository["hooks"]}
    assert set(hooks) == {"ruff", "ruff-format", "mypy"}
    for program, *words in hooks.values():
        name = Path(program).name
        assert program == f".venv/bin/{name}"
        command = " ".join([name, *(word for word in words if not word.startswith("--"))])
        assert f"$(TEST_ENV)/bin/{command}" in MAKEFILE


def test_the_forms_of_issues_are_whole() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= set(form)
            identifiers = [field["id"] for field in form["body"]]
            assert len(identifiers) == len(set(identifiers))


def test_help_lists_every_target_that_is_for_people() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "test-full", "test-pythons", "lock", "performance", "clean"):
        assert f"  make {target} " in told
