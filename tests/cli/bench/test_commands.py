"""``imgtool bench 'sleep 1'``: programs as hyperfine's users write them, what runs around them, and interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from imgtool.bench.data.record import Experiment, Metric
from imgtool.bench.data.saved import load_experiment
from imgtool.errors import ExitCode
from tests.command import Outcome, heed_signals, imgtool


def bench(folder: Path, *arguments: str | Path, runs: int = 3) -> tuple[Outcome, Experiment | None]:
    saved = folder / "run.json"
    outcome = imgtool("bench", *arguments, "-n", str(runs), "--warm-ups", "1", "--save", saved, cwd=folder)
    return outcome, load_experiment(saved) if outcome.code is ExitCode.OK else None


def measured(folder: Path, *arguments: str | Path, runs: int = 3) -> Experiment:
    outcome, found = bench(folder, *arguments, runs=runs)
    assert outcome.code is ExitCode.OK, outcome.err
    assert found is not None
    return found


def logged(folder: Path) -> list[str]:
    return (folder / "log").read_text().split()


def test_a_command_in_one_argument(tmp_path: Path) -> None:
    found = measured(tmp_path, "sleep 0.05", "sleep 0.1")
    assert [arm.name for arm in found.arms] == ["sleep 0.05", "sleep 0.1"]
    assert min(found.values("sleep 0.1", Metric.WALL)) > 0.1
    assert (found.settings.weights, found.settings.tasks, found.settings.images) == ("", (), ())


def test_a_redirection_is_refused_and_not_made_an_argument(tmp_path: Path) -> None:
    outcome, _ = bench(tmp_path, "echo a > made")
    assert outcome.code is ExitCode.USAGE
    assert "imgtool bench --shell 'echo a > made'" in outcome.err
    assert not (tmp_path / "made").exists()
    measured(tmp_path, "--shell", "echo a > made")
    assert (tmp_path / "made").read_text() == "a\n"


def test_the_start_of_the_shell_is_not_counted(tmp_path: Path) -> None:
    found = measured(tmp_path, "-S", "sleep 0.1 | cat", runs=5)
    assert 0 < found.shell_seconds < 0.05
    assert min(found.values("sleep 0.1 | cat", Metric.WALL)) > 0.09
    assert imgtool("bench", "report", tmp_path / "run.json").out.count("is not counted") == 1


def test_two_words_make_a_parameter(tmp_path: Path) -> None:
    found = measured(tmp_path, "-L", "s", "0.01,0.03", "--parameter", "tool=sleep", "{tool} {s}")
    assert [arm.name for arm in found.arms] == ["sleep 0.01", "sleep 0.03"]
    assert found.arms[1].parameters == {"s": "0.03", "tool": "sleep"}


def test_preparations_run_when_hyperfine_runs_them(tmp_path: Path) -> None:
    hooks = [word for name in ("setup", "prepare", "cleanup") for word in (f"--{name}", f"echo {name}-{{n}} >> log")]
    found = measured(tmp_path, "--shell", *hooks, "-L", "n", "1,2", "echo run-{n} >> log", runs=2)
    one = ["setup-1", *["prepare-1", "run-1"] * 3, "cleanup-1"]
    assert logged(tmp_path) == one + [word.replace("1", "2") for word in one]
    assert not found.settings.interleaved


def test_a_preparation_alone_lets_arms_take_turns(tmp_path: Path) -> None:
    found = measured(tmp_path, "-S", "--prepare", "echo p >> log", "echo a >> log", "echo b >> log", runs=2)
    assert found.settings.interleaved
    assert logged(tmp_path) == ["p", "a", "p", "b"] * 2 + ["p", "b", "p", "a"]


def test_preparation_is_not_in_the_time(tmp_path: Path) -> None:
    found = measured(tmp_path, "--prepare", "sleep 0.2", "sleep 0.01")
    assert max(found.values("sleep 0.01", Metric.WALL)) < 0.2


def test_a_server_that_a_setup_starts_lives_until_the_cleanup(tmp_path: Path) -> None:
    setup, cleanup = "sleep 60.5 & echo $! > pid", "kill $(cat pid)"
    measured(tmp_path, "-S", "--setup", setup, "--cleanup", cleanup, "kill -0 $(cat pid)")
    number = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5
    while time.monotonic() < end and _lives(number):
        time.sleep(0.02)
    assert not _lives(number)


def _lives(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_preparation_that_fails_ends_it_and_the_cleanup_runs(tmp_path: Path) -> None:
    prepare = "echo x >> log; test $(wc -l < log) -lt 4 || { echo planted >&2; exit 9; }"
    outcome, _ = bench(tmp_path, "-S", "--prepare", prepare, "--cleanup", "touch clean", "true")
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert "--prepare of true exited with code 9" in outcome.err
    assert "planted" in outcome.err
    assert (tmp_path / "clean").exists()
    found = load_experiment(tmp_path / "run.json")
    assert found.interrupted
    assert len(found.samples) == 3, "what was measured before is kept"


def test_a_failure_can_be_ignored_by_its_code(tmp_path: Path) -> None:
    failing = "sh -c 'exit 3'"
    outcome, _ = bench(tmp_path, failing)
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert "--ignore-failure 3 counts such runs" in outcome.err
    for codes in ("3", "2,3", "all"):
        assert len(measured(tmp_path, "-i", codes, failing).values(failing, Metric.WALL)) == 3
    assert bench(tmp_path, "-i", "4", failing)[0].code is ExitCode.NONE_ANSWERED
    assert bench(tmp_path, "-i", "all", "sh -c 'kill -9 $$'")[0].code is ExitCode.NONE_ANSWERED
    assert bench(tmp_path, "-i", "none", failing)[0].code is ExitCode.USAGE


def test_images_that_no_arm_analyzes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    outcome, _ = bench(tmp_path, "x.png", "sleep 0.01")
    assert outcome.code is ExitCode.USAGE
    assert "x.png is an image, and no arm analyzes images" in outcome.err


def interrupted(folder: Path, *words: str, number: int = signal.SIGINT) -> tuple[str, str]:
    """Both outputs of an experiment that was interrupted in its fourth run; each run adds a line to ``log``."""
    running = subprocess.Popen(
        [sys.executable, "-m", "imgtool", "bench", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heed_signals,
        text=True,
    )
    end = time.monotonic() + 30
    while time.monotonic() < end and not ((folder / "log").exists() and len(logged(folder)) >= 4):
        time.sleep(0.02)
    os.killpg(running.pid, number)
    out, err = running.communicate(timeout=30)
    assert running.returncode == ExitCode.INTERRUPTED, err
    assert "Traceback" not in err
    return out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_and_saves_what_was_measured(tmp_path: Path, number: int) -> None:
    words = [
        "-S",
        "--cleanup",
        "touch clean",
        "-n",
        "50",
        "--warm-ups",
        "0",
        "--save",
        "run.json",
        "--markdown",
        "a.md",
    ]
    out, err = interrupted(tmp_path, *words, "echo x >> log; sleep 0.2", number=number)
    found = load_experiment(tmp_path / "run.json")
    assert found.interrupted
    assert len(found.samples) >= 3
    said = f"interrupted: {len(found.samples)} of 50 runs were taken"
    assert said in err
    assert "kept in run.json" in err
    assert said in " ".join(out.split())
    assert said in (tmp_path / "a.md").read_text()
    assert (tmp_path / "clean").exists()


def test_an_interrupted_soak_reports_the_starts_that_there_were(tmp_path: Path) -> None:
    out, _ = interrupted(tmp_path, "soak", "-S", "--command", "x=echo x >> log; sleep 0.2", "--restarts", "50")
    assert "x: 3 of 3 starts succeeded" in out


def test_an_interrupted_throughput_reports_the_runs_that_there_were(tmp_path: Path) -> None:
    words = ("-S", "--command", "x=echo x >> log; sleep 0.2", "--images", "2", "-n", "50", "--json")
    out, _ = interrupted(tmp_path, "throughput", *words)
    found = json.loads(out)
    assert found["interrupted"]
    assert len(found["cells"][0]["runs"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [("soak", "--restarts", "3"), ("throughput", "-n", "1", "--images", "2")])
def test_exit_codes_can_be_ignored_in_every_experiment(experiment: tuple[str, ...]) -> None:
    words = ("bench", *experiment, "-S", "--command", "x=exit 3")
    assert imgtool(*words).code is not ExitCode.OK
    assert imgtool(*words, "--ignore-failure", "3").code is ExitCode.OK


def test_a_command_that_is_lost_in_the_shells_start_is_named(tmp_path: Path) -> None:
    outcome, _ = bench(tmp_path, "-S", ":")
    assert ": takes hardly longer than the shell: measure it without --shell" in " ".join(outcome.out.split())
