"""Whether memory grows with the work: of an engine on torch, of one long run, or of a service.

    python scripts/measure_memory_over_calls.py easyocr FOLDER [CALLS]
    python scripts/measure_memory_over_calls.py blip FOLDER [CALLS]
    python scripts/measure_memory_over_calls.py analyze [IMAGES]
    python scripts/measure_memory_over_calls.py serve [REQUESTS]

The first two call one engine: own memory after every 50th of 500 calls. ``FOLDER`` holds the weights (EasyOCR's two
files for ``ko,en``, or a checkout of BLIP). Pictures are small, of changing size, with a dark mark so that the
recogniser has work.

The others run imgtool over 20,000 small pictures that are all different, with captions by ``describe``, and look at it
hundreds of times: memory of its own (RssAnon) of the process and of its workers, open files, zombies. Printed is the
slope of Theil and Sen with its 95 % interval, without the first two fifths, in which everything is loaded and what is
kept in memory reaches its limits: pages of databases 5.5 MB, rows of the file index 2 MB. Linux only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from imgtool import trace
from imgtool.analyzers.caption.blip import BlipTorch
from imgtool.analyzers.interface import Analyzer
from imgtool.analyzers.text.easyocr import EasyOcrTorch
from imgtool.bench.stats.slope import slope
from imgtool.ground.cores import granted_cores
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions

CALLS, EVERY = 500, 50


def opened(engine: str, folder: Path) -> Analyzer:
    """The engine with the weights in ``folder``, loaded."""
    cls, options = {
        "easyocr": (EasyOcrTorch, EngineOptions(easyocr_dir=folder)),
        "blip": (BlipTorch, EngineOptions(caption_model=str(folder))),
    }[engine]
    analyzer = cls({**cls.parameters(options), "threads": granted_cores()})
    analyzer.load()
    return analyzer


def drawn(number: int) -> Picture:
    """A light sheet with a dark bar, of another size each time."""
    random = np.random.default_rng(number)
    width, height = (int(side) for side in random.integers((64, 32), (160, 80)))
    pixels: NDArray[np.uint8] = np.full((height, width, 3), 235, dtype=np.uint8)
    x, y = int(random.integers(0, width - 40)), int(random.integers(0, height - 14))
    pixels[y : y + 12, x : x + 36] = 20
    return Picture(pixels, width, height, "PNG")


def main(engine: str, folder: str, calls: int = CALLS) -> None:
    """Print ``calls  RssAnon in MB  seconds`` every 50 calls."""
    analyzer, began = opened(engine, Path(folder)), time.perf_counter()
    for number in range(calls + 1):
        if number % EVERY == 0:
            seconds = time.perf_counter() - began
            print(f"{number:5}  {trace.memory()['anon'] / 1e6:8.1f} MB  {seconds:6.0f} s", flush=True)
        analyzer.run([drawn(number)])


IMAGES, LOOKS, WARM = 20_000, 400, 0.4
ENGINES = ("-t", "caption", "--caption-engine", "describe", "-q")


class Look(NamedTuple):
    """The state of a process and of those that it started: bytes of own memory, counts."""

    done: int
    parent: int
    workers: int
    files: int
    zombies: int
    processes: int


def look_at(process: psutil.Process, done: int) -> Look:
    """One look. Processes that end meanwhile do not count."""
    anon, files, zombies = [], 0, 0
    family = [process, *process.children(recursive=True)]
    for each in family:
        try:
            if each.status() == psutil.STATUS_ZOMBIE:
                zombies += 1
                continue
            anon.append(trace.memory(each.pid)["anon"])
            files += each.num_fds()
        except (psutil.Error, OSError, KeyError):
            continue
    return Look(done, anon[0] if anon else 0, sum(anon[1:]), files, zombies, len(family))


def draw_many(folder: Path, count: int) -> Iterator[Path]:
    """Small pictures that are all different, a thousand in a folder."""
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        place.mkdir(exist_ok=True)
        path = place / f"{number:06}.png"
        colour = (number % 256, number // 256 % 256, 90)
        Image.new("RGB", (24 + number % 5, 16 + number % 3), colour).save(path, compress_level=1)
        yield path


def report(looks: list[Look], cache: Path) -> None:
    """Print the slopes and the rest."""
    steady = [each for each in looks if each.done >= WARM * looks[-1].done] or looks
    print(f"{looks[-1].done:,} images, {len(looks)} looks, {len(steady)} of them after the first two fifths")
    for name in ("parent", "workers"):
        found = slope([each.done / 1000 for each in steady], [getattr(each, name) / 1e6 for each in steady])
        if found is not None:
            print(
                f"{name}: {found.estimate:+.3f} MB per 1,000 images ({found.low:+.3f} to {found.high:+.3f}),"
                f" median {found.level:.1f} MB"
            )
    for name in ("files", "zombies", "processes"):
        values = [getattr(each, name) for each in steady]
        print(f"{name}: {min(values)} to {max(values)}, at the end {values[-1]}")
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    print(f"cache: {size / 1e6:.1f} MB")


def over_a_run(count: int) -> None:
    """One run of ``imgtool analyze``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        for _ in draw_many(folder / "photos", count):
            pass
        out = folder / "out.jsonl"
        command = [sys.executable, "-m", "imgtool", "analyze", str(folder / "photos"), *ENGINES]
        environ = {**os.environ, "IMGTOOL_CACHE_DIR": str(folder / "cache")}
        with subprocess.Popen([*command, "-f", "jsonl", "-o", str(out)], env=environ) as process:
            looks: list[Look] = []
            done = place = 0
            while process.poll() is None:
                if out.exists():
                    with out.open("rb") as file:
                        file.seek(place)
                        new = file.read()
                    done, place = done + new.count(b"\n"), place + len(new)
                if done >= len(looks) * count / LOOKS:
                    look = look_at(psutil.Process(process.pid), done)
                    if look.parent:  # else it has just ended
                        looks.append(look)
                time.sleep(0.05)
        print(f"exit code {process.returncode}, {len(out.read_bytes().splitlines()):,} results")
        report(looks, folder / "cache")


def over_a_service(count: int) -> None:
    """Requests to one ``imgtool serve``, eight at a time."""
    import httpx

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        command = [sys.executable, "-m", "imgtool", "serve", "--port", "0", *ENGINES[:-1]]
        environ = {**os.environ, "IMGTOOL_CACHE_DIR": str(folder / "cache")}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "serving at" in line)
            address = line.split("serving at ")[1].split()[0].rstrip(",;")
            with ThreadPoolExecutor(9) as threads, httpx.Client(base_url=address, timeout=120) as client:
                threads.submit(lambda: [None for _ in process.stderr or ()])

                def ask(path: Path) -> int:
                    return client.post(
                        "/v1/predict", content=path.read_bytes(), headers={"content-type": "image/png"}
                    ).status_code

                looks: list[Look] = []
                done = failed = 0
                drawn_paths = draw_many(folder / "photos", count)
                while paths := list(islice(drawn_paths, max(1, count // LOOKS))):
                    failed += sum(code != 200 for code in threads.map(ask, paths))
                    done += len(paths)
                    looks.append(look_at(psutil.Process(process.pid), done))
                process.terminate()
        print(f"{failed} requests failed")
        report(looks, folder / "cache")


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] in (["analyze"], ["serve"]) and len(given) < 3:
        (over_a_run if given[0] == "analyze" else over_a_service)(int(given[1]) if given[1:] else IMAGES)
    elif len(given) in (2, 3):
        main(given[0], given[1], *map(int, given[2:]))
    else:
        raise SystemExit(__doc__)
