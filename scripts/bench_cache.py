"""What the result store costs and what it is worth: hit rate of a repeated run, latency of a hit, look-ups a second.

    python scripts/bench_cache.py
    python scripts/bench_cache.py examples/images --records 1000000 --max-p99 1ms --min-hit-rate 90

First the images (drawn ones by default) are analyzed twice with one scratch cache. Then a scratch store is filled
through its own ``merge`` and measured in fresh processes at 1,000, 10,000, ... records: ``--runs`` times with its file
in the page cache, and once after the file was dropped from it. Exit code 7: a figure is worse than ``--max-p99`` or
``--min-hit-rate``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from imgtool.bench.arms.cached import beside_models
from imgtool.bench.arms.drawn_images import draw_in_child
from imgtool.bench.data.record import PageCache
from imgtool.bench.measure.pagecache import model_files, prepare
from imgtool.cli.analyze.parser import engine_options
from imgtool.engine.cache.records import ImageFacts, StoredAnswer, Update
from imgtool.engine.cache.store import ResultStore
from imgtool.errors import ExitCode
from imgtool.quantities import parse_duration
from imgtool.types import Backend

_BYTES_A_RECORD = 3000  # more than one takes on the disk, for the question whether there is room
_BATCH = 5000
_COLD_LOOKUPS = 2000
_BUSY = 3
"""Where wall time is more than so many times the processor time, look-ups waited for something else than the store."""

Figures = dict[str, Any]


def main() -> None:
    """Measure, print, and leave with 7 where a limit is exceeded."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="imgtool-bench-", dir=given.scratch) as name:
        folder = Path(name)
        free, needed = shutil.disk_usage(folder).free, given.records * _BYTES_A_RECORD
        if free < needed:
            raise SystemExit(
                f"{given.records:,} records need about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free"
            )
        found: Figures = {"repeated": repeated(given, folder), "sizes": at_all_sizes(given, folder / "store")}
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        report(found)
    last, rate = found["sizes"][-1], found["repeated"]["hit_rate_percent"]
    complaints = []
    if given.max_p99 is not None and last["hit_p99"] > given.max_p99:
        limit = micro(given.max_p99)
        complaints.append(f"p99 of a hit is {micro(last['hit_p99'])} at {last['records']:,} records, above {limit}")
    if given.min_hit_rate is not None and rate < given.min_hit_rate:
        complaints.append(f"the hit rate is {rate:.1f} %, below {given.min_hit_rate:g} %")
    for complaint in complaints:
        print(f"regression: {complaint}", file=sys.stderr)
    sys.exit(ExitCode.REGRESSION if complaints else ExitCode.OK)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="what the repeated run analyzes; drawn images by default")
    parser.add_argument("--images", type=int, default=20, help="images to draw for the repeated run")
    parser.add_argument("--options", default="", help="options of analyze for the repeated run, in quotes")
    parser.add_argument("--records", type=int, default=1_000_000, help="largest store to look up in")
    parser.add_argument("--lookups", type=int, default=20_000, help="look-ups a process")
    parser.add_argument("--runs", type=int, default=3, help="fresh processes a size")
    parser.add_argument("--scratch", help="folder for the scratch store")
    parser.add_argument("--max-p99", type=parse_duration, help="exit 7 if the p99 of a hit is above, as 1ms")
    parser.add_argument("--min-hit-rate", type=float, help="exit 7 if the hit rate is below, in percent")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def repeated(given: argparse.Namespace, folder: Path) -> Figures:
    """The same run twice, each in a fresh process, with the user's models and a cache of its own."""
    options, paths = shlex.split(given.options), list(given.paths)
    if not paths:
        draw_in_child(folder / "images", ((640, 480), (1000, 600)), given.images)
        paths = [str(folder / "images")]
    beside_models(engine_options(options), folder / "cache")
    counted = []
    for number in range(2):
        stats = folder / f"{number}.json"
        words = [*paths, *options, "--cache-dir", str(folder / "cache"), "--stats", str(stats), "--quiet"]
        command = [sys.executable, "-m", "imgtool", "analyze", *words, "--format", "jsonl"]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode not in (ExitCode.OK, ExitCode.SOME_FAILED):
            raise SystemExit(f"imgtool analyze ended with exit code {done.returncode}")
        counted.append(json.loads(stats.read_text()))
    first, again = counted
    return {
        "images": again["images"],
        "first_hits": first["hits"],
        "hits": again["hits"],
        "hit_rate_percent": again["hit_rate_percent"] or 0.0,
        "first_seconds": first["wall_seconds"],
        "seconds": again["wall_seconds"],
    }


def at_all_sizes(given: argparse.Namespace, root: Path) -> list[Figures]:
    """Figures of one store as it grows to ``given.records``. Seconds and bytes; percentiles are medians of the runs."""
    tens = [10**power for power in range(3, 12) if 10**power < given.records]
    found, before = [], 0
    for size in (*tens, given.records):
        print(f"filling a store: {size:,} records", file=sys.stderr)
        filled = in_fresh_process(fill, root, before, size)
        runs = [in_fresh_process(look_up, root, size, given.lookups, seed) for seed in range(given.runs)]
        resident = prepare(model_files([root]), PageCache.COLD)
        cold = in_fresh_process(look_up, root, size, min(given.lookups, _COLD_LOOKUPS), given.runs)
        middle = {name: median(run[name] for run in runs) for name in runs[0]}
        p99s = [run["hit_p99"] for run in runs]
        spread = {"least_hit_p99": min(p99s), "greatest_hit_p99": max(p99s), "cold_hit_p99": cold["hit_p99"]}
        found.append({"records": size, **filled, **middle, **spread, "resident_share": resident})
        before = size
    return found


def in_fresh_process(function: Callable[..., Figures], *arguments: object) -> Figures:
    """What ``function`` returns in an interpreter that has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def fill(root: Path, begin: int, end: int) -> Figures:
    """Add records ``begin`` to ``end`` (excluded) through the store's own ``merge``, many in a transaction."""
    began = time.perf_counter()
    store = _open(root)
    for first in range(begin, end, _BATCH):
        store.merge(made_up(number) for number in range(first, min(first + _BATCH, end)))
    seconds = time.perf_counter() - began
    entries, size = store.entries(), store.bytes()
    store.close()
    if entries != end:
        raise RuntimeError(f"the store holds {entries:,} records where {end:,} were merged")
    return {"bytes": size, "merged_per_second": (end - begin) / seconds}


def look_up(root: Path, records: int, lookups: int, seed: int) -> Figures:
    """Time look-ups of records that are there, in random order, and of as many that are not."""
    chance = random.Random(seed)
    present = [_key(chance.randrange(records)) for _ in range(lookups + 1)]
    absent = [_key(records + number) for number in range(lookups)]
    store = _open(root)
    _timed(store, present[:1], expected=True)
    hits, cpu = _timed(store, present[1:], expected=True)
    misses, _ = _timed(store, absent, expected=False)
    store.close()
    return {
        "hit_p50": percentile(hits, 0.5),
        "hit_p99": percentile(hits, 0.99),
        "hit_cpu_p99": percentile(cpu, 0.99),
        "miss_p50": percentile(misses, 0.5),
        "lookups_per_second": len(hits) / sum(hits),
    }


def _timed(store: ResultStore, keys: Sequence[str], *, expected: bool) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of each look-up."""
    clock, cpu_clock = time.perf_counter, time.thread_time
    seconds, cpu = [], []
    for key in keys:
        cpu_began, began = cpu_clock(), clock()
        record = store.get(key)
        ended = clock()
        cpu.append(cpu_clock() - cpu_began)
        seconds.append(ended - began)
        if (record is not None) is not expected:
            raise RuntimeError(f"the store {'lost' if expected else 'invented'} the record {key}")
    return seconds, cpu


def percentile(seconds: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: one of the values."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _open(root: Path) -> ResultStore:
    troubles: list[str] = []
    store = ResultStore(root, size_limit=2**60, ttl=None, warn=troubles.append)
    if troubles or not store.enabled:
        raise RuntimeError(troubles[0] if troubles else "the scratch store cannot be opened")
    return store


def _key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def made_up(number: int) -> Update:
    """An image with a caption, up to a dozen lines of text and five labels: 0.6 to 2.5 kB as JSON."""
    box = [[40, 60], [400, 60], [400, 90], [40, 90]]
    lines = [{"text": f"line {line} of image {number}", "confidence": 0.93, "box": box} for line in range(number % 13)]
    labels = [{"label": f"class {number % 7} {rank}", "score": 0.5 / (rank + 1), "index": rank} for rank in range(5)]
    values = {"caption": f"a photograph of number {number} on a table", "text": lines, "labels": labels}
    answers = {
        f"{task}-{'0' * 24}": StoredAnswer(
            msgspec.Raw(msgspec.json.encode(value)), task, f"{task} model", "1", Backend.ONNX, 0.25, 1.7e9
        )
        for task, value in values.items()
    }
    return Update(_key(number), ImageFacts("JPEG", 1000, 600, 1, 100_000 + number % 50_000), answers, {})


def report(found: Figures) -> None:
    """A sentence on the repeated run and a table of sizes."""
    run = found["repeated"]
    print(
        f"repeated run: {run['hits']:,} of {run['images']:,} images from the cache ({run['hit_rate_percent']:.0f} %); "
        f"{1000 * run['seconds'] / run['images']:.1f} ms an image, "
        f"{1000 * run['first_seconds'] / run['images']:.0f} ms the first time\n"
    )
    print("  records      size   hit p50   hit p99   (of runs)          cold p99  miss p50  look-ups/s  merged/s")
    for size in found["sizes"]:
        spread = f"{size['least_hit_p99'] * 1e6:,.0f}..{micro(size['greatest_hit_p99'])}"
        print(
            f"{size['records']:>9,} {size['bytes'] / 1e6:>6,.0f} MB {micro(size['hit_p50']):>9} "
            f"{micro(size['hit_p99']):>9}   {spread:<17} {micro(size['cold_hit_p99']):>9} {micro(size['miss_p50']):>9} "
            f"{size['lookups_per_second']:>11,.0f} {size['merged_per_second']:>9,.0f}"
        )
    last = found["sizes"][-1]
    if last["hit_p99"] > _BUSY * last["hit_cpu_p99"]:
        print(
            f"\nnoisy: p99 is {micro(last['hit_p99'])} of wall time, {micro(last['hit_cpu_p99'])} of processor time: "
            "look-ups waited for other programs or the disk; close those, or raise --runs"
        )


def micro(seconds: float) -> str:
    """``17 µs``."""
    return f"{seconds * 1e6:,.0f} µs"


if __name__ == "__main__":
    main()
