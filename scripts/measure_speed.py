"""All figures of speed that this project states about itself, one after the other, for a quiet machine.

    python scripts/measure_speed.py [--quick] [--before OTHER/.venv/bin/imgtool] [--cache-dir DIR] [--only PART,PART]

Parts: ``slim`` (text by RapidOCR beside a bare loop), ``first`` (first result and time an image of the naive program,
exact and fast), ``batches`` (equal answers at batch sizes 1 and 16), ``roofline``, ``gate`` (planted damage, and a real
detector in 8 bits), ``folder`` (10,000 and 100,000 images). Weights are synthetic and of full size, but for RapidOCR's,
which are real. Within a part all arms take turns. Two hours, or half of one with ``--quick``, whose figures are only a
look.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from imgtool.bench.data.record import Metric
from imgtool.bench.data.saved import load_experiment

ROOT = Path(__file__).resolve().parent.parent
IMGTOOL = [sys.executable, "-m", "imgtool"]
PHOTOGRAPHS = "640x480,1000x600,1280x960,1920x1080,4000x3000"


def run(*command: str | Path) -> str:
    """Run it, and show what it printed."""
    print(f"\n$ {' '.join(map(str, command))}", flush=True)
    done = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout + (f"(exit code {done.returncode})" if done.returncode else ""), flush=True)
    return done.stdout


def slim(quick: bool, before: str | None) -> None:
    """Text alone."""
    more = ["--before", before] if before else []
    sizes = ["--runs", "1", "--images", "12"] if quick else ["--runs", "3", "--images", "200"]
    run(sys.executable, "scripts/compare_rapidocr.py", *sizes, *more)


def first(quick: bool, before: str | None) -> None:
    """First result and the time an image of naive program, exact and fast."""
    saved, runs = Path(os.environ["IMGTOOL_CACHE_DIR"]) / "speed.json", "2" if quick else "10"
    arms = ["--arms", "eager,compiled,compiled-fast", "--runs", runs, "--steady", "3"]
    run(*IMGTOOL, "bench", "--weights", "synthetic", *arms, "--save", saved)
    found = load_experiment(saved)
    for metric, one, other in (
        (Metric.FIRST_RESULT, "eager", "compiled"),
        (Metric.FIRST_RESULT, "eager", "compiled-fast"),
        (Metric.STEADY, "eager", "compiled"),
        (Metric.STEADY, "eager", "compiled-fast"),
        (Metric.STEADY, "compiled", "compiled-fast"),
    ):
        ours, theirs = (statistics.median(found.values(arm, metric)) for arm in (other, one))
        print(f"{metric.value}: {other} takes {ours / theirs:.2f} of {one}, {theirs / ours:.2f} x as fast")


def batches(quick: bool, before: str | None) -> None:
    """The answers of both sizes of batches, image by image."""
    images = sorted(path for path in (ROOT / "examples" / "images").iterdir())[: 4 if quick else None]
    for precision in ("exact", "fast"):
        answers = []
        for size in ("1", "16"):
            options = ["--weights", "synthetic", "--no-cache", "--format", "jsonl", "-q", "--batch-size", size]
            words = [*options, "--backend", "onnx", "--precision", precision, "-t", "caption,text"]
            found = run(*IMGTOOL, "analyze", *images, *words).splitlines()
            tasks = [json.loads(line)["tasks"] for line in found]
            answers.append([[each["value"] for each in image.values()] for image in tasks])
        alike = sum(one == other for one, other in zip(*answers, strict=True))
        print(f"{precision}: {alike} of {len(answers[0])} pages have equal answers at batch sizes 1 and 16")


def roofline(quick: bool, before: str | None) -> None:
    """Images a second by workers and threads, and the share of what the processor can do."""
    count = ["--images", "5", "--runs", "1"] if quick else ["--images", "40", "--runs", "3"]
    text = ["--options", "-t text --text-engine rapidocr", "--arm", "slim=", "--arm", "bare-rapidocr"]
    run(*IMGTOOL, "bench", "throughput", "--sizes", PHOTOGRAPHS, *count, *text)
    cores = str(os.cpu_count() or 1)
    if cores != "1":
        run(*IMGTOOL, "bench", "throughput", *count, *text, "--workers", f"1,{cores}", "--threads", f"1,{cores}")
    arms = [word for arm in ("eager", "compiled", "compiled-fast") for word in ("--arm", arm)]
    run(*IMGTOOL, "bench", "throughput", *count, "--options", "--weights synthetic -t caption,text", *arms)
    run(*IMGTOOL, "bench", "throughput", *count, "--options", "--weights synthetic -t text", *arms)


def gate(quick: bool, before: str | None) -> None:
    """What the gate refuses and lets pass."""
    run(sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:xdist", "tests/compiling/lossy/test_gate.py")
    os.environ.update(IMGTOOL_WEIGHTS="synthetic", IMGTOOL_PRECISION="fast")
    run(*IMGTOOL, "models", "easyocr")
    run(*IMGTOOL, "models", "blip")


def folder(quick: bool, before: str | None) -> None:
    """Memory and time of large folders."""
    run(sys.executable, "scripts/measure_folder.py", "--sizes", "100,1000" if quick else "1000,10000,100000")


PARTS = {each.__name__: each for each in (slim, first, batches, roofline, folder, gate)}


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--before", help="the program of an earlier version, for its memory")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path("/tmp/imgtool-speed"), help="compiled models are kept here"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    given = parser.parse_args()
    given.cache_dir.mkdir(parents=True, exist_ok=True)
    os.environ["IMGTOOL_CACHE_DIR"] = str(given.cache_dir.absolute())
    names = given.only.split(",")
    if not {"first", "batches", "roofline", "gate"}.isdisjoint(names):
        run(*IMGTOOL, "warm-cache", "--weights", "synthetic", "--precision", "fast")
    for name in names:
        began = time.perf_counter()
        print(f"\n== {name}: {PARTS[name].__doc__}", flush=True)
        PARTS[name](given.quick, given.before)
        print(f"== {name} took {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
