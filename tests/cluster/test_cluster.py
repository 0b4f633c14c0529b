"""Real nodes: a Ray cluster of processes of this machine, and commands as users run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, analyze, heed_signals, imgtool
from tests.conftest import ROOT
from tests.ray_clusters import RayCluster
from tests.redis_servers import free_port
from tests.service.running import running

pytest.importorskip("ray")
pytest.importorskip("grpc")

NUMBERED = ("-t", "caption", "--caption-engine", "tests.planted:Numbered")
BATCH = 12
"""What a node has at most in a batch, where an image takes 100 ms: as many as it answers in a second, and a few."""


def numbered(path: Path, count: int) -> Path:
    """A folder of images whose colours are their numbers."""
    path.mkdir()
    for number in range(count):
        pictures.flat(path / f"{number:04}.png", (number // 256, number % 256, 0))
    return path


def computed(cluster: RayCluster) -> Counter[str]:
    """How often each image was computed, by any worker of any node."""
    path = cluster.folder / "planted.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(line for line in lines if line.startswith("caption"))


def values(outcome: Outcome) -> list[tuple[str, object]]:
    """What was answered, in the order of the output."""
    return [(result["path"], result["tasks"]["caption"].get("value")) for result in outcome.results]


def make_cluster(nodes: int, **more: int) -> RayCluster:
    cluster = RayCluster({"PYTHONPATH": str(ROOT), "PLANTED_SECONDS": "0.1"})
    cluster.log_to(cluster.folder / "planted.log")
    try:
        cluster.start(nodes, **more)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def test_a_folder_is_analyzed_by_a_node_as_by_this_machine(tmp_path: Path) -> None:
    """The smoke test: a head that is a node."""
    photos = numbered(tmp_path / "photos", 6)
    stats = tmp_path / "stats.json"
    cluster = make_cluster(0, head_cpus=1)
    try:
        done = analyze(photos, *NUMBERED, "--cluster", cluster.address, "--stats", stats, **cluster.environ)
        assert done.code is ExitCode.OK, done.err
        plain = analyze(photos, *NUMBERED, "--cache-dir", tmp_path / "other")
        assert values(done) == values(plain)
        (node,) = done.stats(stats)["workers"]["nodes"].values()
        assert (node["state"], node["images"], node["bytes_sent"]) == ("working", 6, 0)
        assert "nodes: " in done.err
    finally:
        cluster.stop()


class Run:
    """``imgtool analyze`` on a cluster, in the background."""

    def __init__(self, cluster: RayCluster, photos: Path, folder: Path, *more: str) -> None:
        self.cluster = cluster
        self.out = folder / "out.jsonl"
        self.err = folder / "err.txt"
        self.stats = folder / "stats.json"
        words = [str(photos), *NUMBERED, "--cluster", cluster.address, "--cache-dir", str(folder / "cache")]
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "imgtool",
                    "analyze",
                    *words,
                    "-o",
                    str(self.out),
                    "--stats",
                    str(self.stats),
                    *more,
                ],
                env={**os.environ, **cluster.environ},
                stdout=subprocess.DEVNULL,
                stderr=err,
                preexec_fn=heed_signals,
            )

    def wait_for(self, images: int) -> None:
        """Until so many were computed."""
        wait(lambda: sum(computed(self.cluster).values()) >= images, 90, self)

    def end(self, seconds: float = 120) -> list[dict[str, object]]:
        """Wait for its end; the results."""
        assert self.process.wait(timeout=seconds) == ExitCode.OK, self.err.read_text()
        return [json.loads(line) for line in self.out.read_text().splitlines()]


def wait(condition: Callable[[], bool], seconds: float, what: object = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what.err.read_text() if isinstance(what, Run) else what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Two nodes for the tests that lose none."""
    found = make_cluster(2, client_port=free_port())
    yield found
    found.stop()


@pytest.mark.slow
def test_nodes_die_hang_and_join_and_every_image_is_answered_once(tmp_path: Path) -> None:
    cluster = make_cluster(3)
    try:
        photos = numbered(tmp_path / "photos", 1000)
        run = Run(cluster, photos, tmp_path, "--node-timeout", "8s")
        run.wait_for(100)
        cluster.send(cluster.nodes[0], signal.SIGKILL)
        killed = time.monotonic()
        cluster.add_node()
        wait(lambda: "is lost" in run.err.read_text(), 8 + 5, run)
        print(f"SIGKILL noticed after {time.monotonic() - killed:.1f} s")
        run.wait_for(300)
        cluster.send(cluster.nodes[1], signal.SIGSTOP)
        stopped = time.monotonic()
        wait(lambda: run.err.read_text().count("is lost") == 2, 8 + 5, run)
        print(f"SIGSTOP noticed after {time.monotonic() - stopped:.1f} s")
        results = run.end()
        assert [Path(str(result["path"])).stem for result in results] == [f"{number:04}" for number in range(1000)]
        assert {result["status"] for result in results} == {"ok"}
        times = computed(cluster)
        again = sum(times.values()) - 1000
        nodes = json.loads(run.stats.read_text())["workers"]["nodes"]
        print(f"{again} images computed again; {nodes}")
        assert len(times) == 1000
        assert again <= 2 * BATCH
        states = Counter(node["state"] for node in nodes.values())
        assert states == {"lost": 2, "working": 2}
        assert min(node["images"] for node in nodes.values()) > 0, "the node that joined took work"
    finally:
        cluster.stop()


@pytest.mark.slow
def test_a_node_whose_network_is_cut_costs_its_batch(tmp_path: Path) -> None:
    cluster = RayCluster({"PYTHONPATH": str(ROOT), "PLANTED_SECONDS": "0.1"})
    try:
        network = cluster.own_network()
    except OSError as error:
        cluster.stop()
        pytest.skip(f"no network namespaces here: {error}")
    try:
        cluster.log_to(cluster.folder / "planted.log")
        cluster.start(1)
        cluster.add_node(network=network)
        cluster.wait(3)
        photos = numbered(tmp_path / "photos", 200)
        run = Run(cluster, photos, tmp_path, "--node-timeout", "8s")
        run.wait_for(60)
        wait(lambda: "2 nodes" in run.err.read_text() or sum(computed(cluster).values()) > 100, 60, run)
        network.cut()
        cut = time.monotonic()
        wait(lambda: "is lost" in run.err.read_text(), 8 + 5, run)
        print(f"cut noticed after {time.monotonic() - cut:.1f} s")
        results = run.end()
        assert {result["status"] for result in results} == {"ok"}
        assert len(results) == 200
    finally:
        cluster.stop()
        network.remove()


@pytest.mark.slow
def test_a_killed_driver_is_run_again_and_computes_what_is_missing(cluster: RayCluster, tmp_path: Path) -> None:
    photos = numbered(tmp_path / "photos", 120)
    before = sum(computed(cluster).values())
    run = Run(cluster, photos, tmp_path)
    run.wait_for(before + 60)
    run.process.kill()
    run.process.wait()
    wait(lambda: not workers_of(cluster), 30, "workers are left")
    kept = sum(computed(cluster).values()) - before
    run = Run(cluster, photos, tmp_path)
    assert len(run.end()) == 120
    total = sum(computed(cluster).values()) - before
    print(f"{kept} computed before, {total - kept} after: {total - 120} again")
    assert total - 120 <= 4 * BATCH  # two batches of two nodes were in hand


@pytest.mark.slow
def test_ctrl_c_leaves_the_cluster_clean(cluster: RayCluster, tmp_path: Path) -> None:
    photos = numbered(tmp_path / "photos", 200)
    run = Run(cluster, photos, tmp_path)
    run.wait_for(sum(computed(cluster).values()) + 20)
    run.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert run.process.wait(timeout=20) == ExitCode.INTERRUPTED
    wait(lambda: not workers_of(cluster), 10, "workers are left")
    print(f"clean after {time.monotonic() - began:.1f} s")
    assert "Traceback" not in run.err.read_text()


def workers_of(cluster: RayCluster) -> list[psutil.Process]:
    """Workers of imgtool on the nodes of a cluster."""
    found = []
    for node in cluster.nodes:
        for process in psutil.Process(node.pid).children(recursive=True):
            try:
                if "run_worker" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
    return found


@pytest.mark.slow
def test_by_the_client_without_a_shared_folder(cluster: RayCluster, tmp_path: Path) -> None:
    """Neither is the folder seen by the nodes: they are told of a path that is another file there."""
    photos = numbered(tmp_path / "photos", 12)
    private = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
    if shutil.which("unshare") is None or subprocess.run([*private, "true"], check=False).returncode:
        pytest.skip("no mount namespaces here")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    stats = tmp_path / "stats.json"
    script = f'mount --bind {photos} {hidden} && exec "$@"'
    address = f"ray://127.0.0.1:{cluster.client_port}"
    words = ["analyze", str(hidden), *NUMBERED, "--cluster", address, "--stats", str(stats), "-f", "jsonl"]
    done = subprocess.run(
        [*private, script, "sh", sys.executable, "-m", "imgtool", *words],
        env={**os.environ, **cluster.environ},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == ExitCode.OK, done.stderr.decode()
    assert len(done.stdout.splitlines()) == 12
    sent = sum(node["bytes_sent"] for node in json.loads(stats.read_text())["workers"]["nodes"].values())
    assert sent == sum(path.stat().st_size for path in photos.iterdir())


@pytest.mark.slow
def test_warm_cache_runs_on_every_node(cluster: RayCluster) -> None:
    words = ("warm-cache", "describe", "--check")
    done = imgtool(*words, "--cluster", cluster.address, **cluster.environ)
    here = imgtool(*words)
    assert done.code is here.code, done.err
    assert len(set(re.findall(r"\S+/[0-9a-f]{6}(?=: )", done.out + done.err))) == 2, done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [({"RAY_AUTH_TOKEN": "f" * 64}, "token"), ({"RAY_AUTH_TOKEN": ""}, "token")],
)
def test_nobody_comes_in_without_the_token(
    cluster: RayCluster, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    photos = numbered(tmp_path / "photos", 2)
    done = analyze(photos, *NUMBERED, "--cluster", cluster.address, **{**cluster.environ, **change})
    assert done.code is ExitCode.USAGE, done.err
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_another_version_of_ray_is_named(cluster: RayCluster, tmp_path: Path) -> None:
    photos = numbered(tmp_path / "photos", 2)
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(
        "import sys\nif 'run_connection' in ' '.join(sys.orig_argv):\n    import ray; ray.__version__ = '2.0.0'\n"
    )
    environ = {**cluster.environ, "PYTHONPATH": f"{other}:{ROOT}"}
    done = analyze(photos, *NUMBERED, "--cluster", cluster.address, **environ)
    assert done.code is ExitCode.USAGE, done.err
    assert "the cluster runs other versions than Ray 2.0.0" in done.err


@pytest.mark.slow
def test_a_job_of_the_service_survives_its_kill_and_lets_others_go_first(cluster: RayCluster, tmp_path: Path) -> None:
    photos = numbered(tmp_path / "photos", 160)
    before = sum(computed(cluster).values())
    words = (*NUMBERED, "--cluster", cluster.address, "--root", photos, "--cache-dir", tmp_path / "cache")
    with running(*words, **cluster.environ) as service:
        address = service.post("/v1/jobs", json={"paths": ["."]}).headers["location"]
        wait(lambda: service.get(address).json()["done"] >= 40, 60)
        began = time.monotonic()
        answer = service.predict(pictures.flat(tmp_path / "other.png", (9, 9, 9)).read_bytes())
        seconds = time.monotonic() - began
        assert answer.json()["tasks"]["caption"]["value"] == f"number {9 * 256 + 9}"
        assert service.get(address).json()["state"] == "running"
        service.process.kill()
        service.process.wait(20)
    wait(lambda: not workers_of(cluster), 30, "workers are left")
    kept = sum(computed(cluster).values()) - before - 1
    with running(*words, **cluster.environ) as service:
        wait(lambda: service.get(address).json()["state"] not in ("queued", "running"), 90)
        job = service.get(address).json()
        assert (job["state"], job["done"], job["failed"]) == ("done", 160, 0)
        found = [json.loads(line) for line in service.get(f"{address}/results").text.splitlines()]
    assert sorted(each["path"] for each in found) == [f"{number:04}.png" for number in range(160)]
    assert all(each["tasks"]["caption"]["value"] == f"number {int(each['path'][:4])}" for each in found)
    total = sum(computed(cluster).values()) - before - 1
    print(f"who asked waited {seconds:.1f} s; {kept} computed before the kill, {total - 160} of them again")
    assert total - 160 <= 4 * BATCH  # two batches of two nodes were in hand
    assert seconds < 3, "the two batches of a node last two seconds, and 64 images waited"
