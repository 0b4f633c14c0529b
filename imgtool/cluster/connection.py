"""The process that holds the connection to a Ray cluster, and the only module that imports Ray.

A process of its own, because Ray ends whoever uses it when the head of its cluster is gone, waits for minutes where
nothing answers, and takes a second to import. It lists the nodes, keeps one actor on each, and passes bytes on; what
they mean, and what is to be done when a node is lost, is known to the pool that started it.

The actors are not detached: they end with the driver, however that ends.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from imgtool.cluster.address import host_and_port
from imgtool.cluster.messages import (
    SAME_IMGTOOL,
    Alive,
    Close,
    Command,
    CommandDone,
    Connect,
    Connected,
    ConnectFailed,
    FromConnection,
    Gone,
    Heard,
    Joined,
    Leave,
    Listed,
    Refused,
    Send,
    ToConnection,
    Work,
    decode_to_connection,
    encode,
)
from imgtool.cluster.node import NodeServer
from imgtool.distribution import install_command, pip_install_elsewhere
from imgtool.runtime.protocol import Item, read_body, write_body

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # Ray would hide the GPUs from an actor that asks for none, and look for the project of `uv run`.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""What is said to Ray in the environment. What the user has set is left as it is."""

_REACH_SECONDS = 5.0
_JOIN_SECONDS = 60.0
"""How long an actor may take to be made and to answer for the first time."""
_LONGEST_PAUSE = 60.0
_LET_IN = "ray get-auth-token --generate, and give that token to all machines (docs/cluster.md, Security)"


class Node(Struct, eq=False):
    """An actor on a node. ``asked``: whether its answer to a ping, or to the first question, is waited for."""

    number: int
    ray_id: str
    name: str
    actor: Any
    since: float
    joined: bool = False
    asked: bool = True


class Connection:
    """See the module's docstring. All of it runs in one thread; futures and the reader post to its inbox."""

    def __init__(self, say: Callable[[FromConnection], None]) -> None:
        self._say = say
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="send")
        self._nodes: dict[int, Node] = {}
        self._numbers = 0
        self._pauses: dict[str, tuple[float, float]] = {}
        """By Ray's identifier of a node: not before when a new actor is made there, and how long the pause was."""
        self._never: set[str] = set()
        self._ray: Any = None
        self._closing = False

    def run(self, connect: Connect) -> None:
        """Connect, and do what is posted until it is over."""
        self._connect = connect
        if (failed := _unreachable(connect.address)) is not None or (failed := self._join_cluster()) is not None:
            self._say(failed)
            return
        self._say(Connected())
        look_at = 0.0
        while not self._closing:
            if (now := time.monotonic()) >= look_at:
                self._look()
                look_at = now + self._connect.every
            with suppress(queue.Empty):
                self.inbox.get(timeout=max(0.01, look_at - time.monotonic()))()
        self._close()

    def on_message(self, message: ToConnection) -> None:
        """Do what the driver says."""
        if isinstance(message, Send):
            if message.node in self._nodes:
                self._readers.submit(self._send, self._nodes[message.node], message)
        elif isinstance(message, Leave):
            if (node := self._nodes.pop(message.node, None)) is not None:
                self._end(node, again=message.again)
        elif isinstance(message, Close):
            self.stop()

    def stop(self) -> None:
        """Leave at the next turn of the loop."""
        self._closing = True

    # -- nodes

    def _join_cluster(self) -> ConnectFailed | None:
        try:
            import ray

            # A local cluster is started by this.
            more: dict[str, Any] = {"include_dashboard": False} if self._connect.address == "local" else {}
            level = logging.ERROR
            ray.init(self._connect.address, log_to_driver=False, configure_logging=False, logging_level=level, **more)
        except ImportError as error:
            text = f"--cluster needs Ray, which cannot be imported: {error}"
            return ConnectFailed(kind="missing", message=text, remedy=install_command("cluster"))
        except Exception as error:  # noqa: BLE001 - whatever it was, there is no cluster
            return _explained(self._connect.address, error)
        self._ray = ray
        return None

    def _look(self) -> None:
        """See which nodes there are, make actors on new ones, and ask all whether they live."""
        found = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        able = {key: node for key, node in found.items() if node["Resources"].get("CPU", 0) >= 1}
        taken = {node.ray_id for node in self._nodes.values()}
        now = time.monotonic()
        for key, described in able.items():
            if key not in taken and key not in self._never and self._pauses.get(key, (0.0, 0.0))[0] <= now:
                self._make(key, described)
        for node in list(self._nodes.values()):
            if node.ray_id not in found:
                self._lose(node, "Ray says that the node is dead")
            elif not node.joined and now - node.since > _JOIN_SECONDS:
                text = f"no actor could be started there within {_JOIN_SECONDS:g} s"
                self._refuse(node, text, "see whether other jobs hold its CPUs: ray status", again=True)
            elif node.joined and not node.asked:
                node.asked = True
                self._ask(node.actor.ping.remote(), partial(self._on_ping, node))
        pending = sum(not node.joined for node in self._nodes.values())
        self._say(Listed(nodes=len(able), pending=pending))

    def _make(self, key: str, described: dict[str, Any]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        gpus = float(described["Resources"].get("GPU", 0)) if self._connect.gpus else 0.0
        # One CPU, so that an autoscaler does not take the node for idle; the workers use them all.
        options = {"num_cpus": 1, "max_concurrency": 6, "max_restarts": 0, **({"num_gpus": gpus} if gpus else {})}
        strategy = NodeAffinitySchedulingStrategy(key, soft=False)
        actor = self._ray.remote(NodeServer).options(scheduling_strategy=strategy, **options).remote()
        self._numbers += 1
        name = f"{described['NodeManagerAddress']}/{key[:6]}"
        node = Node(self._numbers, key, name, actor, since=time.monotonic())
        self._nodes[node.number] = node
        if self._connect.command is not None:
            asked = actor.command.remote(encode(Command(self._connect.command)))
            # A download may take hours.
            node.joined = True
            self._ask(asked, partial(self._on_command, node))
        else:
            self._ask(actor.hello.remote(self._connect.hello), partial(self._on_hello, node))

    def _ask(self, reference: Any, then: Callable[[Future[bytes]], None]) -> None:
        """Have ``then`` called in this thread when there is an answer, or none will come."""
        reference.future().add_done_callback(lambda future: self.inbox.put(partial(then, future)))

    def _on_hello(self, node: Node, future: Future[bytes]) -> None:
        if node.number not in self._nodes:
            return
        if (error := future.exception()) is not None:
            text = str(error).strip()
            lines = text.splitlines() or [type(error).__name__]
            if "No module named" in text or "cannot import name" in text:
                cause = next(line for line in lines if "No module named" in line or "cannot import name" in line)
                remedy = f"install the version of this machine there: {pip_install_elsewhere(SAME_IMGTOOL)}"
                self._refuse(node, f"it has no imgtool, or another one: {cause.strip()}", remedy)
            elif ("disk" in text.lower() and "full" in text.lower()) or "No space left" in text:
                self._refuse(node, f"its disk is full: {lines[-1]}", "free space where Ray keeps its files (/tmp/ray)")
            else:
                self._lose(node, lines[0])
            return
        node.joined, node.asked = True, False
        self._say(Joined(node=node.number, name=node.name, welcome=future.result()))

    def _on_command(self, node: Node, future: Future[bytes]) -> None:
        if node.number not in self._nodes:
            return
        self._never.add(node.ray_id)
        if (error := future.exception()) is not None:
            self._refuse(node, str(error).strip().splitlines()[0], "see `ray status`")
        else:
            self._say(CommandDone(name=node.name, ended=future.result()))
            del self._nodes[node.number]
            self._end(node, again=False)

    def _on_ping(self, node: Node, future: Future[bytes]) -> None:
        node.asked = False
        if node.number not in self._nodes:
            return
        if (error := future.exception()) is not None:
            self._lose(node, _first_line(error))
        else:
            self._pauses.pop(node.ray_id, None)
            self._say(Alive(node.number, future.result()))

    def _lose(self, node: Node, reason: str) -> None:
        del self._nodes[node.number]
        self._say(Gone(node=node.number, reason=reason))
        self._end(node, again=True)

    def _refuse(self, node: Node, reason: str, remedy: str, *, again: bool = False) -> None:
        del self._nodes[node.number]
        self._say(Refused(name=node.name, reason=reason, remedy=remedy))
        self._end(node, again=again)

    def _end(self, node: Node, *, again: bool) -> None:
        """Kill an actor; where a new one may take its place, that is tried after a pause, each time a longer one."""
        if again:
            pause = min(_LONGEST_PAUSE, 3 * self._pauses.get(node.ray_id, (0.0, 0.5))[1])
            self._pauses[node.ray_id] = (time.monotonic() + pause, pause)
        else:
            self._never.add(node.ray_id)
        with suppress(Exception):
            self._ray.kill(node.actor)

    # -- batches

    def _send(self, node: Node, send: Send) -> None:
        """Read what is to be sent, and send it; in a thread of its own."""
        sent = 0
        items: list[Item] = []
        for item in send.items:
            content = item.content
            if content is None and item.id in send.by_content:
                with suppress(OSError):
                    content = Path(os.fsdecode(item.path)).read_bytes()
            sent += len(content or b"")
            items.append(msgspec.structs.replace(item, content=content))
        try:
            reference = node.actor.run.remote(encode(Work(tuple(items))))
            self._ask(reference, partial(self._on_done, node, send.batch, sent))
        except Exception as error:  # noqa: BLE001 - whatever it was, the batch is not there
            text = _first_line(error)
            self.inbox.put(lambda: self._lose(node, text) if node.number in self._nodes else None)

    def _on_done(self, node: Node, batch: int, sent: int, future: Future[bytes]) -> None:
        if node.number not in self._nodes:
            return
        if (error := future.exception()) is not None:
            self._lose(node, _first_line(error))
        else:
            self._say(Heard(node=node.number, batch=batch, done=future.result(), bytes_sent=sent))

    def _close(self) -> None:
        """End the workers of all nodes, then the actors, then the connection: each within a moment."""
        nodes = list(self._nodes.values())
        self._nodes.clear()
        with suppress(Exception):
            self._ray.wait([node.actor.close.remote() for node in nodes], num_returns=len(nodes), timeout=1.5)
        for node in nodes:
            with suppress(Exception):
                self._ray.kill(node.actor)
        with suppress(Exception):
            self._ray.shutdown()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _unreachable(address: str) -> ConnectFailed | None:
    """Ray waits for minutes where nothing listens: this does not."""
    if (place := host_and_port(address)) is None:
        return None
    try:
        socket.create_connection(place, timeout=_REACH_SECONDS).close()
    except OSError as error:
        text = f"nothing answers at {place[0]}:{place[1]}: {error.strerror or error}"
        remedy = (
            "start the cluster (`ray start --head`), or name its address: `ray status` on its head says whether it runs"
        )
        return ConnectFailed(kind="unavailable", message=text, remedy=remedy)
    return None


def _explained(address: str, error: Exception) -> ConnectFailed:
    text = " ".join(str(error).split())
    lower = text.lower()
    if "version" in lower and ("mismatch" in lower or "differ" in lower):
        import platform

        import ray

        own = f"Ray {ray.__version__} and Python {platform.python_version()}"
        these = pip_install_elsewhere(f"ray=={ray.__version__}")
        remedy = f"install the cluster's versions here, or these on its machines: {these}"
        return ConnectFailed(
            kind="mismatch", message=f"the cluster runs other versions than {own}: {text}", remedy=remedy
        )
    if "token" in lower or "unauthenticated" in lower:
        return ConnectFailed(
            kind="unavailable",
            message=f"the cluster lets nobody in without its token: {text[:200]}",
            remedy=_LET_IN,
        )
    if "pip package" in lower:
        return ConnectFailed(kind="missing", message=text, remedy=install_command("cluster"))
    if address == "auto":
        text = f"this machine belongs to no running cluster: {text[:200]}"
        return ConnectFailed(kind="unavailable", message=text, remedy="ray start --head, or --cluster local")
    return ConnectFailed(
        kind="unavailable", message=f"no cluster at {address}: {text[:300]}", remedy="see `ray status` on its head"
    )


def main() -> None:
    """Run until told to close, or the driver is gone."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(message: FromConnection) -> None:
        with lock, suppress(BrokenPipeError):
            write_body(writer, encode(message))

    first = read_body(reader)
    connect = None if first is None else decode_to_connection(first)
    if isinstance(connect, Connect):
        connection = Connection(say)
        threading.Thread(target=_receive, args=(reader, connection), name="receive", daemon=True).start()
        connection.run(connect)
    sys.stderr.flush()
    os._exit(0)  # what is still being read, or sent to a node that does not answer, is not waited for


def _receive(reader: BinaryIO, connection: Connection) -> None:
    # The end of the stream without a ``Close``: the driver was killed.
    while (body := read_body(reader)) is not None:
        message = decode_to_connection(body)
        connection.inbox.put(partial(connection.on_message, message))
    connection.inbox.put(connection.stop)
