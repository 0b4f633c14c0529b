"""The cpu view without py-spy: CPython's own sampler from 3.15 on, else cProfile of the parent process."""

from __future__ import annotations

import pstats
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imgtool.ground.fresh import IMGTOOL
from imgtool.profiling.record import Absence, Cpu, Function
from imgtool.profiling.target import Outcome, analyze_command, run
from imgtool.profiling.views.cpu import Sampled, few_samples
from imgtool.profiling.views.stacks import folded, functions_of, merge, read_folded, total_samples
from imgtool.runtime.start_process import run_worker

_LONGEST_SECONDS = 24 * 3600
_PROFILED = "import cProfile; profile = cProfile.Profile(); profile.enable()"


def has_own_sampler() -> bool:
    """Whether this Python brings a sampling profiler (``profiling.sampling``, 3.15)."""
    try:
        return sys.version_info >= (3, 15) and find_spec("profiling.sampling") is not None
    except ImportError:
        return False


def sample(arguments: Sequence[str], folder: Path, rate: int) -> Sampled:
    """Run ``analyze`` under whatever this Python has; files go to ``folder``."""
    if has_own_sampler():
        sampled = _own_sampler(arguments, folder, rate)
        if sampled.cpu is not None:
            return sampled
    return _cprofile(arguments, folder)


def _own_sampler(arguments: Sequence[str], folder: Path, rate: int) -> Sampled:
    """Its folded stacks begin with ``tid:<number>``; with subprocesses there is one file a process."""
    output = folder / "cpu.own"
    output.mkdir(exist_ok=True)
    script = folder / "analyze.py"
    script.write_text(f"{IMGTOOL}\n", encoding="utf-8")
    flags = ["--collapsed", "--all-threads", "--subprocesses", "--mode", "cpu", "-d", str(_LONGEST_SECONDS)]
    command = [sys.executable, "-m", "profiling.sampling", "run", *flags, *_rate_flag(rate)]
    outcome = run([*command, "-o", str(output / "stacks.txt"), str(script), "analyze", *arguments], folder / "cpu.log")
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in output.iterdir() if path.is_file()]
    stacks = merge(read_folded(_with_heads(text)) for text in texts)
    samples = total_samples(stacks)
    if not samples:
        return Sampled(None, outcome, Absence(view="cpu", reason=f"no sample: {outcome.last_words}"))
    cpu = Cpu(
        tool="profiling.sampling",
        covers="parent and workers, all Python threads",
        rate=rate,
        native=False,
        samples=samples,
        seconds=samples / rate,
        functions=functions_of(stacks, rate),
        stacks=folded(stacks),
    )
    few = few_samples(samples, rate)
    return Sampled(cpu, outcome, notices=(few,) if few else ())


def _rate_flag(rate: int) -> list[str]:
    """Its first releases were told an interval in microseconds, later ones a rate."""
    help_command = [sys.executable, "-m", "profiling.sampling", "run", "--help"]
    said = subprocess.run(help_command, capture_output=True, text=True, timeout=60, check=False).stdout
    return ["-i", str(1_000_000 // rate)] if "--interval" in said else ["-r", str(rate)]


def _with_heads(text: str) -> str:
    """Folded lines as py-spy writes them: process, thread, then ``name (file:line)``."""
    role = run_worker.__name__ if "runtime/worker/main.py" in text else "imgtool"
    lines = []
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if not thread.startswith("tid:"):
            frames = [thread, *frames]
            thread = "tid:0"
        shown = ";".join(_frame(frame) for frame in frames)
        lines.append(f'process 0:"{role}";thread ({thread[4:]}): {thread[4:]};{shown} {count}')
    return "\n".join(lines)


def _frame(frame: str) -> str:
    """``file:function:line`` as ``function (file:line)``."""
    file, function, line = [*frame.rsplit(":", 2), "", ""][:3]
    return f"{function} ({file}:{line})" if function else f"{frame} ()"


def _cprofile(arguments: Sequence[str], folder: Path) -> Sampled:
    output = folder / "cpu.pstats"
    output.unlink(missing_ok=True)
    outcome = run(_cprofile_command(arguments, output), folder / "cpu.log")
    if not output.is_file():
        return Sampled(None, outcome, Absence(view="cpu", reason=f"cProfile wrote nothing: {outcome.last_words}"))
    return Sampled(_cprofile_view(output, outcome), outcome)


def _cprofile_command(arguments: Sequence[str], output: Path) -> list[str]:
    command = analyze_command(arguments)
    at = command.index("-c") + 1
    begin, _, body = command[at].partition("; ")
    path, _, body = body.partition("; ")
    # The command leaves by SystemExit; a profile is written however it leaves.
    command[at] = (
        f"{begin}; {path}; {_PROFILED}; import atexit; "
        f"atexit.register(lambda: (profile.disable(), profile.dump_stats({str(output)!r}))); {body}"
    )
    return command


def _cprofile_view(output: Path, outcome: Outcome) -> Cpu:
    statistics: Any = pstats.Stats(str(output))
    functions = [_of_pstats(key, figures) for key, figures in statistics.stats.items()]
    own = sorted(functions, key=lambda function: -function.own_seconds)[:100]
    return Cpu(
        tool="cProfile",
        covers="the parent's main thread alone, waiting included; not the worker, where the models run",
        rate=0,
        native=False,
        samples=0,
        seconds=outcome.seconds,
        functions=tuple(own),
    )


def _of_pstats(key: tuple[str, int, str], figures: tuple[int, int, float, float, Any]) -> Function:
    file, line, name = key
    where = f"{file}:{line}" if line else ""
    return Function(name=name, where=where, process="parent", own_seconds=figures[2], total_seconds=figures[3])
