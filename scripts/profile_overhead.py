"""The overhead of profiling: ``analyze`` over 50 images, plain and under each view of ``imgtool profile``, in turns.

    python scripts/profile_overhead.py [--rounds 7] [--images 50] [-- ANALYZE OPTIONS]

Prints a Markdown table: median wall time and processor time of each, and the ratio to the plain run's median, with the
exact interval of ``imgtool.bench.stats.comparison``. The order of the arms turns with each round, so that drift
hits all.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

from imgtool import trace
from imgtool.bench.arms.drawn_images import draw_in_child
from imgtool.bench.stats.comparison import compare
from imgtool.profiling.analyze_run import RunOutcome, analyze_command, run
from imgtool.profiling.views import cpu, imports, memory

OPTIONS = ("--tasks", "caption", "--caption-engine", "describe", "--no-cache")
ONE_BY_ONE = "plain, models one after the other"
"""What the imports view is held against: it loads models so."""


def arms(arguments: tuple[str, ...], folder: Path) -> dict[str, Callable[[], RunOutcome | None]]:
    """What is run under each name."""
    log, command = folder / "log", analyze_command(arguments)
    traced = {trace.FILE_VARIABLE: str(folder / "trace")}

    return {
        "plain": lambda: run(command, log),
        "phases": lambda: run(command, log, traced),
        "phases and memory": lambda: run(command, log, traced, memory.MemorySampler().watch),
        "cpu": lambda: cpu.sample(arguments, folder, cpu.RATE, cpu.find_py_spy()).outcome,
        ONE_BY_ONE: lambda: run([*command, *imports.ONE_BY_ONE], log),
        "imports": lambda: imports.sample(arguments, folder)[1],
    }


def timed(what: Callable[[], RunOutcome | None]) -> tuple[float, float]:
    """Wall seconds of the program, and seconds of processors of everything that was started and waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = what()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if outcome is None or not outcome.completed:
        raise SystemExit(f"a run failed: {outcome.last_words if outcome else 'py-spy is not installed'}")
    return outcome.seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--only", help="names of views, with commas; plain runs are always there")
    parser.add_argument("options", nargs="*", default=OPTIONS, help="options of analyze, after --")
    given = parser.parse_args()
    walls: dict[str, list[float]] = defaultdict(list)
    work: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="imgtool-overhead-") as name:
        folder = Path(name)
        draw_in_child(folder / "images", ((1000, 600),), given.images)
        tried = arms((str(folder / "images"), *given.options), folder)
        if given.only:
            tried = {arm: what for arm, what in tried.items() if arm == "plain" or arm in given.only.split(",")}
        for number in range(-1, given.rounds):
            names = list(tried)
            for arm in names[number % len(names) :] + names[: number % len(names)]:
                wall, processors = timed(tried[arm])
                if number >= 0:  # the first round fills the page cache
                    walls[arm].append(wall)
                    work[arm].append(processors)
    report(walls, work, given.images)


def report(walls: dict[str, list[float]], work: dict[str, list[float]], images: int) -> None:
    """The table."""
    print(f"{images} images, {len(walls['plain'])} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| view | wall, median | processors, median | wall against plain | interval |")
    print("| --- | --- | --- | --- | --- |")
    for arm, values in walls.items():
        plain = walls[ONE_BY_ONE if arm == "imports" and ONE_BY_ONE in walls else "plain"]
        found = compare(plain, values)
        ratio = "" if found.ratio is None else f"{(found.ratio - 1) * 100:+.1f} %"
        low, high = ((end or 1) - 1 for end in (found.low, found.high))
        print(f"| {arm} | {median(values):.2f} s | {median(work[arm]):.2f} s | {ratio} | {low:+.1%} to {high:+.1%} |")


if __name__ == "__main__":
    main()
