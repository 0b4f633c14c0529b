"""What the connection process makes of what Ray says; Ray itself is not imported."""

from __future__ import annotations

import queue
from concurrent.futures import Future

import pytest

from imgtool import __version__
from imgtool.cluster.connection import Connection, Node, _explained, _unreachable
from imgtool.cluster.messages import Connect, ConnectFailed, FromConnection, Gone, Joined, Refused
from imgtool.distribution import NAME
from tests.redis_servers import free_port

INSTALL = f"pip install '{NAME}[cluster]=={__version__}'"


def heard(error: Exception | None, answer: bytes = b"") -> FromConnection:
    """What is said of a node whose actor answers, or fails, so."""
    said: queue.SimpleQueue[FromConnection] = queue.SimpleQueue()
    connection = Connection(said.put)
    connection._connect = Connect(address="auto")
    node = Node(1, "a1b2c3", "10.0.0.5/a1b2c3", None, since=0.0)
    connection._nodes[1] = node
    future: Future[bytes] = Future()
    future.set_exception(error) if error is not None else future.set_result(answer)
    connection._on_hello(node, future)
    return said.get_nowait()


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        (
            "The actor failed to import\nModuleNotFoundError: No module named 'imgtool'",
            "has no imgtool",
            INSTALL,
        ),
        ("ImportError: cannot import name 'x' from 'imgtool'", "has no imgtool, or another one", INSTALL),
        ("Local disk is full\nThe object cannot be created", "its disk is full", "free space"),
        ("OSError: [Errno 28] No space left on device", "its disk is full", "free space"),
    ],
)
def test_a_node_that_cannot_have_an_actor_is_refused_by_name(text: str, reason: str, remedy: str) -> None:
    said = heard(RuntimeError(text))
    assert isinstance(said, Refused)
    assert (said.name, reason in said.reason, remedy in said.remedy) == ("10.0.0.5/a1b2c3", True, True)


def test_a_node_that_dies_meanwhile_is_tried_again_and_one_that_answers_joins() -> None:
    assert isinstance(heard(RuntimeError("The actor died")), Gone)
    assert heard(None, b"welcome") == Joined(node=1, name="10.0.0.5/a1b2c3", welcome=b"welcome")


@pytest.mark.parametrize(
    ("address", "text", "kind", "remedy"),
    [
        (
            "head:1",
            "Version mismatch: The cluster was started with: Ray: 2.9.0 Python: 3.10",
            "mismatch",
            "pip install ray==",
        ),
        ("ray://head:1", "Python minor versions differ between client and server", "mismatch", "pip install ray=="),
        (
            "head:1",
            "Token authentication is enabled but no authentication token was found",
            "unavailable",
            "get-auth-token",
        ),
        ("ray://head:1", "Ray Client requires pip package `ray[client]`", "missing", "[cluster]"),
        ("auto", "Could not find any running Ray instance", "unavailable", "ray start --head"),
        ("head:1", "ray client connection timeout", "unavailable", "ray status"),
    ],
)
def test_why_a_cluster_cannot_be_joined(address: str, text: str, kind: str, remedy: str) -> None:
    pytest.importorskip("ray")
    found = _explained(address, RuntimeError(text))
    assert (found.kind, remedy in found.remedy) == (kind, True), found


def test_a_port_is_tried_before_ray_waits_for_it() -> None:
    found = _unreachable(f"127.0.0.1:{free_port()}")
    assert isinstance(found, ConnectFailed)
    assert "nothing answers" in found.message
    assert _unreachable("local") is None
