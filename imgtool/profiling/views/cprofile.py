"""The cpu view without py-spy: cProfile, which sees the parent's main thread only."""

from __future__ import annotations

import pstats
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgtool.profiling.analyze_run import analyze_command, run
from imgtool.profiling.record import Absence, Cpu, Function
from imgtool.profiling.views.cpu import Sampled
from imgtool.profiling.views.imports import bootstrap_path

VARIABLE = "_IMGTOOL_PROFILE_CALLS"
_LIMIT = 100


def sample(arguments: Sequence[str], folder: Path) -> Sampled:
    """Run ``analyze`` under cProfile; its file goes to ``folder``."""
    output = folder / "cpu.pstats"
    output.unlink(missing_ok=True)
    outcome = run(analyze_command(arguments), folder / "cpu.log", {VARIABLE: str(output), **bootstrap_path()})
    if not output.is_file():
        return Sampled(None, outcome, Absence(view="cpu", reason=f"cProfile wrote nothing: {outcome.last_words}"))
    statistics: Any = pstats.Stats(str(output))
    functions = [
        Function(
            name=name,
            where=f"{file}:{line}" if line else "",
            process="parent",
            own_seconds=figures[2],
            total_seconds=figures[3],
        )
        for (file, line, name), figures in statistics.stats.items()
    ]
    cpu = Cpu(
        tool="cProfile",
        covers="the parent's main thread only, waiting included; not the worker, where the models run",
        rate=0,
        samples=0,
        seconds=outcome.seconds,
        functions=tuple(sorted(functions, key=lambda function: -function.own_seconds)[:_LIMIT]),
    )
    return Sampled(cpu, outcome)
