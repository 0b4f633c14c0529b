"""Kill imgtool's commands at random moments, look at what they leave, and print a table.

    python scripts/kill_at_random.py [--kills 500] [--seed 1] [--at-once 2]

Every kill takes the whole process tree. The exit code is 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.killed_cases import CASES, SERVICE_KILLS, kill_case  # noqa: E402 - after the path is set
from tests.faults.killed_service import KilledService  # noqa: E402
from tests.faults.kills import Tally  # noqa: E402


def kill_service(folder: Path, times: int, seed: int) -> Tally:
    return KilledService(folder).kill(times, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="in sum")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2, help="cases at the same time")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("IMGTOOL_")]:
        del os.environ[name]
    whole = sum(CASES.values()) + SERVICE_KILLS
    share = given.kills / whole
    began, tallies = time.monotonic(), []
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(given.at_once) as processes:
        os.environ["XDG_CONFIG_HOME"] = name
        folder, times = Path(name) / "service", max(1, round(SERVICE_KILLS * share))
        jobs = [processes.submit(kill_service, folder, times, given.seed)]
        for case, times in CASES.items():
            folder = Path(name) / case.__name__
            jobs.append(processes.submit(kill_case, case, folder, max(1, round(times * share)), given.seed))
        for job in jobs:
            tallies.append(job.result())
            print(f"{tallies[-1].case}: {tallies[-1].landed} kills", file=sys.stderr, flush=True)
    print("| case | kills | runs that ended before | complete runs | images reported | of these not kept | wrong |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for each in tallies:
        figures = (each.landed, each.late, each.completed, each.reported, each.unkept, len(each.complaints))
        print(f"| {each.case} | {' | '.join(map(str, figures))} |")
    print(f"\n{sum(each.landed for each in tallies)} kills in {time.monotonic() - began:.0f} s")
    for each in tallies:
        for complaint in each.complaints:
            print(f"{each.case}: {complaint}")
    return 1 if any(each.complaints for each in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
