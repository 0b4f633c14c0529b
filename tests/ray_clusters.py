"""A Ray cluster of processes of this machine for the tests: a head, and nodes of one CPU each."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.redis_servers import free_port


class Network:
    """A network namespace with a cable (veth) to this machine's.

    Raises:
        OSError: it cannot be made.
    """

    head, node = "10.213.7.1", "10.213.7.2"

    def __init__(self, name: str) -> None:
        self.name = name
        self._cable = f"{name}h"
        for words in (
            ["netns", "add", name],
            ["link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", name],
            ["addr", "add", f"{self.head}/24", "dev", self._cable],
            ["link", "set", self._cable, "up"],
            ["-n", name, "addr", "add", f"{self.node}/24", "dev", "eth0"],
            ["-n", name, "link", "set", "eth0", "up"],
            ["-n", name, "link", "set", "lo", "up"],
            ["-n", name, "route", "add", "default", "via", self.head],
        ):
            done = subprocess.run(["ip", *words], capture_output=True, check=False)
            if done.returncode:
                self.remove()
                raise OSError(f"ip {' '.join(words)}: {done.stderr.decode().strip()}")

    def cut(self) -> None:
        """Cut the cable."""
        subprocess.run(["ip", "link", "set", self._cable, "down"], check=True)

    def remove(self) -> None:
        """Remove both."""
        for words in (["link", "del", self._cable], ["netns", "del", self.name]):
            subprocess.run(["ip", *words], capture_output=True, check=False)


class RayCluster:
    """Starts Ray's processes by ``ray start``, each node in a session of its own, and ends those and no others."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        # Ray's sockets lie below it, and their names may have a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.port = free_port()
        self.token = secrets.token_hex(32)
        self._environ = environ or {}
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.client_port: int | None = None
        self.ip = "127.0.0.1"
        self.head: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """As ``--cluster`` takes it."""
        return f"{self.ip}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a driver needs in its environment."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "120",
            "HOME": str(self.folder),
        }

    def start(self, nodes: int, *, head_cpus: int = 0, client_port: int | None = None) -> None:
        """Start the head and so many nodes, and wait until they are there. A head with a CPU is a node, too."""
        self.client_port = client_port
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
        self.wait(1)
        for number in range(nodes):
            # One after the other: on a busy machine several that start at once time out.
            self.add_node()
            self.wait(number + 2)

    def add_node(self, *, network: Network | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """One more node, which joins in its own time; in a network of its own, where one is given."""
        node = self._ray("--address", self.address, "--num-cpus", "1", network=network, **environ)
        self.nodes.append(node)
        return node

    def log_to(self, path: Path) -> None:
        """Have planted analyzers say there what they do."""
        self._environ["PLANTED_LOG"] = str(path)

    def own_network(self) -> Network:
        """A network for one node, joined to this machine's by a cable that can be cut; the head listens there.

        Raises:
            OSError: none can be made.
        """
        network = Network(f"ray{os.getpid() % 10000}")
        self.ip = network.head
        return network

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

    def _ray(self, *words: str, network: Network | None = None, **environ: str) -> subprocess.Popen[bytes]:
        inside = [] if network is None else ["ip", "netns", "exec", network.name]
        command = [
            *inside,
            sys.executable,
            "-c",
            "from ray.scripts.scripts import main; main()",
            "start",
            "--block",
            *words,
        ]
        ip = self.ip if network is None else network.node
        more = ["--node-ip-address", ip, "--object-store-memory", "80000000"]
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
        with socket.socket() as connection:
            return connection.connect_ex((self.ip, self.port)) == 0

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
