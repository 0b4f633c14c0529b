"""imgtool's text task against a bare RapidOCR script: first result of a cold process, and images a second.

    python scripts/compare_rapidocr.py [--runs 10] [--images 200]

Every sample is a fresh process; the two arms are interleaved (ABBA). Prints medians with the range, and the ratio.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# What a user would write: construct once, loop, print the lines.
BARE = """
import sys
from rapidocr import RapidOCR
engine = RapidOCR(params={"Global.log_level": "error"})
for path in sys.argv[1:]:
    result = engine(path)
    print(path, *(result.txts or ()))
"""


WORDS = ("invoice", "total", "harbour", "street", "2026", "apple", "12.50", "open", "market", "lemon", "tea", "north")


def draw_text_image(path: Path, width: int, height: int, seed: int) -> Path:
    """A page of random words over a little noise, as photographed documents have."""
    random_source = random.Random(seed)
    noise = np.random.default_rng(seed).integers(225, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(14, height // 24))
    for line in range(random_source.randint(4, 10)):
        text = " ".join(random_source.choices(WORDS, k=random_source.randint(2, 5)))
        draw.text((width // 20, height // 14 + line * height // 12), text, fill=(20, 20, 40), font=font)
    image.save(path, quality=88)
    return path


def mixed_images(folder: Path, count: int) -> list[Path]:
    """``count`` JPEGs of 0.3 to 12 megapixels, most of them in between, as a phone's folder holds."""
    sizes = [(640, 480), (1000, 600), (1280, 960), (1920, 1080), (2592, 1944), (4000, 3000)]
    chosen = random.Random(7).choices(sizes, weights=[4, 5, 4, 4, 2, 1], k=count)
    return [draw_text_image(folder / f"{n:03}.jpg", *size, seed=n) for n, size in enumerate(chosen)]


def bare(paths: list[Path]) -> None:
    """One run of the bare script."""
    subprocess.run([sys.executable, "-c", BARE, *map(str, paths)], check=True, stdout=subprocess.DEVNULL)


def ours(paths: list[Path]) -> None:
    """One run of imgtool with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "imgtool", "analyze", *map(str, paths), "-t", "text", "-q"]
        command += ["--text-engine", "rapidocr", "--format", "jsonl", "--cache-dir", cache]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)


def timed(run: Callable[[list[Path]], None], paths: list[Path]) -> float:
    """Seconds of wall time."""
    began = time.perf_counter()
    run(paths)
    return time.perf_counter() - began


def interleaved(paths: list[Path], runs: int) -> tuple[list[float], list[float]]:
    """``runs`` samples of each arm after a warm-up of each, in the order ABBA."""
    timed(bare, paths[:1])
    timed(ours, paths[:1])
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(runs):
        order = [(0, bare), (1, ours)] if number % 2 == 0 else [(1, ours), (0, bare)]
        for index, run in order:
            samples[index].append(timed(run, paths))
    return samples


def report(title: str, samples: tuple[list[float], list[float]], images: int) -> None:
    """Medians, ranges and the ratio."""
    print(f"\n{title} (n = {len(samples[0])} each)")
    for name, values in zip(("bare RapidOCR", "imgtool"), samples, strict=True):
        middle = statistics.median(values)
        rate = f", {images / middle:.2f} images/s" if images > 1 else ""
        print(f"  {name:<14} median {middle:.2f} s (range {min(values):.2f} to {max(values):.2f}){rate}")
    print(f"  ratio of medians {statistics.median(samples[1]) / statistics.median(samples[0]):.2f}")


def main() -> None:
    """Draw the images, run both, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="cold starts of each arm")
    parser.add_argument("--images", type=int, default=200, help="images of the throughput run; 0 leaves it out")
    parser.add_argument("--throughput-runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = draw_text_image(folder / "first.png", 1000, 600, seed=1)
        report("first result, 1000 x 600, cold process", interleaved([first], options.runs), 1)
        if options.images:
            paths = mixed_images(folder, options.images)
            samples = interleaved(paths, options.throughput_runs)
            report(f"throughput, {options.images} images of 0.3 to 12 MP", samples, options.images)


if __name__ == "__main__":
    main()
