"""The launcher: what it reports of a process's end, and that nothing it started outlives what it was started for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from imgtool.bench.measure.launcher_client import Launcher, LauncherGone, ProcessEnd

NOTHING = Path(os.devnull)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with Launcher() as found:
        yield found


def run(launcher: Launcher, *command: str, timeout: float = 30, **environment: str) -> ProcessEnd:
    return launcher.run(command, environment=environment, stdout=NOTHING, stderr=NOTHING, timeout=timeout)


def shell(launcher: Launcher, script: str, timeout: float = 30) -> ProcessEnd:
    return run(launcher, "sh", "-c", script, timeout=timeout)


def alive(mark: str) -> list[psutil.Process]:
    """Processes that have ``mark`` among their words."""
    return [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]


def until(condition: object, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_it_is_small(launcher: Launcher) -> None:
    assert launcher.own_rss < 20_000_000


def test_the_end_of_a_process_is_told_as_it_was(launcher: Launcher) -> None:
    assert run(launcher, "true").code == 0
    assert shell(launcher, "exit 3").code == 3
    assert shell(launcher, "kill -SEGV $$").code == -signal.SIGSEGV
    assert "No such file" in run(launcher, "there-is-no-such-program").failed


def test_a_file_that_may_not_be_run_is_told_as_such(launcher: Launcher, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert "Permission denied" in run(launcher, str(script)).failed
    script.chmod(0o755)
    assert run(launcher, str(script)).code == 0


ABOUT_ITSELF = """
import json, os, signal, sys
ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
descriptors = sorted(map(int, os.listdir("/proc/self/fd")))[:-1]
print(json.dumps([sys.argv[1:], ignored, descriptors, os.getppid(), {**os.environ}]))
"""


@pytest.mark.parametrize("name", ["A_B", "A.B"], ids=["through a shell", "without a shell"])
def test_a_program_meets_the_same_surroundings_however_it_is_started(
    launcher: Launcher, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    arguments = ["a b", "$HOME", "'", '"', "*", "", "-n", "\n"]
    command = [sys.executable, "-I", "-S", "-c", ABOUT_ITSELF, *arguments]
    launcher.run(command, environment={name: "x y\n'z'"}, stdout=out, stderr=NOTHING, timeout=30)
    told, ignored, descriptors, parent, environment = json.loads(out.read_text())
    assert told == arguments
    # What Python itself ignores, what a shell ignores for a program in the background, and what these tests ignore
    # themselves, as under nohup.
    inherited = {number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN}
    assert set(ignored) <= {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGQUIT, *inherited}
    assert descriptors == [0, 1, 2]
    assert parent == launcher.pid
    assert environment[name] == "x y\n'z'"
    by_readline = {"COLUMNS", "LINES"}
    assert environment.keys() - os.environ.keys() <= {name, "IMGTOOL_TRACE_SPAWNED", "PWD", *by_readline}
    assert os.environ.keys() <= environment.keys()


def test_time_runs_from_before_the_spawn_to_the_end(launcher: Launcher) -> None:
    ended = run(launcher, "sleep", "0.2")
    assert ended.seconds >= 0.2
    assert time.monotonic_ns() > ended.ended_ns > ended.spawned_ns


def test_the_child_is_told_when_it_was_started(launcher: Launcher, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = "import os; print(os.environ['IMGTOOL_TRACE_SPAWNED'], os.environ['MORE'])"
    ended = launcher.run(
        [sys.executable, "-c", code], environment={"MORE": "words"}, stdout=out, stderr=NOTHING, timeout=30
    )
    assert out.read_text().split() == [str(ended.spawned_ns), "words"]


def test_a_process_that_hangs_is_killed_with_all_it_started(launcher: Launcher) -> None:
    ended = shell(launcher, "setsid sleep 91.25 & sleep 91.25", timeout=0.3)
    assert ended.timed_out
    assert ended.code == -signal.SIGKILL
    assert not alive("91.25")


def test_what_outlives_its_parent_is_counted_and_killed(launcher: Launcher) -> None:
    ended = shell(launcher, "(setsid sleep 92.25 &) ; exit 0")
    assert ended.left_behind == 1
    assert not alive("92.25")
    assert run(launcher, "true").left_behind == 0


def test_when_who_asked_is_killed_nothing_runs_on() -> None:
    code = (
        "from imgtool.bench.measure.launcher_client import Launcher; from pathlib import Path; n = Path('/dev/null')\n"
        "with Launcher() as launcher: launcher.run(['sleep', '93.25'], environment={}, stdout=n, stderr=n, timeout=99)"
    )
    asker = subprocess.Popen([sys.executable, "-c", code])
    assert until(lambda: alive("93.25"))
    asker.kill()
    asker.wait()
    assert until(lambda: not alive("93.25"))


def test_a_launcher_that_was_killed_is_an_error_with_a_message() -> None:
    with Launcher() as launcher:
        me = psutil.Process()
        (child,) = [p for p in me.children() if any("launcher.py" in word for word in p.cmdline())]
        child.kill()
        child.wait()
        with pytest.raises(LauncherGone):
            run(launcher, "true")


def test_an_end_during_a_reading_is_noted_when_it_comes() -> None:
    """A reading of the memory takes long where the machine is busy; that is not the program's time."""
    code = (
        "import time\n"
        "from imgtool.bench.measure import launcher\n"
        "launcher.Tree.look = lambda self: time.sleep(0.6)\n"
        "launcher.LaunchLoop(subreaper=launcher._become_subreaper()).serve()"
    )
    request = {"command": ["sleep", "0.1"], "environment": {}, "spawned_variable": "X", "timeout": 30, "interval": 0.02}
    line = json.dumps({**request, "stdout": os.devnull, "stderr": os.devnull})
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        process.stdin.close()
    assert 0.1 <= (answer["ended_ns"] - answer["spawned_ns"]) / 1e9 < 0.5
