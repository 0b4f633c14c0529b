"""How many cached images a second ``Engine.submit`` answers to one thread.

    python scripts/bench_submit.py [--images 100] [--submits 20000] [--runs 5] [--min-per-second 2000]

Small images are answered once by an analyzer that takes no time, then their bytes are submitted again and again; the
tickets are waited for in order, a few hundred behind. Printed is the median, also for each second of processor time,
which is steadier on a shared machine. Exit code 7: the median is less than ``--min-per-second``.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections import deque
from statistics import median

from PIL import Image

from imgtool import Engine, Ticket
from imgtool.errors import ExitCode

_BEHIND = 500


def drawn(number: int) -> bytes:
    """A small image with a content of its own, as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, number // 256, 77)).save(buffer, "PNG")
    return buffer.getvalue()


def measure(engine: Engine, contents: list[bytes], submits: int) -> tuple[float, float]:
    """Answers a second, and a second of processor time."""
    waiting: deque[Ticket] = deque()
    began, cpu_began = time.perf_counter(), time.process_time()
    for number in range(submits):
        waiting.append(engine.submit(contents[number % len(contents)]))
        if len(waiting) > _BEHIND:
            assert waiting.popleft().result(60).from_cache
    while waiting:
        assert waiting.popleft().result(60).from_cache
    return submits / (time.perf_counter() - began), submits / (time.process_time() - cpu_began)


def main() -> None:
    """Measure, print, and leave with 7 where it is too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--submits", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--min-per-second", type=float)
    given = parser.parse_args()
    contents = [drawn(number) for number in range(given.images)]
    with (
        tempfile.TemporaryDirectory(prefix="imgtool-bench-") as folder,
        Engine(tasks=["caption"], caption_engine="describe", cache_dir=folder) as engine,
    ):
        for ticket in [engine.submit(content) for content in contents]:
            ticket.result(60)
        pairs = [measure(engine, contents, given.submits) for _ in range(given.runs)]
    rates, of_cpu = zip(*pairs, strict=True)
    print(
        f"{median(rates):,.0f} a second ({min(rates):,.0f}..{max(rates):,.0f}, {given.runs} runs), "
        f"{median(of_cpu):,.0f} a second of processor time"
    )
    if given.min_per_second is not None and median(rates) < given.min_per_second:
        sys.exit(ExitCode.REGRESSION)


if __name__ == "__main__":
    main()
