"""The cpu view: py-spy starts the program and samples its call stacks.

py-spy writes one format a run, so the view takes two runs: one gives the speedscope file, from which the tables of
functions are counted, and the other the flame graph.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool import trace
from imgtool.distribution import install_command, pip_install
from imgtool.profiling.analyze_run import RunOutcome, analyze_command, run
from imgtool.profiling.record import Absence, Cpu, Function
from imgtool.profiling.views.trace_file import roles_by_pid

RATE = 100
"""Default samples a second."""

SPEEDSCOPE, FLAME_GRAPH = "cpu.speedscope.json", "cpu.svg"
_FORMATS = {SPEEDSCOPE: "speedscope", FLAME_GRAPH: "flamegraph"}
_LIMIT = 100
_FEWEST_SAMPLES = 30
_DENIED = re.compile(r"permission denied|operation not permitted|EPERM|failed to suspend|root.*required", re.IGNORECASE)
_MISSED = re.compile(r"py-spy> .*Samples: \d+ Errors: (\d+)")
_BEHIND = re.compile(r"([\d.]+)s behind in sampling")


@dataclass(frozen=True)
class Sampled:
    """What a cpu run gave: the view, or why there is none."""

    cpu: Cpu | None
    outcome: RunOutcome | None
    absence: Absence | None = None
    notices: tuple[str, ...] = ()


def find_py_spy() -> str | None:
    """The program ``py-spy``: the one installed beside this Python, or any on the path."""
    beside = Path(sys.executable).parent / "py-spy"
    return str(beside) if beside.is_file() else shutil.which("py-spy")


def sample(arguments: Sequence[str], folder: Path, rate: int, program: str | None) -> Sampled:
    """Run ``analyze`` with ``arguments`` under py-spy (``program``), ``rate`` samples a second; the speedscope file is
    written to ``folder``."""
    tracefile = folder / "cpu.trace"
    tracefile.unlink(missing_ok=True)
    output = folder / SPEEDSCOPE
    outcome, absence = record(arguments, output, rate, program, {trace.FILE_VARIABLE: str(tracefile)})
    if absence is not None:
        return Sampled(None, outcome, absence)
    stacks = read_speedscope(json.loads(output.read_bytes()), roles_by_pid(tracefile))
    samples = sum(stacks.values())
    cpu = Cpu(
        tool="py-spy",
        covers="parent and workers, all Python threads that were running",
        rate=rate,
        samples=samples,
        seconds=samples / rate,
        functions=functions_of(stacks, rate),
    )
    notices = []
    if samples < _FEWEST_SAMPLES:
        notices.append(f"cpu: only {samples} samples; name more images, or raise --rate (it was {rate})")
    said = _said(output)
    behind = max(map(float, _BEHIND.findall(said)), default=0.0)
    if behind >= 1:
        notices.append(f"cpu: py-spy fell {behind:.0f} s behind; lower --rate")
    missed = max(map(int, _MISSED.findall(said)), default=0)
    if missed * 20 > samples:
        notices.append(f"cpu: {missed} samples failed, against {samples} that succeeded; lower --rate")
    return Sampled(cpu, outcome, notices=tuple(notices))


def record(
    arguments: Sequence[str], output: Path, rate: int, program: str | None, environment: Mapping[str, str] | None = None
) -> tuple[RunOutcome | None, Absence | None]:
    """Run ``analyze`` under ``py-spy record``, which writes ``output`` (:data:`SPEEDSCOPE` or :data:`FLAME_GRAPH`); how
    the run went, and why there is no file if there is none."""
    view = "cpu" if output.name == SPEEDSCOPE else "flame graph"
    if program is None:
        return None, Absence(view=view, reason="py-spy is not installed", remedy=install_command("profile"))
    output.unlink(missing_ok=True)
    # py-spy does not stop the program to look: a stop takes about a millisecond, which at 100 a second is a tenth of
    # the time, and wakes every waiting thread, so that most samples would be of threads at rest.
    flags = ["--subprocesses", "--threads", "--function", "--nonblocking", "--rate", str(rate)]
    flags += ["--format", _FORMATS[output.name], "--output", str(output)]
    command = [program, "record", *flags, "--", *analyze_command(arguments)]
    try:
        outcome = run(command, output.with_name("cpu.log"), environment, out=output.with_name("cpu.out"))
    except OSError as error:
        reason = f"py-spy cannot be started: {error.strerror}"
        return None, Absence(view=view, reason=reason, remedy=install_command("profile"))
    if output.is_file() and output.stat().st_size:
        return outcome, None
    said = _said(output)
    if _DENIED.search(said):
        reason, remedy = "py-spy is not allowed to read another process here (ptrace)", ptrace_remedy()
    elif outcome.interrupted:
        reason, remedy = "the run was interrupted before py-spy had samples", ""
    else:
        error_line = next((line.strip() for line in said.splitlines() if line.startswith("Error")), "")
        reason = f"py-spy took no sample ({error_line or 'the run was too short'})"
        remedy = "name more images, or raise --rate; a newer Python may need a newer py-spy: "
        remedy += pip_install("--upgrade", "py-spy")
    return outcome, Absence(view=view, reason=reason, remedy=remedy)


def _said(output: Path) -> str:
    """What py-spy printed, on stderr and stdout."""
    paths = (output.with_name(name) for name in ("cpu.log", "cpu.out"))
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)


def ptrace_remedy() -> str:
    """What to do where reading another process is forbidden."""
    if platform.system() == "Darwin":
        return "macOS allows it only to root: run the command with sudo"
    return (
        "in a container start it with --cap-add SYS_PTRACE; elsewhere set /proc/sys/kernel/yama/ptrace_scope to 1 or "
        "less, or run as root"
    )


Stack = tuple[str, tuple[tuple[str, str], ...]]
"""A process's role, and name and place of each frame from the outermost in."""


def read_speedscope(file: Mapping[str, Any], roles: Mapping[int, str]) -> Counter[Stack]:
    """How often each call stack was sampled, from a speedscope file of py-spy (``--threads --subprocesses``).

    https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources describes the format. A stack begins with
    frames for the process, those it was started by, and the thread; they are left out here. ``roles`` names processes
    by their number.
    """
    frames = [(str(frame["name"]), _place(frame)) for frame in file["shared"]["frames"]]
    stacks: Counter[Stack] = Counter()
    for profile in file["profiles"]:
        pid = int(profile["name"].split()[1])
        role = roles.get(pid, f"process {pid}")
        for numbers in profile["samples"]:
            stack = [frames[number] for number in numbers]
            named = [frame for frame in stack if frame[1] or not frame[0].startswith(("process ", "thread ("))]
            stacks[role, tuple(named)] += 1
    return stacks


def _place(frame: Mapping[str, Any]) -> str:
    """``package/module.py:12``, without the folder that the package is installed in."""
    file, line = frame.get("file") or "", frame.get("line")
    for root in sorted(map(str, filter(None, sys.path)), key=len, reverse=True):
        file = file.removeprefix(root.rstrip("/") + "/")
    return f"{file}:{line}" if file and line else file


def functions_of(stacks: Mapping[Stack, int], rate: int) -> tuple[Function, ...]:
    """The functions with the most own time, and those with the most total time, a hundred of each."""
    own: Counter[tuple[str, tuple[str, str]]] = Counter()
    total: Counter[tuple[str, tuple[str, str]]] = Counter()
    for (process, frames), count in stacks.items():
        if frames:
            own[process, frames[-1]] += count
        for frame in set(frames):
            total[process, frame] += count
    wanted = dict.fromkeys(key for counter in (own, total) for key, _ in counter.most_common(_LIMIT))
    return tuple(
        Function(
            name=key[1][0],
            where=key[1][1],
            process=key[0],
            own_seconds=own[key] / rate,
            total_seconds=total[key] / rate,
        )
        for key in sorted(wanted, key=lambda key: (-own[key], -total[key]))
    )
