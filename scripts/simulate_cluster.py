"""How far `analyze --cluster` scales: a simulation of the driver, its network and 1 to 1,000 nodes.

    python scripts/simulate_cluster.py --seconds 0.2 --megabytes 3 --network 125
    python scripts/simulate_cluster.py --check 1 2 4

The simulation gives out batches as ``imgtool.cluster.pool`` does: two for each node, as large as it answers in a
second. Every batch and image costs the driver processor time, and its bytes the driver's network where nodes do not see
the folder. ``--check`` starts that many nodes on this machine, with a model that only sleeps, and compares.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BATCH_SECONDS, MOST_IN_BATCH, IMAGES_A_WORKER, AHEAD = 1.0, 64, 2, 2
MEASURED_NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


@dataclass(frozen=True)
class Cluster:
    """What is simulated. Seconds a worker takes for an image, and the driver for an image and for a batch; bytes an
    image, and bytes a second of the driver's network (0: all nodes see the folder)."""

    seconds: float = 0.2
    workers: int = 1
    driver_image: float = 0.0006
    driver_batch: float = 0.002
    image_bytes: float = 3e6
    network: float = 0.0


def simulate(cluster: Cluster, nodes: int, images: int) -> tuple[float, dict[str, float]]:
    """Seconds for so many images, and the share of them in which the driver, its network and the nodes were busy."""
    rate = cluster.workers / cluster.seconds
    size = max(IMAGES_A_WORKER * cluster.workers, min(MOST_IN_BATCH, round(rate * BATCH_SECONDS)))
    driver = network = computed = 0.0
    busy = {"driver": 0.0, "network": 0.0, "nodes": 0.0}
    free = [0.0] * nodes
    asks = [(0.0, node) for node in range(nodes) for _ in range(AHEAD)]
    left, end = images, 0.0
    while left and asks:
        now, node = heapq.heappop(asks)
        count = min(size, max(1, -(-left // (AHEAD * nodes))))
        left -= count
        cost = cluster.driver_batch + count * cluster.driver_image
        driver = max(driver, now) + cost
        busy["driver"] += cost
        arrives = driver
        if cluster.network:
            cost = count * cluster.image_bytes / cluster.network
            network = max(network, arrives) + cost
            busy["network"] += cost
            arrives = network
        computed = count / rate
        free[node] = max(free[node], arrives) + computed
        busy["nodes"] += computed / nodes
        end = max(end, free[node])
        heapq.heappush(asks, (free[node], node))
    return end, {name: seconds / end for name, seconds in busy.items()}


def table(cluster: Cluster, nodes: tuple[int, ...]) -> None:
    """Print what is to be expected of so many nodes."""
    print(f"{'nodes':>6} {'images/s':>9} {'of linear':>9}  busy: driver, network, nodes")
    for count in nodes:
        images = max(2000, 200 * count)
        seconds, busy = simulate(cluster, count, images)
        linear = count * cluster.workers / cluster.seconds
        shares = ", ".join(f"{share:.0%}" for share in busy.values())
        limit = max(busy, key=lambda name: busy[name])
        print(f"{count:6} {images / seconds:9.1f} {images / seconds / linear:9.0%}  {shares}: {limit}")
    store = 1 / cluster.driver_image
    print(f"the driver, which also writes the result store, stops at about {store:,.0f} images/s")
    if cluster.network:
        print(f"its network stops at {cluster.network / cluster.image_bytes:,.0f} images/s")


def check(cluster: Cluster, nodes: list[int], images: int) -> None:
    """Start real nodes with a model that sleeps, and compare."""
    sys.path.insert(0, str(ROOT))
    from tests import pictures
    from tests.ray_clusters import RayCluster

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = pictures.folder(folder / "photos", pictures.greys(images))
        environ = {"PYTHONPATH": str(ROOT), "PLANTED_SECONDS": str(cluster.seconds)}
        running = RayCluster(environ)
        try:
            running.start(0)
            measured: dict[int, float] = {}
            for count in sorted(nodes):
                while len(running.nodes) < count:
                    running.add_node()
                    running.wait(1 + len(running.nodes))
                measured[count] = _measure(running, photos, folder / f"cache{count}", environ)
                predicted = images / simulate(cluster, count, images)[0]
                gain = measured[count] / measured[min(measured)]
                print(
                    f"{count} nodes: {measured[count]:.2f} images/s measured, {predicted:.2f} simulated; "
                    f"{gain:.2f} x that of {min(measured)}; load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
        finally:
            running.stop()


def _measure(running: object, photos: Path, cache: Path, environ: dict[str, str]) -> float:
    """Images a second from the moment at which every node had joined and loaded its model: the run is one of two, of
    which the first only warms up and is taken off."""
    from tests.ray_clusters import RayCluster

    assert isinstance(running, RayCluster)
    program = (
        "import sys, time; from pathlib import Path; from imgtool import Engine\n"
        "address, photos, cache, count = sys.argv[1:]\n"
        "files = sorted(Path(photos).iterdir())\n"
        "keys = dict(tasks=['caption'], caption_engine='tests.planted:Numbered', cluster=address, cache_dir=cache)\n"
        "with Engine(**keys) as engine:\n"
        "    engine.warm_up()\n"
        "    while len(engine.nodes) < int(count): time.sleep(0.05)\n"
        "    time.sleep(3)\n"
        "    list(engine.analyze(files[:4 * int(count)]))\n"
        "    left = files[4 * int(count):]\n"
        "    began = time.perf_counter()\n"
        "    found = list(engine.analyze(left))\n"
        "    assert all(result.ok for result in found)\n"
        "    print(len(left) / (time.perf_counter() - began))\n"
    )
    words = [running.address, str(photos), str(cache), str(len(running.nodes))]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, **environ, **running.environ},
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    return float(done.stdout)


def main() -> None:
    """Read the command, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=Cluster.seconds, help="a worker's time for an image")
    parser.add_argument("--workers", type=int, default=Cluster.workers, help="workers of a node")
    parser.add_argument("--megabytes", type=float, default=Cluster.image_bytes / 1e6, help="of an image")
    parser.add_argument("--network", type=float, default=0.0, help="MB/s of the driver; 0: all nodes see the folder")
    parser.add_argument(
        "--driver-image", type=float, default=Cluster.driver_image, help="the driver's seconds an image"
    )
    parser.add_argument("--driver-batch", type=float, default=Cluster.driver_batch, help="the driver's seconds a batch")
    parser.add_argument("--images", type=int, default=200, help="how many --check computes")
    parser.add_argument("--check", type=int, nargs="+", metavar="NODES", help="compare with nodes of this machine")
    parser.add_argument("--json", action="store_true", help="print the simulation as JSON")
    given = parser.parse_args()
    cluster = replace(
        Cluster(),
        seconds=given.seconds,
        workers=given.workers,
        driver_image=given.driver_image,
        driver_batch=given.driver_batch,
        image_bytes=given.megabytes * 1e6,
        network=given.network * 1e6,
    )
    if given.check:
        check(cluster, given.check, given.images)
    elif given.json:
        rates = {nodes: 200 * nodes / simulate(cluster, nodes, 200 * nodes)[0] for nodes in MEASURED_NODES}
        print(json.dumps(rates))
    else:
        table(cluster, MEASURED_NODES)


if __name__ == "__main__":
    main()
