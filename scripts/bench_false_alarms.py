"""How often does `imgtool bench` cry wolf, and does it hear one? Many experiments through the command itself.

Each experiment has two arms that start the same program, one after the other as `imgtool bench` interleaves them. With
``--delay 0`` the two are the same, and every "slower" or "faster" is a false alarm; with ``--delay 0.2`` a wrapper lets
the second start a fifth later, and everything but "slower" is a miss. ``--load 1`` keeps one core busy meanwhile.

    python scripts/bench_false_alarms.py --experiments 40
    python scripts/bench_false_alarms.py --experiments 40 --delay 0.2
    python scripts/bench_false_alarms.py --experiments 40 --delay 0.2 --load 1

The wrapper is this file: it waits for as long as ``PLANTED_DELAY`` says, then becomes the program.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SWITCH = "PLANTED_DELAY"
_PROGRAM = (sys.executable, "-c", "import decimal, email.message, http.client, xml.dom.minidom; sum(range(3_000_000))")
_CALIBRATION_RUNS = 9


def main() -> None:
    """Run the experiments and count what they say."""
    given = _arguments()
    program = tuple(given.program) or _PROGRAM
    with _busy_cores(given.load):
        usual = _usual_seconds(program)
        delay = given.delay * usual
        print(f"the program takes {usual:.3f} s; {delay:.3f} s are planted into the second arm")
        verdicts: Counter[str] = Counter()
        for number in range(given.experiments):
            verdict, low, high, ratio = _experiment(program, delay, given.runs)
            verdicts[verdict] += 1
            print(f"{number + 1:>3}  {verdict:<13} ratio {ratio:.3f} ({low:.3f} .. {high:.3f})", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=40, help="how many comparisons")
    parser.add_argument("--runs", type=int, default=10, help="runs an arm")
    parser.add_argument("--delay", type=float, default=0.0, help="share of the usual time to plant, 0.2 for a fifth")
    parser.add_argument("--load", type=int, default=0, help="cores to keep busy meanwhile")
    parser.add_argument("program", nargs="*", help="what to start, after --; a Python that imports and adds by default")
    return parser.parse_args()


def _wrapped(program: Sequence[str], delay: float) -> list[str]:
    """The command of an arm: both arms go through the wrapper, so that only the delay differs."""
    return ["env", f"{_SWITCH}={delay}", sys.executable, "-I", "-S", str(Path(__file__).resolve()), *program]


def _usual_seconds(program: Sequence[str]) -> float:
    """The median time of the wrapped program, undelayed, as it is under the load there is."""
    seconds = []
    for _ in range(_CALIBRATION_RUNS):
        began = time.monotonic()
        subprocess.run(_wrapped(program, 0.0), stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def _experiment(program: Sequence[str], delay: float, runs: int) -> tuple[str, float, float, float]:
    """The verdict of the command on the second arm's wall time, and the ratio with its interval."""
    from imgtool.bench.comparison import compare
    from imgtool.bench.record import Metric, decode

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "experiment.json"
        command = [sys.executable, "-m", "imgtool", "bench", "--quiet", "--runs", str(runs), "--save", str(saved)]
        for name, seconds in (("first", 0.0), ("second", delay)):
            command += ["--command", f"{name}={shlex.join(_wrapped(program, seconds))}"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        experiment = decode(saved.read_bytes())
    first, second = (experiment.values(arm.name, Metric.WALL) for arm in experiment.arms)
    found = compare(first, second)
    assert found.ratio is not None and found.low is not None and found.high is not None
    return found.verdict.value, found.low, found.high, found.ratio


@contextmanager
def _busy_cores(count: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _become_the_program() -> None:
    """The wrapper's side: wait, then be replaced."""
    time.sleep(float(os.environ.pop(_SWITCH)))
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    if _SWITCH in os.environ:
        _become_the_program()
    else:
        main()
