"""imgtool's text task against a bare RapidOCR loop: first result, images a second, own memory, and equal answers.

    python scripts/compare_rapidocr.py [--runs 5] [--images 200] [--before OTHER/.venv/bin/imgtool]

Every sample is a fresh process with an empty cache of results; the arms take turns (ABBA), after a run of each that
does not count. Prints medians with the range and ratios to the bare loop. ``--before`` is another version of imgtool,
for its memory. ``as RapidOCR`` is imgtool with ``--ocr order=raw``: its answers over all images are then compared with
those of RapidOCR itself, line by line.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imgtool.bench.data.record import Arm, ArmKind
from imgtool.bench.measure.launcher_client import Launcher
from imgtool.bench.measure.machine import describe_machine
from imgtool.bench.measure.sample_process import start

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "images"

# What a user would write: construct once, loop, print the lines.
BARE = """
import sys
from rapidocr import RapidOCR
engine = RapidOCR(params={"Global.log_level": "error"})
for path in sys.argv[1:]:
    result = engine(path)
    print(path, *(result.txts or ()))
"""

# The same loop over the pixels that imgtool decodes, so that it is the reading alone that is compared.
ANSWERS = """
import json, sys
import cv2
from rapidocr import RapidOCR
from imgtool.runtime.worker.decode import Decoder
engine, decoder = RapidOCR(params={"Global.log_level": "error"}), Decoder(300_000_000)
for path in sys.argv[1:]:
    found = engine(cv2.cvtColor(decoder.decode(path).pixels, cv2.COLOR_RGB2BGR))
    boxes = [] if found.boxes is None else found.boxes.tolist()
    print(json.dumps([list(line) for line in zip(found.txts or (), map(float, found.scores or ()), boxes)]))
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


def arm(name: str, *command: str) -> Arm:
    """A program that is given images."""
    return Arm(name=name, kind=ArmKind.COMMAND, command=command)


def reading(program: list[str], *more: str) -> list[str]:
    """imgtool without results that are kept."""
    options = [
        "-t",
        "text",
        "--text-engine",
        "rapidocr",
        "--pages",
        "first",
        "--format",
        "jsonl",
        "-q",
        "--no-cache",
        *more,
    ]
    return [*program, "analyze", *options]


def compare(title: str, arms: list[Arm], paths: list[Path], runs: int, scratch: Path) -> None:
    """Run every arm in turns and print what was found."""
    walls: dict[str, list[float]] = {each.name: [] for each in arms}
    anons: dict[str, list[float]] = {each.name: [] for each in arms}
    with Launcher(look_seconds=0.05) as launcher:
        for number in range(-1, runs):
            for each in arms if number % 2 else reversed(arms):
                command = (*each.command, *map(str, paths))
                program = arm(each.name, *command)
                sample, _ = start(program, number, launcher, scratch, 7200, {})
                if sample.error is not None:
                    raise SystemExit(f"{each.name} {sample.error}\n{sample.stderr_tail}")
                if number >= 0:
                    walls[each.name].append(sample.wall)
                    anons[each.name].append(0 if sample.memory is None else sample.memory.peak_anon or 0)
    print(f"\n{title} ({runs} runs each)")
    first = statistics.median(walls[arms[0].name])
    for name, values in walls.items():
        middle, own = statistics.median(values), statistics.median(anons[name]) / 1e6
        rate = f", {len(paths) / middle:.2f} images/s" if len(paths) > 1 else ""
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"  {name:<14} {middle:6.2f} s ({spread}){rate}, {first / middle:.2f} x, own memory {own:.0f} MB")


def different(ours: list[str], paths: list[Path]) -> tuple[int, int]:
    """How many lines there are, and on how many images any line, score or box differs."""
    given = [str(path) for path in paths]
    theirs = subprocess.run([sys.executable, "-c", ANSWERS, *given], check=True, capture_output=True, text=True)
    mine = subprocess.run([*ours, *given], check=True, capture_output=True, text=True)
    lines = wrong = 0
    for expected, result in zip(theirs.stdout.splitlines(), mine.stdout.splitlines(), strict=True):
        answer: list[dict[str, Any]] = json.loads(result)["tasks"]["text"]["value"]
        found = [[line["text"], line["confidence"], line["box"]] for line in answer]
        lines += len(found)
        wrong += found != json.loads(expected)
    return lines, wrong


def main() -> None:
    """Draw the images, run all, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each arm and set of images")
    parser.add_argument("--images", type=int, default=200, help="mixed images; 0 leaves them out")
    parser.add_argument("--before", help="the command of another version of imgtool")
    options = parser.parse_args()
    print(f"{describe_machine({}, 0).cpu}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = reading([sys.executable, "-m", "imgtool"], "--cache-dir", str(folder / "cache"))
        arms = [arm("bare RapidOCR", sys.executable, "-c", BARE), arm("imgtool", *ours)]
        # Without what imgtool reads better than RapidOCR alone, such as long pages and slivers.
        raw = [*ours, "--ocr", "order=raw"]
        arms.append(arm("as RapidOCR", *raw))
        if options.before:
            before = reading(shlex.split(options.before), "--cache-dir", str(folder / "before"))
            arms.append(arm("before", *before))
        examples = sorted(path for path in EXAMPLES.iterdir() if path.is_file())
        first = draw_text_image(folder / "first.png", 1000, 600, seed=1)
        compare("first result, 1000 x 600, cold process", arms, [first], options.runs, folder)
        compare(f"the {len(examples)} examples", arms, examples, options.runs, folder)
        paths = mixed_images(folder, options.images)
        if paths:
            compare(f"{len(paths)} images of 0.3 to 12 MP", arms, paths, options.runs, folder)
        lines, wrong = different(raw, examples + paths)
        print(f"\n{lines} lines compared: {wrong} of {len(examples + paths)} images differ in any line, score or box")


if __name__ == "__main__":
    main()
