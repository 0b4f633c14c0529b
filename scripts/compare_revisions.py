"""Compare two checkouts of imgtool: a run in which every answer is cached, the first result of compiled models, and a
folder of ordinary photos of which nothing is cached.

    python scripts/compare_revisions.py BEFORE AFTER [--images 10000] [--runs 10] [--first-result]
        [--models '--weights synthetic --scale small'] [--photos 40] [--photo-options '-t text --text-engine rapidocr']

BEFORE and AFTER are folders with a checkout, each with its environment in ``.venv``. The runs are interleaved: before,
after, before, after. Printed are medians with the range, of wall time and of CPU time (user and system, with workers).
On a shared machine CPU time is the steadier of the two.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from PIL import Image

PLANTED = ("-t", "caption,text", "--caption-engine", "tests.planted:Hazard", "--text-engine", "tests.planted:Fine")


def draw(folder: Path, count: int) -> None:
    """``count`` small images, each with a content of its own, a thousand a folder."""
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        colour = (number % 200 + 10, number // 200 % 200 + 10, 77)
        Image.new("RGB", (8, 6 + number // 40_000), colour).save(place / f"{number:06}.png")
    # Nothing is trusted that was changed in the last two seconds.
    time.sleep(2.5)


def take_photos(folder: Path, count: int) -> None:
    """``count`` JPEG files of twelve megapixels, as a camera writes them: 4:2:0, quality 90, with EXIF."""
    folder.mkdir()
    for number in range(count):
        shades = [Image.effect_noise((500, 375), 40 + number).resize((4000, 3000), Image.Resampling.BICUBIC)]
        shades += [shades[0].rotate(180), shades[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        exif = Image.Exif()
        exif[0x0110], exif[0x0112] = "Camera", 6 if number % 4 == 0 else 1
        Image.merge("RGB", shades).save(folder / f"{number:04}.jpg", quality=90, subsampling=2, exif=exif)


def run(tree: Path, arguments: list[str], output: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of ``imgtool analyze`` in ``tree``."""
    command = [str(tree / ".venv/bin/python"), "-m", "imgtool", "analyze", *arguments, "-f", "jsonl", "-q"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with output.open("wb") as stream:
        # Bytecode is kept, as where imgtool is installed, but not in the trees.
        kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(output.parent / "bytecode")}
        environment = {**os.environ, **kept, "PYTHONPATH": str(tree), **environ}
        subprocess.run(command, cwd=tree, env=environment, stdout=stream, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shown(name: str, values: list[float]) -> str:
    return f"{name} {statistics.median(values):.3f} s ({min(values):.3f}..{max(values):.3f})"


def compare(trees: dict[str, Path], arguments: list[str], runs: int, scratch: Path, environ: dict[str, str]) -> None:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in trees}
    for number in range(runs):
        names = list(trees) if number % 2 == 0 else list(trees)[::-1]
        for name in names:
            figures[name].append(run(trees[name], arguments, scratch / f"{name}.jsonl", environ))
    lengths = {name: (scratch / f"{name}.jsonl").read_bytes().count(b"\n") for name in trees}
    assert len(set(lengths.values())) == 1, lengths
    for name, pairs in figures.items():
        wall, cpu = ([pair[each] for pair in pairs] for each in (0, 1))
        print(f"  {name:7} {shown('wall', wall)}   {shown('cpu', cpu)}   {lengths[name]:,} results")
    ratios = [after[each] / before[each] for each in (0, 1) for before, after in zip(*figures.values(), strict=True)]
    half = len(ratios) // 2
    print(f"  after / before: wall {statistics.median(ratios[:half]):.3f}, cpu {statistics.median(ratios[half:]):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first-result", action="store_true", help="also one image with compiled models")
    parser.add_argument("--models", default="--weights synthetic", help="options for that image, in quotes")
    parser.add_argument("--photos", type=int, default=0, help="also so many photos, nothing cached")
    parser.add_argument(
        "--photo-options", default="-t caption --caption-engine describe", help="options for these, in quotes"
    )
    given = parser.parse_args()
    trees = {"before": given.before.resolve(), "after": given.after.resolve()}
    with tempfile.TemporaryDirectory(prefix="imgtool-compare-") as name:
        scratch = Path(name)
        environ = {"IMGTOOL_CACHE_DIR": str(scratch / "cache")}
        if given.images:
            cached = scratch / "cached"
            draw(cached, given.images)
            print(f"{given.images:,} images, all cached ({given.runs} runs each, interleaved)")
            for tree in trees.values():
                run(tree, [str(cached), *PLANTED], scratch / "fill.jsonl", environ)
            compare(trees, [str(cached), *PLANTED], given.runs, scratch, environ)
        if given.photos:
            take_photos(scratch / "photos", given.photos)
            print(f"{given.photos:,} photos, nothing cached ({given.runs} runs each, interleaved)")
            flags = [str(scratch / "photos"), *shlex.split(given.photo_options), "--no-cache"]
            compare(trees, flags, given.runs, scratch, environ)
        if given.first_result:
            image = scratch / "one.png"
            Image.effect_noise((320, 240), random.Random(7).uniform(60, 61)).convert("RGB").save(image)
            flags = [str(image), "-t", "caption,text", *shlex.split(given.models), "--no-cache"]
            print(f"one image, compiled models, nothing cached ({given.runs} runs each, interleaved)")
            compare(trees, flags, given.runs, scratch, {})


if __name__ == "__main__":
    main()
