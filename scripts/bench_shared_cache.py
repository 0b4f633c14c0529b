"""What a shared cache costs: a hit, two engines on one server, and an outage. Needs redis-server.

    python scripts/bench_shared_cache.py [--images 300] [--rounds 5] [--check]

All is measured interleaved, in turns that change with each round, on a server of its own:

- *hit*: one image submitted to an engine that has the answers in its local store, and one to an engine that finds
  them in the shared cache: the median of all, and the median of the differences of neighbours.
- *two engines*: the same load, images drawn at random with repetition, is given to one engine, then to another with an
  empty cache folder of its own: the share of the second's images that came from a cache.
- *outage*: images a second of ``analyze``, which begins in the moment in which the trouble begins: without a shared
  cache, with one that is there, whose server is killed, and whose server hangs. The change against "without" is the
  median of the differences within rounds. One worker sleeps for 25 ms an image: what else runs on the machine then
  counts for little, and every moment in which the worker is kept waiting counts in full. The processor time is that
  of this process, which the clients of the shared cache run in.

Exit code 7 with ``--check``: a hit costs more than 3 ms, the second engine's rate is below 90 %, or an outage costs
more than 5 %.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from PIL import Image

from imgtool import Engine
from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.errors import ExitCode
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import Backend, Problem

_OPTIONS = {"tasks": ("caption",), "caption_engine": "bench_shared_cache:Paced", "workers": 1}
_PACE_SECONDS = 0.025
_ARMS = ("without", "there", "killed", "hung")
_MOST_HIT_MS, _LEAST_RATE, _MOST_LOST = 3.0, 0.9, 0.05


class Paced(Analyzer):
    """Takes the same time for each image, whatever else runs."""

    spec = AnalyzerSpec(
        name="paced", task="caption", version="1", backend=Backend.PYTHON, summary="for measuring", licence="none"
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        return Probe(available=True, model="none", model_version="1")

    def load(self) -> None:
        pass

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        return [time.sleep(_PACE_SECONDS) or "an image" for _ in pictures]  # type: ignore[func-returns-value]


class Server:
    """A Redis server in a temporary folder, on a loopback port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self._port = listening.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it, with nothing in it, and wait until it answers."""
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self.process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self) -> None:
        """End it without notice."""
        self.process.kill()
        self.process.wait()


def drawn(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """An image with a content of its own, as the bytes of a PNG."""
    buffer = io.BytesIO()
    image = Image.new("RGB", size, (number % 256, number // 256, 77))
    image.paste((200, number % 256, 10), (0, 0, size[0] // 2, size[1] // 3))
    image.save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """A folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def measure_hits(server: Server, count: int, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of local and of shared hits, in pairs."""
    contents = [drawn(number) for number in range(count)]
    local_ms: list[float] = []
    shared_ms: list[float] = []
    with (
        folder_of_its_own() as folder,
        Engine(cache_dir=folder / "local", shared_cache=server.url, **_OPTIONS) as local,  # type: ignore[arg-type]
    ):
        for ticket in [local.submit(content) for content in contents]:
            ticket.result(120)
        for round_ in range(rounds):
            root = folder / f"shared {round_}"
            with Engine(cache_dir=root, shared_cache=server.url, **_OPTIONS) as shared:  # type: ignore[arg-type]
                shared.submit(contents[0]).result(60)  # connects
                for number, content in enumerate(contents[1:]):
                    pair = [(local, local_ms), (shared, shared_ms)]
                    for engine, milliseconds in pair if number % 2 else reversed(pair):
                        began = time.perf_counter()
                        assert engine.submit(content).result(60).from_cache
                        milliseconds.append(1000 * (time.perf_counter() - began))
    return local_ms, shared_ms


def measure_two_engines(server: Server, count: int) -> tuple[float, float]:
    """The hit rates of the first and of the second engine under the same load."""
    load = random.Random(1).choices(range(count), k=3 * count)
    rates = []
    with folder_of_its_own() as folder:
        for name in ("one", "two"):
            with Engine(cache_dir=folder / name, shared_cache=server.url, **_OPTIONS) as engine:  # type: ignore[arg-type]
                for number in load:
                    engine.submit(drawn(number, (80, 60))).result(120)
                rates.append((engine.statistics.hit_rate_percent or 0) / 100)
    return rates[0], rates[1]


def measure_throughput(server: Server, arm: str, photos: Path) -> tuple[float, float]:
    """Images a second, from the moment in which the trouble begins, and milliseconds of processor time an image."""
    url = None if arm == "without" else server.url
    with folder_of_its_own() as folder, Engine(cache_dir=folder, shared_cache=url, **_OPTIONS) as engine:  # type: ignore[arg-type]
        engine.submit(drawn(0, (70, 50))).result(120)
        if arm == "hung":
            server.process.send_signal(signal.SIGSTOP)
        elif arm == "killed":
            server.stop()
        began, cpu_began = time.perf_counter(), time.process_time()
        results = list(engine.analyze(photos))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
        assert all(result.ok and not result.from_cache for result in results)
    if arm == "hung":
        server.process.send_signal(signal.SIGCONT)
    server.stop()
    server.start()
    return len(results) / seconds, 1000 * cpu / len(results)


def main() -> None:
    """Measure, print, and leave with 7 where it costs too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the workers find the analyzer
    if shutil.which("redis-server") is None:
        parser.error("redis-server is not installed")
    missed = False
    with folder_of_its_own() as folder:
        server = Server(folder)
        try:
            local, shared = measure_hits(server, given.images, given.rounds)
            more = median(there - here for here, there in zip(local, shared, strict=True))
            missed |= more > _MOST_HIT_MS
            medians = f"local {median(local):.2f} ms, shared {median(shared):.2f} ms"
            print(f"hit: {medians}; {more:+.2f} ms ({len(local)} pairs)")
            first, second = measure_two_engines(server, given.images)
            missed |= second < _LEAST_RATE
            print(f"two engines, the same load: hit rate of the first {first:.1%}, of the second {second:.1%}")
            photos = folder / "photos"
            photos.mkdir()
            for number in range(given.images):
                (photos / f"{number:04}.png").write_bytes(drawn(number, (90, 60)))
            rates: dict[str, list[float]] = {arm: [] for arm in _ARMS}
            cpu_ms: dict[str, list[float]] = {arm: [] for arm in _ARMS}
            for round_ in range(given.rounds):
                for arm in (*_ARMS[round_ % 4 :], *_ARMS[: round_ % 4]):
                    rate, cpu = measure_throughput(server, arm, photos)
                    rates[arm].append(rate)
                    cpu_ms[arm].append(cpu)
            for arm in _ARMS:
                change = median(here / without - 1 for without, here in zip(rates["without"], rates[arm], strict=True))
                missed |= arm in ("killed", "hung") and change < -_MOST_LOST
                each = ", ".join(f"{rate:.1f}" for rate in rates[arm])
                figures = f"{median(rates[arm]):6.1f} images/s {change:+.1%} ({each})"
                print(f"outage: {arm:<8}{figures}; {median(cpu_ms[arm]):.2f} ms of processor time an image")
        finally:
            server.stop()
    if given.check and missed:
        sys.exit(ExitCode.REGRESSION)


if __name__ == "__main__":
    main()
