"""A way to nodes that are not there: keeps what it is sent, and says what the test says."""

from __future__ import annotations

from collections.abc import Iterable

from imgtool import __version__
from imgtool.cluster.link import Post
from imgtool.cluster.messages import (
    Alive,
    Connected,
    Done,
    Ended,
    FromConnection,
    Gone,
    Heard,
    Joined,
    Leave,
    Send,
    ToConnection,
    Welcome,
    encode,
)
from imgtool.runtime.protocol import Answered, Decoded, ItemFinished

FINGERPRINTS = {"caption": "hazard-1"}


class FakeLink:
    """Nodes answer when the test says so."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.sent: list[ToConnection] = []
        self.closed = self.killed = False
        self.words = ""

    # -- what the test calls

    def connect(self, *nodes: int) -> None:
        """Let the pool in, and have nodes join."""
        self.say(Connected())
        for node in nodes:
            self.join(node)

    def join(self, node: int, *, name: str | None = None, version: str = __version__, **more: object) -> None:
        """Have a node join that would answer as it should, unless ``more`` says otherwise."""
        welcome = Welcome(version=version, **{"fingerprints": FINGERPRINTS, **more})  # type: ignore[arg-type]
        self.say(Joined(node=node, name=name or f"n{node}", welcome=encode(welcome)))

    def say(self, message: FromConnection | Ended) -> None:
        """Say something."""
        self._post(message)

    def alive(self, *nodes: int) -> None:
        """Have nodes say that they live."""
        for node in nodes:
            self.say(Alive(node))

    def lose(self, node: int) -> None:
        """Have a node die."""
        self.say(Gone(node=node, reason="planted"))

    def batches(self, node: int) -> list[Send]:
        """Everything that a node was given."""
        return [message for message in self.sent if isinstance(message, Send) and message.node == node]

    @property
    def left(self) -> list[Leave]:
        """The nodes that were told to leave."""
        return [message for message in self.sent if isinstance(message, Leave)]

    def answer(self, batch: Send, *, unseen: Iterable[int] = (), seconds: float = 0.0) -> None:
        """Have a node answer a batch that its pool had for so long, but for what it does not see."""
        events: list[Decoded | Answered | ItemFinished] = []
        for item in batch.items:
            if item.id in unseen:
                continue
            events += [
                Decoded(item=item.id, format="PNG", width=1, height=1, pages=1, file_size=1, seconds=0.0),
                Answered(item=item.id, task="caption", analyzer="hazard", value=b'"a"', seconds=0.1),
                ItemFinished(item=item.id),
            ]
        done = Done(events=tuple(events), unseen=tuple(unseen), seconds=seconds)
        self.say(Heard(node=batch.node, batch=batch.batch, done=encode(done)))

    # -- what a pool calls

    def send(self, message: ToConnection) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True

    def kill(self) -> None:
        self.killed = True

    def last_words(self) -> str:
        return self.words

    def forget(self) -> None:
        """Nothing to let go of."""


class FakeLinks:
    """Makes one for each connection that a pool asks for."""

    def __init__(self) -> None:
        self.made: list[FakeLink] = []

    def __call__(self, post: Post) -> FakeLink:
        self.made.append(FakeLink(post))
        return self.made[-1]
