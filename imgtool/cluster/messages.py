"""What is said between the driver, its connection process and the nodes: MessagePack, and never a pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from imgtool import __version__
from imgtool.distribution import NAME
from imgtool.errors import ClusterMismatch, ClusterUnavailable, ImgtoolError, MissingExtra
from imgtool.options import DEFAULT_LANGUAGES, EngineOptions
from imgtool.runtime.interface import FewerWorkers, WorkerStatistics
from imgtool.runtime.protocol import (
    Answered,
    Decoded,
    Failed,
    Item,
    ItemFinished,
    LoadRetried,
    ModelFailed,
    ModelLoaded,
)
from imgtool.types import Problem

SAME_IMGTOOL = f"{NAME}[cluster]=={__version__}"
"""What a node has to have installed: another version may speak otherwise."""

# -- between the driver and a node


class Hello(Struct, frozen=True, kw_only=True):
    """What a node is to answer with. ``options`` are those that differ from the defaults, ``cache_dir`` is the driver's
    cache folder, for a node whose environment names none."""

    version: str
    options: Mapping[str, Any]
    cache_dir: str | None = None
    thumbnails: bool = False
    warm_up: bool = False


class Welcome(Struct, frozen=True, kw_only=True):
    """What a node would answer with: ``fingerprints`` by task, or the ``problem`` why it cannot, and the notices of its
    plan. ``workers`` is how many it may start."""

    version: str
    workers: int = 1
    fingerprints: Mapping[str, str] = {}
    notices: tuple[str, ...] = ()
    problem: Problem | None = None


class Work(Struct, frozen=True):
    """A batch for a node. Images whose ``content`` is missing are looked for on the node itself."""

    items: tuple[Item, ...]


class NewsOfFewerWorkers(Struct, frozen=True, tag="fewer"):
    """``FewerWorkers`` on its way from a node."""

    left: int
    problem: Problem


NodeEvent = Decoded | Answered | Failed | ItemFinished | ModelLoaded | LoadRetried | ModelFailed | NewsOfFewerWorkers


class Done(Struct, frozen=True, kw_only=True):
    """What has become of a batch. ``unseen`` are items whose file is not there, or is another; ``seconds`` is how long
    the node's pool had the others; ``problem`` is why the node can compute nothing."""

    events: tuple[NodeEvent, ...] = ()
    unseen: tuple[int, ...] = ()
    seconds: float = 0.0
    problem: Problem | None = None
    statistics: WorkerStatistics = msgspec.field(default_factory=WorkerStatistics)


class Command(Struct, frozen=True):
    """``imgtool`` with these words is to run on a node."""

    words: tuple[str, ...]


class CommandEnded(Struct, frozen=True, tag="command", kw_only=True):
    """How it ended there."""

    code: int
    out: str
    err: str


# -- from the driver to its connection process


class Connect(Struct, frozen=True, tag="connect", kw_only=True):
    """The first message. Each node is asked ``hello``, or runs ``command`` once, where that is given. ``gpus``: the
    actor takes the GPUs of its node. Seconds: how often nodes are listed and asked whether they live."""

    address: str
    hello: bytes = b""
    command: tuple[str, ...] | None = None
    gpus: bool = True
    every: float = 1.0


class Send(Struct, frozen=True, tag="send", kw_only=True):
    """Give a batch to a node. The files of ``by_content`` are read and sent."""

    node: int
    batch: int
    items: tuple[Item, ...]
    by_content: tuple[int, ...] = ()


class Leave(Struct, frozen=True, tag="leave", kw_only=True):
    """End the actor of a node. ``again``: a new one may take its place."""

    node: int
    again: bool = True


class Close(Struct, frozen=True, tag="close"):
    """End all actors, and leave the cluster."""


ToConnection = Connect | Send | Leave | Close

# -- from the connection process


class Connected(Struct, frozen=True, tag="connected"):
    """The cluster has let us in."""


class ConnectFailed(Struct, frozen=True, tag="connect_failed", kw_only=True):
    """It has not. ``kind`` is ``missing`` (Ray is not installed), ``mismatch`` or ``unavailable``."""

    kind: str
    message: str
    remedy: str

    def exception(self) -> ImgtoolError:
        """What is raised where somebody waits for the cluster."""
        kinds = {"missing": MissingExtra, "mismatch": ClusterMismatch}
        return kinds.get(self.kind, ClusterUnavailable)(self.message, self.remedy)


class Listed(Struct, frozen=True, tag="listed", kw_only=True):
    """How many nodes can take work, and how many of them are still being asked."""

    nodes: int
    pending: int


class Joined(Struct, frozen=True, tag="joined", kw_only=True):
    """The actor of a node has answered: a ``Welcome``."""

    node: int
    name: str
    welcome: bytes


class Refused(Struct, frozen=True, tag="refused", kw_only=True):
    """No actor could be made on a node."""

    name: str
    reason: str
    remedy: str


class Alive(Struct, frozen=True, tag="alive"):
    """A node has answered whether it lives; ``news`` are events that belong to no batch, or nothing."""

    node: int
    news: bytes = b""


class Heard(Struct, frozen=True, tag="heard", kw_only=True):
    """A batch has come back: a ``Done``; ``bytes_sent`` are those of its images."""

    node: int
    batch: int
    done: bytes
    bytes_sent: int = 0


class Gone(Struct, frozen=True, tag="gone", kw_only=True):
    """The actor of a node has ended, or cannot be reached."""

    node: int
    reason: str


class CommandDone(Struct, frozen=True, tag="command_done", kw_only=True):
    """A node has run the command: a ``CommandEnded``."""

    name: str
    ended: bytes


FromConnection = Connected | ConnectFailed | Listed | Joined | Refused | Alive | Heard | Gone | CommandDone


class Ended(Struct, frozen=True):
    """The connection process has ended; said by whoever reads from it."""

    description: str


encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
decode_to_connection: Callable[[bytes], ToConnection] = msgspec.msgpack.Decoder(ToConnection).decode
decode_from_connection: Callable[[bytes], FromConnection] = msgspec.msgpack.Decoder(FromConnection).decode
decode_hello: Callable[[bytes], Hello] = msgspec.msgpack.Decoder(Hello).decode
decode_welcome: Callable[[bytes], Welcome] = msgspec.msgpack.Decoder(Welcome).decode
decode_work: Callable[[bytes], Work] = msgspec.msgpack.Decoder(Work).decode
decode_news: Callable[[bytes], tuple[NodeEvent, ...]] = msgspec.msgpack.Decoder(tuple[NodeEvent, ...]).decode
decode_done: Callable[[bytes], Done] = msgspec.msgpack.Decoder(Done).decode
decode_command: Callable[[bytes], Command] = msgspec.msgpack.Decoder(Command).decode
decode_command_ended: Callable[[bytes], CommandEnded] = msgspec.msgpack.Decoder(CommandEnded).decode

_OF_THE_DRIVER = {"cache", "cache_dir", "shared_cache", "cluster", "node_timeout"}
"""Options that a node has no use for, or its own."""


def options_for_nodes(options: EngineOptions) -> dict[str, Any]:
    """What was asked, as MessagePack can say it: options that differ from the defaults."""
    found: dict[str, Any] = {}
    defaults = EngineOptions()
    for name in EngineOptions.__struct_fields__:
        value = getattr(options, name)
        asked = value is not DEFAULT_LANGUAGES if name == "languages" else value != getattr(defaults, name)
        if asked and name not in _OF_THE_DRIVER:
            found[name] = msgspec.to_builtins(value, enc_hook=str)
    return found


def options_of(hello: Hello, cache_dir: str | None) -> EngineOptions:
    """The options with which a node answers; ``cache_dir`` is what its environment names.

    Raises:
        msgspec.ValidationError: they are of another version.
    """
    named = cache_dir or hello.cache_dir
    given = {**hello.options, **({"cache_dir": named} if named else {})}
    return msgspec.convert(given, EngineOptions, dec_hook=lambda kind, value: Path(value) if kind is Path else value)


def event_from_node(event: NodeEvent) -> Any:
    """What a node sent, as an event of a pool."""
    return FewerWorkers(event.left, event.problem) if isinstance(event, NewsOfFewerWorkers) else event
