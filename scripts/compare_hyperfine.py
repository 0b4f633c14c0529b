"""Does `imgtool bench` measure what hyperfine measures? The same commands through both, by turns.

    python scripts/compare_hyperfine.py --rounds 3

Both get the same options, which have the same names in both: a pipe under --shell, a list of parameters, --setup,
--prepare and --cleanup, and a program of about 20 ms. Means agree if the difference is within the spread of the runs,
or too small to matter (a millisecond).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PYTHON = sys.executable
CASES: dict[str, tuple[bool, Sequence[str]]] = {
    "sleep": (False, ["sleep 0.1"]),
    "20 ms": (False, [f"{_PYTHON} -I -c 'import json'"]),
    "pipe": (True, ["seq 60000 | sort -rn | tail -n 1"]),
    "parameters": (False, ["-L", "n", "100000,1000000", f"{_PYTHON} -I -S -c 'sum(range({{n}}))'"]),
    "preparation": (
        True,
        [
            *("--setup", "seq 400000 > data", "--prepare", "rm -f data.gz", "--cleanup", "rm -f data data.gz"),
            "gzip -k data",
        ],
    ),
}
"""What both are given, and whether it needs a shell."""


def main() -> None:
    """Run every case and print both means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each tool")
    parser.add_argument("--runs", type=int, default=10, help="runs of a command in a turn")
    given = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    disagree = 0
    for name, (shell, words) in CASES.items():
        found: dict[str, dict[str, list[float]]] = {"hyperfine": {}, "imgtool": {}}
        for number in range(given.rounds):
            tools = list(found) if number % 2 == 0 else list(reversed(found))
            for tool in tools:
                run = _hyperfine if tool == "hyperfine" else _imgtool
                for command, times in run(shell, words, given.runs).items():
                    found[tool].setdefault(command, []).extend(times)
        for command, theirs in found["hyperfine"].items():
            ours = found["imgtool"][command]
            means = [statistics.mean(each) for each in (theirs, ours)]
            spreads = [statistics.stdev(each) for each in (theirs, ours)]
            agree = abs(means[0] - means[1]) <= max(*spreads, 0.001)
            disagree += not agree
            told = " against ".join(f"{m * 1e3:.2f} ± {s * 1e3:.2f} ms" for m, s in zip(means, spreads, strict=True))
            print(f"{name:<12} {told}  {'agree' if agree else 'DISAGREE'}  ({len(ours)} runs, {command})", flush=True)
    sys.exit(1 if disagree else 0)


def _hyperfine(shell: bool, words: Sequence[str], runs: int) -> dict[str, list[float]]:
    """Seconds of each run, by command."""
    with tempfile.TemporaryDirectory() as folder:
        # The shell is subtracted in hyperfine too.
        options = ["--shell", "sh" if shell else "none", "--warmup", "1", "--runs", str(runs), "--export-json", "out"]
        command = ["hyperfine", "--style", "none", *options, *words]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        results = json.loads(Path(folder, "out").read_text())["results"]
    return {each["command"]: each["times"] for each in results}


def _imgtool(shell: bool, words: Sequence[str], runs: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        options = [*(["--shell"] if shell else []), "--warm-ups", "1", "--runs", str(runs), "--save", "out"]
        command = [_PYTHON, "-m", "imgtool", "bench", "--quiet", *options, *words]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        saved = json.loads(Path(folder, "out").read_text())
    found: dict[str, list[float]] = {}
    for sample in saved["samples"]:
        if sample["run"] >= 0:
            found.setdefault(sample["arm"], []).append(sample["wall"])
    return found


if __name__ == "__main__":
    main()
