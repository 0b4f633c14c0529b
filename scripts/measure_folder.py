"""Large folders: memory of a run as the number of images grows, and how long a run takes whose answers are all kept.

    python scripts/measure_folder.py [--sizes 1000,10000,100000] [--runs 5] [--options "-t text"]

Small pictures are drawn, each of its own content. For every number of them one run computes the answers, then
``--runs`` runs in fresh processes find them in the cache. Prints seconds, processor seconds, and memory of all
processes at once.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.sample_process import start

_IN_A_FOLDER = 1000


def draw(folder: Path, first: int, last: int) -> None:
    """Pictures of 32 x 24, from number ``first`` up to ``last``."""
    levels = np.random.default_rng(first).integers(0, 256, (last - first, 6, 8, 3), dtype=np.uint8)
    for number, small in enumerate(levels, first):
        place = folder / f"{number // _IN_A_FOLDER:03}"
        place.mkdir(exist_ok=True, parents=True)
        Image.fromarray(small).resize((32, 24)).save(place / f"{number:06}.png", compress_level=1)


def main() -> None:
    """Draw, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000", help="numbers of images, rising")
    parser.add_argument("--runs", type=int, default=5, help="runs from the cache")
    parser.add_argument("--options", default="-t caption --caption-engine describe", help="of analyze")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Launcher(look_seconds=0.05) as launcher:
        scratch, before = Path(name), 0
        images, output = scratch / "images", str(scratch / "out.jsonl")
        words = ["analyze", str(images), *shlex.split(given.options), "-q", "-o", output]
        command = (sys.executable, "-m", "imgtool", *words, "--cache-dir", str(scratch / "cache"))
        arm = Arm(name="analyze", kind=ArmKind.COMMAND, command=command)
        for size in map(int, given.sizes.split(",")):
            draw(images, before, size)
            for title, runs in ((f"{size - before:,} of {size:,} computed", 1), (f"{size:,} cached", given.runs)):
                samples = [start(arm, number, launcher, scratch, 36_000, {}) for number in range(runs)]
                if failed := next((sample for sample, _ in samples if sample.error is not None), None):
                    raise SystemExit(f"{title}: {failed.error}\n{failed.stderr_tail}")
                walls = [sample.wall for sample, _ in samples]
                cpu = statistics.median(ended.cpu_seconds for _, ended in samples)
                peaks = [sample.memory for sample, _ in samples if sample.memory is not None]
                rss = statistics.median([peak.tree_peak_rss for peak in peaks] or [0]) / 1e6
                own = statistics.median([peak.peak_anon or 0 for peak in peaks] or [0]) / 1e6
                spread = f"{min(walls):.2f} to {max(walls):.2f}"
                print(
                    f"{title:<28} {statistics.median(walls):7.2f} s ({spread}), {cpu:.2f} processor s, "
                    f"{rss:.0f} MB resident, {own:.0f} MB own",
                    flush=True,
                )
            before = size


if __name__ == "__main__":
    main()
