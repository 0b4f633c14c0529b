"""``imgtool warm-cache`` on every node of a cluster."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence

from msgspec import Struct

from imgtool.cluster.address import check_address
from imgtool.cluster.link import CONNECT_SECONDS, ProcessLink
from imgtool.cluster.messages import (
    CommandDone,
    Connect,
    Connected,
    ConnectFailed,
    Ended,
    FromConnection,
    Listed,
    Refused,
    decode_command_ended,
)
from imgtool.errors import ClusterLost, ClusterUnavailable, ExitCode


class NodeOutcome(Struct, frozen=True):
    """How a command ended on a node, and what it wrote."""

    name: str
    code: int
    out: str
    err: str


def run_on_nodes(address: str, words: Sequence[str]) -> Iterator[NodeOutcome]:
    """Run ``imgtool`` with ``words`` once on every node there is now; gives each as it is done.

    Raises:
        UsageProblem: ``address`` is none.
        MissingExtra: Ray is not installed.
        ClusterUnavailable, ClusterMismatch: there is no cluster, or it does not let us in.
        ClusterLost: it was there, and is no more.
    """
    check_address(address)
    news: queue.SimpleQueue[FromConnection | Ended] = queue.SimpleQueue()
    link = ProcessLink(news.put)
    try:
        link.send(Connect(address=address, command=tuple(words)))
        done: set[str] = set()
        limit: float | None = CONNECT_SECONDS
        while True:
            try:
                message = news.get(timeout=limit)
            except queue.Empty:
                text = f"the cluster at {address} does not answer as one"
                raise ClusterUnavailable(text, "see `ray status` on its head") from None
            if isinstance(message, Connected):
                limit = None
            elif isinstance(message, ConnectFailed):
                raise message.exception()
            elif isinstance(message, Ended):
                raise ClusterLost(f"the cluster was lost: {message.description}", "run the same command again")
            elif isinstance(message, Refused):
                done.add(message.name)
                yield NodeOutcome(
                    message.name, ExitCode.USAGE, "", f"error: {message.reason}\n  try: {message.remedy}\n"
                )
            elif isinstance(message, CommandDone):
                ended = decode_command_ended(message.ended)
                done.add(message.name)
                yield NodeOutcome(message.name, ended.code, ended.out, ended.err)
            elif isinstance(message, Listed) and len(done) >= message.nodes:
                if not done:
                    raise ClusterUnavailable(f"the cluster at {address} has no node with a CPU", "see `ray status`")
                return
    finally:
        link.close()
