"""The GitHub Actions workflow in the documentation: its commands are commands of imgtool, and they gate."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.gate.budgets import Budgets
from imgtool.bench.gate.checks import judge
from imgtool.bench.gate.judgement import Judgement, confirm, unconfirmed
from imgtool.bench.report.content import Report
from imgtool.bench.report.markdown import markdown_report
from imgtool.errors import ExitCode
from tests.bench.judged import Figures, around, experiment
from tests.command import imgtool
from tests.conftest import ROOT

WORKFLOW = ROOT / "docs" / "github-actions-bench.yml"
INSTALLED = Path(sys.executable).with_name("imgtool")


def steps() -> list[dict[str, Any]]:
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def scripts() -> list[str]:
    return [step["run"] for step in steps() if "run" in step]


def bench_commands() -> list[list[str]]:
    """The words of every ``imgtool bench`` of the workflow, from the experiment's name on."""
    lines = re.sub(r"\\\n\s*", " ", "\n".join(scripts())).splitlines()
    found = [re.search(r"\bimgtool bench (.*)", line) for line in lines]
    return [shlex.split(match[1].split(" || ")[0]) for match in found if match]


def help_of(command: str) -> str:
    return imgtool(*command.split(), "--help", COLUMNS="300").out


def test_every_script_is_valid_shell() -> None:
    for script in scripts():
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_commands_are_there() -> None:
    experiments = [words[0] if not words[0].startswith("-") else "startup" for words in bench_commands()]
    assert experiments == ["startup", "soak", "soak"]


@pytest.mark.parametrize("words", bench_commands(), ids=lambda words: " ".join(words)[:40])
def test_every_option_of_theirs_exists(words: list[str]) -> None:
    experiment = "startup" if words[0].startswith("-") else words[0]
    known = set(re.findall(r"--[a-z][a-z0-9-]*", help_of(f"bench {experiment}")))
    used = {word.split("=")[0] for word in words if word.startswith("--") and " " not in word}
    assert used
    assert used <= known
    inner = {option for word in words if " " in word for option in re.findall(r"--[a-z][a-z-]*", word)}
    assert inner <= set(re.findall(r"--[a-z][a-z0-9-]*", help_of("analyze --help-all")))


def test_its_images_are_in_the_repository() -> None:
    job = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["startup"]
    for path in job["env"]["IMAGES"].split():
        assert (ROOT / path.removeprefix("head/")).is_file()


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A folder as the workflow makes it: both versions installed, the head checked out."""
    work = tmp_path / "runner"
    for version in ("base", "head"):
        (work / f"venv-{version}" / "bin").mkdir(parents=True)
        (work / f"venv-{version}" / "bin" / "imgtool").symlink_to(INSTALLED)
    (work / "head").symlink_to(ROOT)
    return work


def gate(runner: Path) -> subprocess.CompletedProcess[str]:
    """Run the gate's own script, with few runs, a wide budget and a task that needs no model."""
    (script,) = (script for script in scripts() if "--fail-slower" in script)
    for former, later in (
        ("--runs 15", "--runs 5"),
        ("--tasks caption,text", "--tasks caption"),
        ("--fail-slower 10%", "--fail-slower 100%"),
        ("--fail-memory 10%", "--fail-memory 100%"),
    ):
        assert former in script
        script = script.replace(former, later)
    given = {
        "GITHUB_STEP_SUMMARY": str(runner / "summary.md"),
        "IMAGES": str(ROOT / "examples" / "images" / "logo.png"),
        "IMGTOOL_CAPTION_ENGINE": "describe",
    }
    words = ["bash", "-e", "-c", script]
    return subprocess.run(words, cwd=runner, env={**os.environ, **given}, capture_output=True, text=True, check=False)


def judged(base: Figures, head: Figures, **budgets: float) -> tuple[Experiment, Judgement]:
    """Two arms with these figures, and what the gate says of them."""
    made = experiment({"base": base, "head": head})
    return made, judge(made, "base", Budgets(**budgets))


def wall(*, spread: float = 0.02, runs: int = 10, seed: int = 0) -> Figures:
    return {Metric.WALL: around(1, spread=spread, runs=runs, seed=seed)}


NOISE = judged(wall(spread=0.3), wall(spread=0.3, seed=1), fail_slower=0.1)
ONCE_SLOWER = (NOISE[0], confirm(judged(wall(), {Metric.WALL: around(2)}, fail_slower=0.1)[1], NOISE[1]))
NO_MEMORY = judged(wall(spread=0.3), wall(spread=0.3, seed=1), fail_slower=0.1, fail_memory=0.1)
TOO_FEW = judged(wall(runs=2), wall(runs=2), fail_slower=0.1)
NO_BASE = judged({}, wall(), fail_slower=0.1)
NOT_CONFIRMED = (NOISE[0], unconfirmed(judged(wall(), {Metric.WALL: around(2)}, fail_slower=0.1)[1]))


def after(runner: Path, code: int, found: tuple[Experiment, Judgement] | None) -> subprocess.CompletedProcess[str]:
    """The gate's script where its bench ends with ``code``, and has written the report on ``found``."""
    if found is not None:
        (runner / "report").write_text(markdown_report(Report(*found)), encoding="utf-8")
    bench = runner / "venv-head" / "bin" / "imgtool"
    bench.unlink()
    bench.write_text(f"#!/bin/sh\n[ -f report ] && cp report bench.md\nexit {code}\n")
    bench.chmod(0o755)
    return gate(runner)


@pytest.mark.parametrize("found", [NOISE, ONCE_SLOWER], ids=["noise", "slower once"])
def test_noise_alone_is_a_warning_that_says_that_nothing_was_shown(
    runner: Path, found: tuple[Experiment, Judgement]
) -> None:
    assert found[1].exit_code is ExitCode.INCONCLUSIVE
    done = after(runner, 8, found)
    assert done.returncode == ExitCode.OK
    assert "::warning" in done.stdout
    assert "not a pass" in done.stdout


@pytest.mark.parametrize(
    "found",
    [NO_MEMORY, TOO_FEW, NO_BASE, NOT_CONFIRMED, None],
    ids=["no memory", "too few runs", "a base that fails", "a failure that was not confirmed", "no report"],
)
def test_a_lack_of_figures_stays_inconclusive(runner: Path, found: tuple[Experiment, Judgement] | None) -> None:
    assert found is None or found[1].exit_code is ExitCode.INCONCLUSIVE
    done = after(runner, 8, found)
    assert done.returncode == ExitCode.INCONCLUSIVE
    assert "::error" in done.stdout


@pytest.mark.parametrize("code", [0, 2, 7])
def test_every_other_exit_code_is_the_steps_own(runner: Path, code: int) -> None:
    done = after(runner, code, NOISE)
    assert (done.returncode, done.stdout) == (code, "")


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED.is_file(), reason="imgtool is not installed as a script here")
class TestTheGateItself:
    def test_passes_two_equal_versions(self, runner: Path) -> None:
        done = gate(runner)
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        assert "| head |" in (runner / "summary.md").read_text()
        assert (runner / "bench.html").is_file()

    def test_fails_a_head_that_starts_four_seconds_later(self, runner: Path) -> None:
        head = runner / "venv-head" / "bin" / "imgtool"
        head.unlink()
        # The gate itself is head's command too: that one is not held up.
        delay = f'#!/bin/sh\ncase "$1" in analyze) sleep 4;; esac\nexec {INSTALLED} "$@"\n'
        head.write_text(delay)
        head.chmod(0o755)
        done = gate(runner)
        assert done.returncode == ExitCode.REGRESSION, done.stdout + done.stderr
        assert "❌" in (runner / "summary.md").read_text()
