"""A Ray cluster of processes of this machine for the tests: a head, and nodes of one CPU each."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.redis_servers import free_port


class RayCluster:
    """Starts Ray's processes by ``ray start``, each node in a session of its own, and ends those and no others."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        # Ray's sockets lie below it, and their names may have a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.port = free_port()
        self.token = secrets.token_hex(32)
        self._environ = environ or {}
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.head: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """As ``--cluster`` takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a driver needs in its environment."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "HOME": str(self.folder),
        }

    def start(self, nodes: int, *, head_cpus: int = 0, client_port: int | None = None) -> None:
        """Start the head and so many nodes, and wait until they are there. A head with a CPU is a node, too."""
        client = ["--ray-client-server-port", str(client_port)] if client_port is not None else []
        words = [
            "--head",
            "--port",
            str(self.port),
            "--num-cpus",
            str(head_cpus),
            "--include-dashboard",
            "false",
            *client,
        ]
        self.head = self._ray(*words, "--temp-dir", str(self.folder / "s"), "--disable-usage-stats")
        deadline = time.monotonic() + 40
        while not self._listens():
            assert self.head.poll() is None and time.monotonic() < deadline, self._log()[-2000:]
            time.sleep(0.05)
        for _ in range(nodes):
            self.add_node()
        self.wait(nodes + 1)

    def add_node(self, **environ: str) -> subprocess.Popen[bytes]:
        """One more node, which joins in its own time."""
        node = self._ray("--address", self.address, "--num-cpus", "1", **environ)
        self.nodes.append(node)
        return node

    def send(self, node: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to all processes of a node, its workers included."""
        for process in _tree(node):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self) -> None:
        """End everything, and remove the folder."""
        every = [process for one in [*self.nodes, self.head] if one is not None for process in _tree(one)]
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every, timeout=10)
        for one in [*self.nodes, self.head]:
            if one is not None:
                one.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ray(self, *words: str, **environ: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block", *words]
        more = ["--node-ip-address", "127.0.0.1", "--object-store-memory", "80000000"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ, **self._environ, **environ},
                start_new_session=True,
            )

    def _listens(self) -> bool:
        import socket

        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def wait(self, count: int, seconds: float = 90) -> None:
        """Until so many of the head and the nodes that were started are up."""
        deadline = time.monotonic() + seconds
        while self._log().count("Ray runtime started") < count:
            assert time.monotonic() < deadline, self._log()[-2000:]
            time.sleep(0.1)

    def _log(self) -> str:
        return (self.folder / "log").read_text()


def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and what it started; workers of imgtool lead sessions, and are found as children all the same."""
    try:
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    """A running cluster of two nodes, for the tests of a module."""
    pytest.importorskip("ray")
    pytest.importorskip("grpc")
    from tests.conftest import ROOT

    cluster = RayCluster({"PYTHONPATH": str(ROOT)})
    try:
        cluster.start(2)
        yield cluster
    finally:
        cluster.stop()
