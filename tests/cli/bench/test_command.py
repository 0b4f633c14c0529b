"""``imgtool bench`` as it is used: programs that are known to be slow, to fail or to hang, and what is said of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from imgtool.bench.data.record import Experiment, Metric
from imgtool.cli.bench.command import app as bench_app
from imgtool.cli.main import app
from imgtool.errors import ExitCode
from imgtool.ground.versioned import decode, encode
from tests.command import Outcome, heed_signals, imgtool

QUICK = ("--command", "quick=sleep 0.02")
SLOW = ("--command", "slow=sleep 0.1")
BROKEN = ("--command", "broken=sh -c 'echo all is lost >&2; exit 9'")


def test_without_a_command_it_is_startup() -> None:
    runner = CliRunner()
    commands = runner.invoke(bench_app, ["--help"], env={"COLUMNS": "100"}).output
    assert all(f" {name} " in commands for name in ("startup", "report", "throughput", "soak"))
    assert runner.invoke(bench_app, ["--runs", "1", *QUICK]).exit_code == ExitCode.USAGE


def bench(*arguments: str | Path, runs: int = 5, **environ: str) -> Outcome:
    return imgtool("bench", *arguments, "-n", str(runs), "--warm-ups", "0", **environ)


def measured(path: Path, *arguments: str | Path, runs: int = 5) -> Experiment:
    outcome = bench(*arguments, "--save", path, runs=runs)
    assert outcome.code is ExitCode.OK, outcome.err
    return decode(path.read_bytes(), Experiment)


# -- what is measured


def test_programs_are_run_interleaved_as_often_as_asked_and_compared(tmp_path: Path) -> None:
    outcome = imgtool("bench", *QUICK, *SLOW, "-n", "6", "--save", tmp_path / "run.json")
    assert outcome.code is ExitCode.OK, outcome.err
    assert "quick" in outcome.out
    assert "slow" in outcome.out
    found = decode((tmp_path / "run.json").read_bytes(), Experiment)
    assert [(s.arm, s.run) for s in found.samples[:6]] == [
        ("quick", -1), ("slow", -1), ("quick", 0), ("slow", 0), ("slow", 1), ("quick", 1),
    ]  # fmt: skip
    assert [s.order for s in found.samples] == list(range(14))
    assert len(found.values("slow", Metric.WALL)) == 6
    assert min(found.values("slow", Metric.WALL)) >= 0.1
    assert found.reference == "quick"
    assert found.settings.runs == 6
    assert found.machine.cores == os.cpu_count()
    assert all(s.startup is None for s in found.samples)
    assert any(s.memory is not None for s in found.samples if s.arm == "slow"), "the quick one may be over too soon"


def test_a_run_of_imgtool_is_seen_inside(tmp_path: Path) -> None:
    found = measured(tmp_path / "run.json", "--arm", "plain=-t caption --caption-engine describe", runs=2)
    (arm,) = found.arms
    assert "--no-cache" in arm.command
    assert found.machine.weights.keys() == {"describe"}
    for sample in found.samples:
        assert sample.startup is not None
        assert sample.first_result is not None
        assert sample.steady is not None
        assert 0 < sample.startup < sample.first_result < sample.wall
        assert {"interpreter", "imports", "load describe", "caption"} <= {phase.name for phase in sample.phases}
        assert sample.memory is not None
        assert sample.memory.tree_peak_rss >= sample.memory.peak_rss > 20_000_000
        assert [step.model for step in sample.memory.steps] == ["describe"]


def test_json_alone_is_on_stdout_where_it_is_asked_for() -> None:
    outcome = bench(*QUICK, "--json", "-", runs=2)
    assert json.loads(outcome.out)["arms"][0]["name"] == "quick"


def test_the_reports_are_written(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.json", "a.md", "a.html")]
    flags = [word for flag, path in zip(("json", "markdown", "html"), files, strict=True)
             for word in (f"--{flag}", str(path))]  # fmt: skip
    outcome = bench(*QUICK, *flags, "--history", tmp_path / "runs", runs=2)
    assert outcome.code is ExitCode.OK, outcome.err
    assert all("quick" in path.read_text() for path in files)
    assert len(list((tmp_path / "runs").iterdir())) >= 1


def test_an_arm_against_itself_says_what_this_machine_can_tell() -> None:
    outcome = bench(*QUICK, "--self-test", runs=6)
    assert outcome.code is ExitCode.OK, outcome.err
    assert "noise floor" in outcome.out
    assert "would be detected" in outcome.out


def test_options_come_from_a_configuration_file_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.imgtool.bench]\nruns = 5\nwarm-ups = 0\nmax-wall = '20ms'\n")
    outcome = imgtool("bench", *SLOW, "--no-confirm", "--json", "run.json", cwd=tmp_path)
    assert outcome.code is ExitCode.REGRESSION, outcome.err
    assert len(json.loads((tmp_path / "run.json").read_text())["samples"]) == 5


# -- the gate


def test_a_planted_slowing_fails_after_it_was_confirmed() -> None:
    outcome = bench(*QUICK, *SLOW, "--fail-slower", "50%")
    assert outcome.code is ExitCode.REGRESSION
    assert "measured once more" in outcome.err


def test_a_reference_that_alone_breaks_its_limit_is_measured_again(tmp_path: Path) -> None:
    """Beside a relative budget, which a second experiment on that arm alone could not be held to."""
    budgets = ("--fail-slower", "50%", "--max-wall", "50ms")
    outcome = bench(*SLOW, *QUICK, *budgets, "--save", tmp_path / "run.json")
    assert outcome.code is ExitCode.REGRESSION, outcome.err
    assert "slow: over budget; measured once more" in outcome.err
    assert "measured once more" in " ".join(outcome.out.split())
    assert (tmp_path / "run.json").exists()


def test_an_arm_that_the_baseline_lacks_is_held_to_its_limit_twice(tmp_path: Path) -> None:
    measured(tmp_path / "base.json", *QUICK)
    outcome = bench(*SLOW, *QUICK, "--baseline", tmp_path / "base.json", "--max-wall", "50ms")
    assert outcome.code is ExitCode.REGRESSION, outcome.err
    assert "measured once more" in " ".join(outcome.out.split())


def test_what_is_as_fast_as_its_baseline_passes(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    measured(path, *SLOW)
    assert bench(*SLOW, "--baseline", path, "--fail-slower", "50%", "--fail-memory", "50%").code is ExitCode.OK


def test_too_few_runs_for_a_verdict_are_inconclusive() -> None:
    assert bench(*QUICK, "--command", "same=sleep 0.02", "--fail-slower", "10%", runs=2).code is ExitCode.INCONCLUSIVE


def test_a_baseline_from_another_machine_ends_it_before_anything_runs(tmp_path: Path) -> None:
    path, ran = tmp_path / "base.json", tmp_path / "ran"
    touching = ("--command", f"touch=touch {ran}")
    saved = measured(path, *touching)
    path.write_bytes(encode(replace(saved, machine=replace(saved.machine, kernel="1.0"))))
    ran.unlink()
    outcome = bench(*touching, "--baseline", path, "--fail-slower", "10%")
    assert outcome.code is ExitCode.USAGE
    assert "measured on another machine" in outcome.err
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "not JSON"),
        (b'{"tool": "imgtool bench", "schema_version": 1, "arms": [', "cut off"),
        (b'{"tool": "hyperfine", "results": []}', "not a file of imgtool bench"),
        (b'{"tool": "imgtool bench", "schema_version": 99}', "schema version 99"),
        (b'{"tool": "imgtool bench", "schema_version": 1}', "not a saved experiment"),
    ],
)
def test_a_baseline_that_is_none_ends_it_before_anything_runs(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "base.json").write_bytes(content)
    ran = tmp_path / "ran"
    outcome = bench("--command", f"touch=touch {ran}", "--baseline", tmp_path / "base.json", "--fail-slower", "10%")
    assert outcome.code is ExitCode.USAGE
    assert said in outcome.err
    assert not ran.exists()


# -- what goes wrong


def test_an_arm_that_fails_is_shown_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    outcome = bench(*BROKEN, *QUICK, "--save", path)
    assert outcome.code is ExitCode.SOME_FAILED
    assert "all is lost" in outcome.err
    found = decode(path.read_bytes(), Experiment)
    assert [s.error for s in found.samples if s.arm == "broken"] == ["exited with code 9"]
    assert len(found.values("quick", Metric.WALL)) == 5


def test_an_arm_that_hangs_is_killed(tmp_path: Path) -> None:
    outcome = bench("--command", "hangs=sleep 94.25", *QUICK, "--timeout", "300ms")
    assert outcome.code is ExitCode.SOME_FAILED
    assert "did not end within 0.3 s" in outcome.err


def test_an_arm_that_crashes_is_named_with_its_signal() -> None:
    outcome = bench("--command", "crashes=sh -c 'kill -SEGV $$'")
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert "SIGSEGV" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--command", "x=there-is-no-such-program"], "there-is-no-such-program"),
        (["--command", "x="], "names no program"),
        (["--command", "sleep 1"], "NAME="),
        (["--command", "x='sleep"], "quot"),
        ([*QUICK, *QUICK], "two arms"),
        (["--command", "eager=sleep 1"], "built-in"),
        (["--arms", "fastest"], "fastest"),
        (["--arm", "x=--no-such-option"], "no-such-option"),
        (["--arm", "x=-t caption photo.png"], "photo.png"),
        ([*QUICK, "-n", "0"], "--runs"),
        ([*QUICK, "-n", "1"], "--runs"),
        ([*QUICK, "-n", "many"], "--runs"),
        ([*QUICK, "--fail-slower", "lots"], "--fail-slower"),
        ([*QUICK, "--fail-slower", "0%"], "--fail-slower"),
        ([*QUICK, "--fail-memory", "-5%"], "--fail-memory"),
        ([*QUICK, "--max-startup", "soon"], "--max-startup"),
        ([*QUICK, "--timeout", "0"], "--timeout"),
        ([*QUICK, "--page-cache", "lukewarm"], "lukewarm"),
        ([*QUICK, "--reference", "other"], "other"),
        ([*QUICK, *SLOW, "--self-test"], "one arm"),
        (["--arm", "x=-t caption", "no-such.png"], "no-such.png"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_message(arguments: list[str], said: str) -> None:
    outcome = CliRunner().invoke(app, ["bench", *arguments])
    assert outcome.exit_code == ExitCode.USAGE
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_an_unknown_key_of_the_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "imgtool.toml").write_text("[bench]\nfail-slow = '10%'\n")
    outcome = imgtool("bench", *QUICK, cwd=tmp_path)
    assert outcome.code is ExitCode.USAGE
    assert "fail_slower" in outcome.err


def test_a_file_that_cannot_be_written_is_known_before_anything_runs(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    outcome = bench("--command", f"touch=touch {ran}", "--save", tmp_path / "none" / "run.json")
    assert outcome.code is ExitCode.NOT_WRITABLE
    assert not ran.exists()


def test_no_models_and_none_allowed_is_a_missing_model(tmp_path: Path) -> None:
    outcome = bench("--weights", "real", EASYOCR_MODULE_PATH=str(tmp_path), HF_HOME=str(tmp_path))
    assert outcome.code is ExitCode.MODEL_MISSING
    assert "no arm can run here" in outcome.err
    named = bench("--weights", "real", "--arms", "compiled", EASYOCR_MODULE_PATH=str(tmp_path), HF_HOME=str(tmp_path))
    assert named.code is ExitCode.MODEL_MISSING


def test_an_interrupt_kills_what_runs_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    command = [sys.executable, "-m", "imgtool", "bench", "--command", "long=sleep 95.25", "--save", str(path)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed_signals)
    sample = _wait_for("95.25")
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == ExitCode.INTERRUPTED
    assert b"interrupted" in said
    assert b"Traceback" not in said
    assert not sample.is_running()
    assert not any(tmp_path.glob("run.json*"))


AFTERWARDS = "echo >> {count}; test $(wc -l < {count}) -gt 5 && {then}; exec sleep 0.1"
"""A program that does something else from its sixth run on, which is the first of the confirmation."""


def test_an_interrupt_of_the_confirmation_keeps_what_was_measured(tmp_path: Path) -> None:
    script = AFTERWARDS.format(count=tmp_path / "count", then="exec sleep 96.25")
    files = ("--save", tmp_path / "run.json", "--markdown", tmp_path / "run.md")
    words = ("--command", f"late=sh -c '{script}'", "--max-wall", "50ms", "-n", "5", "--warm-ups", "0", *files)
    command = [sys.executable, "-m", "imgtool", "bench", *map(str, words)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, preexec_fn=heed_signals)
    _wait_for("96.25")
    os.killpg(running.pid, signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == ExitCode.INTERRUPTED
    assert len(decode((tmp_path / "run.json").read_bytes(), Experiment).samples) == 5
    for said in (out.decode(), (tmp_path / "run.md").read_text()):
        assert "not confirmed" in " ".join(said.split())


def test_a_confirmation_that_cannot_go_on_keeps_what_was_measured(tmp_path: Path) -> None:
    script = AFTERWARDS.format(count=tmp_path / "count", then="kill -9 $PPID")
    words = ("--command", f"late=sh -c '{script}'", "--max-wall", "50ms")
    outcome = bench(*words, "--save", tmp_path / "run.json", "--json", tmp_path / "again.json")
    assert outcome.code is ExitCode.INTERNAL
    assert "ended unexpectedly" in outcome.err
    assert len(decode((tmp_path / "run.json").read_bytes(), Experiment).samples) == 5
    assert (tmp_path / "again.json").exists()


def _wait_for(word: str) -> psutil.Process:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for process in psutil.process_iter(["cmdline"]):
            words: list[Any] = process.info["cmdline"] or []
            if words and words[0] == "sleep" and word in words:
                return process
        time.sleep(0.05)
    raise AssertionError("the sample never started")
