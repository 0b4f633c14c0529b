"""What `imgtool serve` does under load, beside the services that it is compared with.

    python scripts/load_test.py [--mix NAME]... [--rounds 3] [--seconds 5] [--json FILE]

Mixes: `cached` (200 clients that send images whose answers are kept), `hash` (200 clients that ask by hash), `single`
(one client, computed, beside the engine called directly), `eight` (eight clients, computed, beside `imgtool analyze`),
`poll` (small images, beside a service that is polled every two seconds), `overload` (far more than five times the
capacity), `leave` (200 clients wait, 90 % leave), `crash` (a crashing image among 200), `events`
(1,000 streams of two parts), `memory` (20,000 requests).

Planted engines that take a known time stand for models. Rounds of the services are interleaved; medians are printed,
and as it goes the load of the machine. The generator runs on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any, TypeVar, cast

import httptools
import psutil
import uvloop
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, float]
Told = TypeVar("Told")


def drawn(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small image with a content of its own, as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 77)).save(buffer, "PNG")
    return buffer.getvalue()


class Connection(asyncio.Protocol):
    """One client with a connection that is kept, as small as can be: the generator must not be the bottleneck."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser: Any = None
        self._body: list[bytes] = []
        self.first_at = 0.0
        """When the first bytes of the latest body came."""

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one request."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._body = []
        self._parser = httptools.HttpResponseParser(self)
        self._answer = loop.create_future()
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed"))

    def on_body(self, data: bytes) -> None:
        """Of httptools."""
        if not self._body:
            self.first_at = time.perf_counter()
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Of httptools."""
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._body)))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
        self._transport = None


def run(work: Coroutine[Any, Any, Told]) -> Told:
    """Run a coroutine in the fastest loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def post(content: bytes, path: str = "/v1/predict") -> bytes:
    """The bytes of a request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def get(path: str) -> bytes:
    """The bytes of a request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def share(values: list[float], of: float) -> float:
    """The quantile ``of`` of values; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(of * len(ordered)))] if ordered else 0.0


async def load(
    port: int, clients: int, seconds: float, request: Callable[[int], bytes], *, most: int | None = None
) -> Figures:
    """Have so many clients ask, each again as soon as it is answered; what came of it. Times are seconds."""
    times: dict[int, list[float]] = {}
    errors = asked = 0
    began = time.perf_counter()
    end = began + seconds

    async def client() -> None:
        nonlocal errors, asked
        connection = Connection(port)
        while time.perf_counter() < end and (most is None or asked < most):
            number, asked = asked, asked + 1
            start = time.perf_counter()
            try:
                status, _ = await connection.ask(request(number))
            except OSError:
                errors += 1
                connection.close()
                continue
            times.setdefault(status, []).append(time.perf_counter() - start)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.perf_counter() - began
    good, refused = times.get(200, []), times.get(429, [])
    others = sum(len(each) for status, each in times.items() if status not in (200, 429))
    return {
        "per_second": len(good) / took,
        "p50": share(good, 0.5),
        "p99": share(good, 0.99),
        "refused": len(refused),
        "refused_p99": share(refused, 0.99),
        "answered": len(good),
        "error_share": (errors + others) / max(1, errors + sum(map(len, times.values()))),
        "seconds": took,
    }


@contextmanager
def service(cache: Path, engine: str, *options: str, **environ: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`imgtool serve` that is ready: its port, and its process."""
    with _started(["-m", "imgtool", "serve", "--port", "0", "-t", "caption", "--caption-engine", engine, "--quiet",
                   "--cache-dir", str(cache), *options], environ) as (port, process):  # fmt: skip
        yield port, process


@contextmanager
def naive(cache: Path, engine: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The service of `scripts/naive_service.py`."""
    script = str(ROOT / "scripts" / "naive_service.py")
    with _started([script, "--port", "0", "--cache-dir", str(cache), "--caption-engine", engine], {}) as found:
        yield found


@contextmanager
def _started(arguments: list[str], environ: dict[str, str]) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )
    try:
        port = _port_of(process)
        run(_until_answering(port))
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()


def _port_of(process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psutil.Error):
            for each in psutil.Process(process.pid).net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN:
                    return int(each.laddr.port)
        time.sleep(0.05)
    raise RuntimeError(f"a service did not start: exit code {process.poll()}")


async def _until_answering(port: int) -> None:
    for _ in range(1200):
        with suppress(OSError):
            if (await Connection(port).ask(post(drawn(65_000))))[0] == 200:
                return
            if (await Connection(port).ask(post(drawn(65_000), "/predict")))[0] == 200:
                return
        await asyncio.sleep(0.05)
    raise RuntimeError("a service does not answer")


SLOW, NUMBERED, HAZARD = "tests.planted:Slow", "tests.planted:Numbered", "tests.planted:Hazard"
IMAGES = 200


def cached(folder: Path, seconds: float) -> dict[str, Figures]:
    """200 clients, all answers in the store; the naive service uses the same one."""
    requests = [drawn(number) for number in range(IMAGES)]
    found = {}
    for name, start, path in (("serve", service, "/v1/predict"), ("naive", naive, "/predict")):
        sent = [post(content, path) for content in requests]
        with start(folder / "cached", NUMBERED) as (port, process):
            found[name] = _from_cache(port, process, sent, sent, seconds)
    return found


def by_hash(folder: Path, seconds: float) -> dict[str, Figures]:
    """200 clients that ask by hash."""
    requests = [drawn(number) for number in range(IMAGES)]
    hashes = [hashlib.sha256(content).hexdigest() for content in requests]
    asked = [get(f"/v1/results/{sha256}") for sha256 in hashes]
    with service(folder / "cached", NUMBERED) as (port, process):
        return {"serve": _from_cache(port, process, [post(content) for content in requests], asked, seconds)}


def _from_cache(
    port: int, process: subprocess.Popen[str], sent: list[bytes], asked: list[bytes], seconds: float
) -> Figures:
    """Have all that is ``sent`` answered once, then 200 clients ask. ``cpu_ms`` is what the service's process takes for
    a request, which depends less on what else the machine does."""
    run(load(port, 8, 120, lambda n: sent[n % len(sent)], most=len(sent)))
    parent = psutil.Process(process.pid)
    before = sum(parent.cpu_times()[:2])
    found = run(load(port, 200, seconds, lambda n: asked[n % len(asked)]))
    return {**found, "cpu_ms": 1000 * (sum(parent.cpu_times()[:2]) - before) / max(1, found["answered"])}


def single(folder: Path, seconds: float) -> dict[str, Figures]:
    """One client, computed, beside the engine that is called directly."""
    from imgtool import Engine

    count = max(10, int(seconds * 5))
    with service(folder / f"single-{time.time_ns()}", SLOW, "--workers", "1") as (port, _):
        over_http = run(load(port, 1, 600, lambda n: post(drawn(n)), most=count))
    with Engine(tasks=["caption"], caption_engine=SLOW, cache_dir=folder / f"d-{time.time_ns()}", workers=1) as engine:
        engine.submit(drawn(65_000)).result(60)
        times = []
        for number in range(count):
            began = time.perf_counter()
            engine.submit(drawn(number)).result(60)
            times.append(time.perf_counter() - began)
    return {"serve": over_http, "engine": {"p50": median(times), "p99": share(times, 0.99)}}


def eight(folder: Path, seconds: float) -> dict[str, Figures]:
    """Eight clients, computed, beside `imgtool analyze` on the same images."""
    count = max(40, int(seconds * 10))
    photos = folder / f"photos-{time.time_ns()}"
    photos.mkdir()
    for number in range(count):
        (photos / f"{number:05}.png").write_bytes(drawn(number))
    with service(folder / f"eight-{time.time_ns()}", SLOW, "--workers", "1") as (port, _):
        found = {"serve": run(load(port, 8, 600, lambda n: post(drawn(n)), most=count))}
    stats = photos.with_suffix(".json")
    command = [sys.executable, "-m", "imgtool", "analyze", str(photos), "-t", "caption", "--caption-engine", SLOW]
    command += ["--workers", "1", "--no-cache", "--quiet", "-o", str(folder / "out.jsonl"), "--stats", str(stats)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    figures = json.loads(stats.read_text())
    computing = figures["wall_seconds"] - figures["first_result_seconds"]
    found["analyze"] = {"per_second": (count - 1) / computing}
    return found


def poll(folder: Path, seconds: float) -> dict[str, Figures]:
    """Small images that take 20 ms, beside the same from a service that is asked every two seconds."""
    os.environ["PLANTED_SECONDS"] = "0.02"
    count = max(5, int(seconds * 2))
    with service(folder / f"poll-{time.time_ns()}", NUMBERED) as (port, _):
        found = {"serve": run(load(port, 1, 600, lambda n: post(drawn(n)), most=count))}
    with naive(folder / f"poll-{time.time_ns()}", NUMBERED) as (port, _):
        found["polled"] = run(_polled(port, max(3, count // 4)))
    del os.environ["PLANTED_SECONDS"]
    return found


async def _polled(port: int, count: int) -> Figures:
    times = []
    connection = Connection(port)
    for number in range(count):
        began = time.perf_counter()
        job = json.loads((await connection.ask(post(drawn(number), "/jobs")))[1])["job"]
        while (await connection.ask(get(f"/jobs/{job}")))[0] != 200:
            await asyncio.sleep(2)
        times.append(time.perf_counter() - began)
    return {"p50": median(times)}


def overload(folder: Path, seconds: float) -> dict[str, Figures]:
    """100 clients of a service that computes ten images a second and lets eight wait, who come again at once: far more
    than five times its capacity. `/livez` is asked meanwhile."""
    with service(folder / f"over-{time.time_ns()}", SLOW, "--workers", "1", "--queue", "8") as (port, _):
        alone = run(load(port, 4, seconds, lambda n: post(drawn(n))))

        async def both() -> tuple[Figures, Figures]:
            return await asyncio.gather(
                load(port, 100, seconds, lambda n: post(drawn(1000 + n))), _pings(port, seconds)
            )

        crowded, pings = run(both())
    return {"serve": {**crowded, "capacity": alone["per_second"], "livez_p99": pings["p99"]}}


async def _pings(port: int, seconds: float) -> Figures:
    times, connection, end = [], Connection(port), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        await connection.ask(get("/livez"))
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return {"p99": share(times, 0.99)}


def leave(folder: Path, _: float) -> dict[str, Figures]:
    """200 clients wait, 90 % leave: how much is computed from then on, beside those that remain and wait."""
    log = folder / f"leave-{time.time_ns()}.log"
    with service(folder / log.stem, SLOW, "--workers", "1", "--queue", "500", PLANTED_LOG=str(log)) as (port, _process):
        before = waiting = 0

        async def leaving() -> None:
            nonlocal before, waiting
            connections = [Connection(port) for _ in range(200)]
            asking = [asyncio.ensure_future(each.ask(post(drawn(n)))) for n, each in enumerate(connections)]
            await asyncio.sleep(0.5)
            before = log.read_text().count("slow")
            waiting = sum(not each.done() for each in asking[::10])
            for number, connection in enumerate(connections):
                if number % 10:
                    asking[number].cancel()
                    connection.close()
            await asyncio.gather(*asking, return_exceptions=True)

        run(leaving())
        time.sleep(0.5)
        return {"serve": {"computed": log.read_text().count("slow") - before, "remain": waiting}}


def crash(folder: Path, _: float) -> dict[str, Figures]:
    """One crashing image among 200 good ones."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, "PNG")
    bad = buffer.getvalue()
    with service(folder / f"crash-{time.time_ns()}", HAZARD, "--queue", "500") as (port, _process):
        found = run(load(port, 16, 600, lambda n: post(bad if n == 100 else drawn(n)), most=201))
    return {"serve": {"answered": found["answered"], "failed": round(found["error_share"] * 201)}}


def events(folder: Path, _: float, requests: int = 1000) -> dict[str, Figures]:
    """Two parts that take 0.1 s each, as events: their order, the first, how well they run side by side;
    of 1,000 requests 100 are computed."""
    head = b"Accept: text/event-stream\r\nContent-Type"
    sent = [post(drawn(number)).replace(b"Content-Type", head) for number in range(100)]
    parts = ("-t", "caption,text", "--text-engine", "tests.planted:SlowText", "--workers", "1")
    right, firsts, efficiencies = 0, [], []

    async def client(port: int, numbers: Iterator[int]) -> None:
        nonlocal right
        connection = Connection(port)
        for number in numbers:
            began = time.perf_counter()
            _, body = await connection.ask(sent[number % len(sent)])
            firsts.append(connection.first_at - began)
            names = [line[7:].decode() for line in body.splitlines() if line.startswith(b"event: ")]
            ids = [int(line[4:]) for line in body.splitlines() if line.startswith(b"id: ")]
            right += names == ["start", "ready", "ready", "complete"] and ids == [1, 2, 3, 4]
            done = json.loads(body.strip().rpartition(b"data: ")[2])
            if done["parallel_efficiency"] is not None:
                efficiencies.append(done["parallel_efficiency"])

    async def all_clients(port: int) -> None:
        numbers = iter(range(requests))
        await asyncio.gather(*(client(port, numbers) for _ in range(8)))

    with service(folder / f"events-{time.time_ns()}", SLOW, *parts) as (port, _process):
        run(all_clients(port))
    figures = {"right_share": right / requests, "first_p99": share(firsts, 0.99), "first_p50": share(firsts, 0.5)}
    return {"serve": {**figures, "efficiency": median(efficiencies)}}


def memory(folder: Path, _: float, requests: int = 20_000) -> dict[str, Figures]:
    """Memory and open files of the service over many requests."""
    contents = [drawn(number) for number in range(IMAGES)]
    with service(folder / "cached", NUMBERED) as (port, process):
        parent = psutil.Process(process.pid)
        run(load(port, 50, 600, lambda n: post(contents[n % IMAGES]), most=3000))
        time.sleep(1)
        before, files = parent.memory_info().rss, parent.num_fds()
        run(load(port, 50, 600, lambda n: post(contents[n % IMAGES]), most=requests))
        time.sleep(1)
        zombies = sum(child.status() == psutil.STATUS_ZOMBIE for child in parent.children(recursive=True))
        grown = (parent.memory_info().rss - before) / 1e6
        return {
            "serve": {
                "mb_per_1000": grown / (requests / 1000),
                "files_more": parent.num_fds() - files,
                "zombies": zombies,
            }
        }


MIXES: dict[str, Callable[[Path, float], dict[str, Figures]]] = {
    "cached": cached, "hash": by_hash, "single": single, "eight": eight, "poll": poll, "overload": overload,
    "leave": leave, "crash": crash, "events": events, "memory": memory,
}  # fmt: skip


def main() -> None:
    """Run the mixes round by round, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", action="append", choices=MIXES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="imgtool-load-") as folder:
        for number in range(given.rounds):
            for name in given.mix or MIXES:
                for who, figures in MIXES[name](Path(folder), given.seconds).items():
                    for figure, value in figures.items():
                        found.setdefault(name, {}).setdefault(who, {}).setdefault(figure, []).append(value)
                print(f"round {number + 1}: {name} (load {os.getloadavg()[0]:.1f})", file=sys.stderr)
    medians = {
        mix: {who: {figure: median(values) for figure, values in figures.items()} for who, figures in whos.items()}
        for mix, whos in found.items()
    }
    for mix, whos in medians.items():
        for who, figures in whos.items():
            print(f"{mix:9} {who:8} " + "  ".join(f"{figure} {value:.4g}" for figure, value in figures.items()))
    if given.json is not None:
        given.json.write_text(json.dumps({"load": os.getloadavg(), "medians": medians, "all": found}, indent=1))


if __name__ == "__main__":
    main()
