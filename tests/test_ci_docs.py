"""docs/ci.md: every command in it is run, and the jobs gate as the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from imgtool.bench.data.saved import load_experiment
from imgtool.errors import ExitCode
from tests.command import imgtool
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, flags=re.M)
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.M | re.S)]
PASSES, REGRESSED = "print(sum(range(100_000)))\n", "import time; time.sleep(0.3); print(sum(range(100_000)))\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "imgtool"
    outcome = imgtool(*words[1:], cwd=tmp_path)
    # The machine that tests may be too busy to tell; nothing that is measured here is slower.
    noisy = "--fail-slower" in words and outcome.code is ExitCode.INCONCLUSIVE
    assert outcome.code is ExitCode.OK or noisy, outcome.err


def test_every_option_of_the_page_exists() -> None:
    known = set()
    for command in ("bench startup", "bench report"):
        known |= set(re.findall(r"--?[a-zA-Z][a-z0-9-]*", imgtool(*command.split(), "--help", COLUMNS="300").out))

    theirs = {"-w", "-r", "-N", "-i", "--quiet", "--export-json", "--export-markdown"}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - theirs

    assert used <= known, used - known


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH with imgtool, and a pip that has nothing to install."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, script in (
        ("imgtool", f'exec {shlex.quote(sys.executable)} -m imgtool "$@"'),
        ("python3", f'exec {shlex.quote(sys.executable)} "$@"'),
        ("pip", "exit 0"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def run(script: str, folder: Path, tools: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **environ}
    words = ["bash", "-e", "-c", script]
    return subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("head, code", [(PASSES, (0,)), (REGRESSED, (7,))], ids=["equal", "slower"])
def test_the_step_for_github_gates(head: str, code: tuple[int, ...], tmp_path: Path, tools: Path) -> None:
    (step,) = next(block for block in BLOCKS if isinstance(block, list))
    for version, text in (("base", PASSES), ("head", head)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "app.py").write_text(text)
    done = run(step["run"], tmp_path, tools, GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    assert done.returncode in code, done.stdout + done.stderr
    assert "### " in (tmp_path / "summary.md").read_text()
    suite = ElementTree.parse(tmp_path / "bench.xml").getroot()
    assert (suite.attrib["failures"] != "0") is (done.returncode == ExitCode.REGRESSION)
    assert len(load_experiment(tmp_path / "bench.json").arms) == 2


def git(folder: Path, *words: str) -> str:
    given = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, env=given, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def merge_request(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A checkout of a slower head, and the commit that it is to be merged into."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "app.py").write_text(PASSES)
    git(folder, "add", "app.py")
    git(folder, "commit", "--quiet", "-m", "base")
    base = git(folder, "rev-parse", "HEAD")
    (folder / "app.py").write_text(REGRESSED)
    git(folder, "commit", "--quiet", "-am", "head")
    yield folder, base


@pytest.mark.slow
def test_the_job_for_gitlab_gates(merge_request: tuple[Path, str], tools: Path) -> None:
    folder, base = merge_request
    job = next(block for block in BLOCKS if isinstance(block, dict))["bench"]
    done = run("\n".join(job["script"]), folder, tools, CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert done.returncode == ExitCode.REGRESSION, done.stdout + done.stderr
    written = [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]
    assert all((folder / name).is_file() for name in written)
    assert job["allow_failure"]["exit_codes"] == [ExitCode.INCONCLUSIVE]


def test_the_exit_codes_are_those_of_the_code() -> None:
    table = PAGE.partition("| exit code |")[2].partition("\n\n")[0]
    named = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", table, flags=re.M) for number in row.split(",")}
    assert named == {0, 2, 3, 4, 7, 8, 130}
    assert named <= {int(code) for code in ExitCode}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", PAGE))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
