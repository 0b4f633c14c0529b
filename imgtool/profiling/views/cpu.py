"""The cpu view: py-spy as the program's parent, or what can be had where it may not look."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgtool.distribution import install_command, pip_install
from imgtool.profiling.record import Absence, Cpu
from imgtool.profiling.target import Outcome, analyze_command, run
from imgtool.profiling.views.stacks import folded, functions_of, read_folded, total_samples, waits

RATE = 100
"""Samples a second unless told otherwise."""

_FEWEST_SAMPLES = 30
_NATIVE_MACHINES = {"x86_64", "amd64", "aarch64", "arm64", "armv7l"}
_DENIED = re.compile(r"permission denied|operation not permitted|EPERM|failed to suspend|root.*required", re.IGNORECASE)
_MISSED = re.compile(r"py-spy> .*Samples: \d+ Errors: (\d+)")
_BEHIND = re.compile(r"([\d.]+)s behind in sampling")


@dataclass(frozen=True)
class Sampled:
    """What came of a cpu run: the view, or why there is none (then :mod:`imgtool.profiling.views.cprofile` is next)."""

    cpu: Cpu | None
    outcome: Outcome | None
    absence: Absence | None = None
    notices: tuple[str, ...] = ()


def find_py_spy() -> str | None:
    """The program ``py-spy``: the one installed beside this Python, or any on the path."""
    beside = Path(sys.executable).parent / "py-spy"
    return str(beside) if beside.is_file() else shutil.which("py-spy")


def can_show_native() -> bool:
    """Whether py-spy can unwind native frames on this machine."""
    return platform.system() == "Linux" and platform.machine().lower() in _NATIVE_MACHINES


@dataclass(frozen=True)
class How:
    """How to sample: ``rate`` a second, with native frames or not, by which program."""

    rate: int
    native: bool
    program: str | None


def sample(arguments: Sequence[str], folder: Path, how: How) -> Sampled:
    """Run ``analyze`` with ``arguments`` under py-spy; files go to ``folder``."""
    if how.program is None:
        return Sampled(
            None, None, Absence(view="cpu", reason="py-spy is not installed", remedy=install_command("profile"))
        )
    raw, log, out = (folder / f"cpu.{suffix}" for suffix in ("raw", "log", "out"))
    raw.unlink(missing_ok=True)
    # Unless it must unwind native frames, py-spy looks without stopping: a stop takes about a millisecond, which at 100
    # a second is a tenth of the time, and wakes every waiting thread, so that most samples were of threads at rest.
    flags = ["--subprocesses", "--threads", "--function", "--format", "raw"]
    flags.append("--native" if how.native else "--nonblocking")
    flags += ["--rate", str(how.rate), "--output", str(raw)]
    command = [how.program, "record", *flags, "--", *analyze_command(arguments)]
    try:
        outcome = run(command, log, out=out)
    except OSError as error:
        absence = Absence(
            view="cpu", reason=f"py-spy cannot be started: {error.strerror}", remedy=install_command("profile")
        )
        return Sampled(None, None, absence)
    said = log.read_text(encoding="utf-8", errors="replace") + out.read_text(encoding="utf-8", errors="replace")
    if not raw.is_file() or not raw.stat().st_size:
        return Sampled(None, outcome, _why_nothing(said, outcome))
    cpu = _view(raw, how)
    return Sampled(cpu, outcome, notices=tuple(_notices(said, cpu)))


def _view(raw: Path, how: How) -> Cpu:
    seen = read_folded(raw.read_text(encoding="utf-8", errors="replace"))
    stacks = Counter({stack: count for stack, count in seen.items() if not waits(stack)})
    samples, rate = total_samples(stacks), how.rate
    return Cpu(
        tool="py-spy",
        covers="parent and workers, all Python threads that were running",
        rate=rate,
        native=how.native,
        samples=samples,
        waiting=total_samples(seen) - samples,
        seconds=samples / rate,
        functions=functions_of(stacks, rate),
        stacks=folded(stacks),
    )


def _why_nothing(said: str, outcome: Outcome) -> Absence:
    if _DENIED.search(said):
        return Absence(view="cpu", reason="py-spy may not look into a process here (ptrace)", remedy=ptrace_remedy())
    if outcome.interrupted:
        return Absence(view="cpu", reason="the run was interrupted before py-spy had samples")
    error = next((line.strip() for line in said.splitlines() if line.startswith("Error")), "")
    return Absence(
        view="cpu",
        reason=f"py-spy took no sample{f' ({error})' if error else ': the run ended too soon'}",
        remedy="name more images, or raise --rate; a newer Python may need a newer py-spy: "
        + pip_install("--upgrade", "py-spy"),
    )


def ptrace_remedy() -> str:
    """What to do where looking into another process is forbidden."""
    if platform.system() == "Darwin":
        return "macOS allows it to root alone: run the command with sudo"
    return (
        "in a container start it with --cap-add SYS_PTRACE; elsewhere set /proc/sys/kernel/yama/ptrace_scope to 1 or "
        "less, or run as root"
    )


def few_samples(samples: int, rate: int) -> str | None:
    """A notice where there are too few samples to judge by."""
    if samples >= _FEWEST_SAMPLES:
        return None
    return f"cpu: only {samples} samples; name more images, or raise --rate (it was {rate})"


def _notices(said: str, cpu: Cpu) -> list[str]:
    found = [few] if (few := few_samples(cpu.samples, cpu.rate)) else []
    behind = [float(seconds) for seconds in _BEHIND.findall(said)]
    if behind and max(behind) >= 1:
        found.append(f"cpu: py-spy fell {max(behind):.0f} s behind; lower --rate, or leave --native out")
    missed = max((int(number) for number in _MISSED.findall(said)), default=0)
    if missed * 20 > cpu.samples + cpu.waiting:
        found.append(f"cpu: {missed} looks failed, against {cpu.samples} samples; --native stops the program to look")
    return found
