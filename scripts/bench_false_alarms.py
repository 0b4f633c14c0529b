"""How often does `imgtool bench` cry wolf, and does it hear one? Many experiments through the command itself.

Each experiment has two arms that start the same program, one after the other as `imgtool bench` interleaves them. With
``--slowing 0`` the two are the same, and every "slower" or "faster" is a false alarm; with ``--slowing 0.2`` a wrapper
makes each run of the second a fifth longer, and everything but "slower" is a miss. ``--load 1`` keeps one core busy.

    python scripts/bench_false_alarms.py --experiments 40
    python scripts/bench_false_alarms.py --experiments 40 --slowing 0.2
    python scripts/bench_false_alarms.py --experiments 40 --slowing 0.2 --load 1

The wrapper is this file, with ``PLANTED_SLOWING`` in its environment: it runs the program, then waits for that share of
the time that it took, so that a slowing is the same share on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SWITCH = "PLANTED_SLOWING"
_PROGRAM = (sys.executable, "-c", "import decimal, email.message, http.client, xml.dom.minidom; sum(range(3_000_000))")


def main() -> None:
    """Run the experiments and count what they say."""
    given = _arguments()
    program = tuple(given.program) or _PROGRAM
    verdicts: Counter[str] = Counter()
    with _busy_cores(given.load):
        for number in range(given.experiments):
            verdict, low, high, ratio = _experiment(program, given.slowing, given.runs)
            verdicts[verdict] += 1
            print(f"{number + 1:>3}  {verdict:<13} ratio {ratio:.3f} ({low:.3f} .. {high:.3f})", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=40, help="how many comparisons")
    parser.add_argument("--runs", type=int, default=10, help="runs an arm")
    parser.add_argument("--slowing", type=float, default=0.0, help="share to plant, 0.2 for a fifth")
    parser.add_argument("--load", type=int, default=0, help="cores to keep busy meanwhile")
    parser.add_argument("program", nargs="*", help="what to start, after --; a Python that imports and adds by default")
    return parser.parse_args()


def _wrapped(program: Sequence[str], slowing: float) -> list[str]:
    """The command of an arm: both arms go through the wrapper, so that only the slowing differs."""
    return ["env", f"{_SWITCH}={slowing}", sys.executable, "-I", "-S", str(Path(__file__).resolve()), *program]


def _experiment(program: Sequence[str], slowing: float, runs: int) -> tuple[str, float, float, float]:
    """The verdict of the command on the second arm's wall time, and the ratio with its interval."""
    from imgtool.bench.data.record import Experiment, Metric
    from imgtool.bench.stats.comparison import compare
    from imgtool.ground.versioned import decode

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "experiment.json"
        command = [sys.executable, "-m", "imgtool", "bench", "--quiet", "--runs", str(runs), "--save", str(saved)]
        for name, share in (("first", 0.0), ("second", slowing)):
            command += ["--command", f"{name}={shlex.join(_wrapped(program, share))}"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        experiment = decode(saved.read_bytes(), Experiment)
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


def _run_slowed() -> None:
    """The wrapper's side."""
    share = float(os.environ.pop(_SWITCH))
    # From before the wrapper itself was started, so that its own time is slowed too.
    began = int(os.environ["IMGTOOL_TRACE_SPAWNED"]) / 1e9
    subprocess.run(sys.argv[1:], check=True)
    time.sleep(share * (time.monotonic() - began))


if __name__ == "__main__":
    if _SWITCH in os.environ:
        _run_slowed()
    else:
        main()
