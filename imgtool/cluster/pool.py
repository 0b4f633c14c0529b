"""The pool of a cluster: gives batches to nodes, watches over them, and gives again what a lost node had in hand.

All of it runs in the scheduler's thread, as the pool of one machine does. What keeps a run whole:

* a node that says nothing for ``node_timeout``, or has had a batch for longer than its images may take, is given up:
  its actor is ended, and its images go to others before anything else. If it lives, a new actor takes its place;
* an answer is taken once: what comes of an image that another node has answered is dropped;
* images that were in hand of two lost nodes go alone from then on, and one that was with five fails as a value;
* nodes that join at any time are asked first what they would answer with, and refused where that is something else.

Each node has two batches, so that it never waits for the next; how large they are follows from how fast it is, and how
many workers it has. The heaviest images of those that wait go first: what takes long must not begin last. But each
batch begins with the image that waits longest, and an image of a higher priority than all that a node has is given to
it at once.
"""

from __future__ import annotations

import itertools
import os
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from imgtool import __version__
from imgtool.analyzers.interface import THUMBNAIL
from imgtool.cluster.link import CONNECT_SECONDS, Link, Post, ProcessLink
from imgtool.cluster.messages import (
    SAME_IMGTOOL,
    Alive,
    CommandDone,
    Connect,
    Connected,
    ConnectFailed,
    Done,
    Ended,
    FromConnection,
    Gone,
    Heard,
    Hello,
    Joined,
    Leave,
    Listed,
    NodeEvent,
    Refused,
    Send,
    Welcome,
    decode_done,
    decode_news,
    decode_welcome,
    encode,
    event_from_node,
    options_for_nodes,
)
from imgtool.distribution import pip_install_elsewhere
from imgtool.engine.plan import Plan
from imgtool.errors import (
    ClusterLost,
    ClusterUnavailable,
    ImgtoolError,
    NoUsableNode,
)
from imgtool.options import EngineOptions
from imgtool.runtime.interface import NodeNotice, NodeStatistics, PoolEvent, WorkerStatistics
from imgtool.runtime.protocol import Failed, Item, ItemFinished, ModelFailed
from imgtool.types import Problem

_BATCHES_AHEAD = 2
_BATCH_SECONDS = 1.0
"""A batch is as many images as a node answers in this time."""
_IMAGES_A_WORKER, _MOST_IN_BATCH = 2, 64
"""A batch has at least so many for each worker of its node, so that none waits for the slowest image of a batch."""
_BACKLOG = 64
_ALONE_AFTER, _FAILS_AFTER = 2, 5
_NOBODY_SECONDS = 60.0
"""How long to wait for a node where there is none."""
MOST_SENT_AT_ONCE, MOST_SENT = 64 << 20, 512 << 20
"""Bytes of images in one batch, unless a single one has more, and of one image."""
_MOST_IN_HAND = 1 << 30
"""Bytes of images that wait or are with nodes, given as bytes by the caller: more are not taken."""


class ClusterLimits(Struct, frozen=True, kw_only=True):
    """What bounds the supervision, in seconds. ``tasks`` is how many an image has at most."""

    address: str
    node_timeout: float
    timeout: float
    load_timeout: float
    tasks: int


class Assigned(Struct, eq=False):
    """A batch that a node has."""

    items: dict[int, Item]
    by_content: tuple[int, ...]
    deadline: float
    sent_at: float


class PoolNode(Struct, eq=False):
    """A node that has joined, and may start so many ``workers``. ``rate`` is images a second; ``blind`` are folders
    whose files it does not see."""

    number: int
    name: str
    joined: float
    heard: float
    figures: NodeStatistics
    workers: int
    rate: float = 0.0
    free_since: float = 0.0
    batches: dict[int, Assigned] = {}
    blind: set[bytes] = set()
    statistics: WorkerStatistics = msgspec.field(default_factory=WorkerStatistics)

    @property
    def batch_size(self) -> int:
        """Images of its next batch."""
        in_time = min(_MOST_IN_BATCH, round(self.rate * _BATCH_SECONDS))
        return max(_IMAGES_A_WORKER * self.workers, in_time)


class ClusterPool:
    """See the module's docstring. An :class:`imgtool.runtime.interface.ItemPool`."""

    def __init__(
        self,
        make_link: Callable[[Post], Link],
        connect: Callable[[bool], Connect],
        fingerprints: Callable[[], dict[str, str]],
        call_soon: Callable[[Callable[[], None]], None],
        limits: ClusterLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``connect`` gives the first message; its argument is whether nodes are to load their models at once.
        ``fingerprints`` are those of the answers that are wanted."""
        self._make_link, self._connect, self._fingerprints = make_link, connect, fingerprints
        self._call_soon, self._limits, self._clock = call_soon, limits, clock
        self._link: Link | None = None
        self._connect_deadline: float | None = None
        self._nobody_since = 0.0
        self._nodes: dict[int, PoolNode] = {}
        self._figures: dict[str, NodeStatistics] = {}
        self._refusals: dict[str, tuple[str, str]] = {}
        self._open: dict[int, Item] = {}
        self._backlog: list[tuple[int, int, int]] = []
        """(minus the priority, minus the weight, id) of items that wait, sorted."""
        self._again: list[int] = []
        self._losses: Counter[int] = Counter()
        self._batch_ids = itertools.count()
        self._events: list[PoolEvent] = []
        self._failed_models: set[tuple[str, str]] = set()
        self._failure: ImgtoolError | None = None
        self.statistics = WorkerStatistics()

    # -- what the scheduler calls

    def room(self, waiting: int, *, more_coming: bool) -> int:
        """More than the nodes have room for: the heaviest are chosen among them."""
        if sum(len(item.content or b"") for item in self._open.values()) > _MOST_IN_HAND:
            return 0
        wanted = _BACKLOG + sum(_BATCHES_AHEAD * node.batch_size for node in self._nodes.values())
        return max(0, min(waiting, wanted - len(self._backlog) - len(self._again)))

    def submit(self, items: Sequence[Item]) -> None:
        """Take items."""
        self.begin()
        for item in items:
            # A node has another current folder.
            path = os.path.abspath(item.path) if item.path else b""  # noqa: PTH100 - bytes
            self._open[item.id] = msgspec.structs.replace(item, path=path)
            insort(self._backlog, (-item.priority, -_weight(item), item.id))
        self._give()

    def events(self) -> list[PoolEvent]:
        """What has become of the items since the last call. Gives up nodes that are late.

        Raises:
            ClusterUnavailable: there is no cluster, or it has no node.
            NoUsableNode: all of its nodes were refused.
            ClusterLost: it was there, and is no more.
        """
        self._check_deadlines()
        self._give()
        if (failure := self._failure) is not None:
            self._failure = None
            self._end(at_once=True)
            raise failure
        events, self._events = self._events, []
        return events

    def seconds_to_deadline(self) -> float | None:
        """How long until ``events`` may have to give something up."""
        due = [node.heard + self._limits.node_timeout for node in self._nodes.values()]
        due += [batch.deadline for node in self._nodes.values() for batch in node.batches.values()]
        if self._connect_deadline is not None:
            due.append(self._connect_deadline)
        elif self._link is not None and self._open and not self._nodes:
            due.append(self._nobody_since + _NOBODY_SECONDS)
        return max(0.0, min(due) - self._clock()) if due else None

    def begin(self) -> None:
        """Connect now: there will be work."""
        self._start(warm_up=False)

    def warm_up(self) -> None:
        """Connect, and have every node load its models."""
        self._start(warm_up=True)

    def close(self, *, at_once: bool = False) -> None:
        """End the actors and leave the cluster."""
        self._end(at_once=False)

    def forget(self) -> None:
        """In a forked child: close the parent's pipes."""
        if self._link is not None:
            self._link.forget()

    # -- the connection

    def _start(self, *, warm_up: bool) -> None:
        if self._link is None:
            self._connect_deadline = self._clock() + CONNECT_SECONDS
            self._refusals.clear()

            def post(message: FromConnection | Ended) -> None:
                self._call_soon(partial(self.handle, link, message))

            link = self._link = self._make_link(post)
            link.send(self._connect(warm_up))

    def _end(self, *, at_once: bool) -> None:
        link, self._link = self._link, None
        self._connect_deadline = None
        self._nodes.clear()
        self._open.clear()
        self._backlog.clear()
        self._again.clear()
        self._losses.clear()
        if link is not None:
            link.kill() if at_once else link.close()

    def handle(self, link: Link, message: FromConnection | Ended) -> None:
        """Take in what a connection posted; nothing of one that was ended is heard."""
        if link is not self._link:
            return
        if isinstance(message, Ended):
            self._on_ended(message)
        elif isinstance(message, Connected):
            self._connect_deadline, self._nobody_since = None, self._clock()
        elif isinstance(message, ConnectFailed):
            self._on_connect_failed(message, link.last_words())
        elif isinstance(message, Joined):
            self._on_joined(message)
        elif isinstance(message, Refused):
            self._refuse(message.name, message.reason, message.remedy)
        elif isinstance(message, Listed):
            self._on_listed(message)
        elif not isinstance(message, CommandDone) and (node := self._nodes.get(message.node)) is not None:
            self._on_node(node, message)

    def _on_node(self, node: PoolNode, message: Alive | Heard | Gone) -> None:
        node.heard = self._clock()
        if isinstance(message, Heard):
            self._on_heard(node, message)
        elif isinstance(message, Gone):
            self._lose(node, message.reason, tell_link=False)
        elif message.news:
            self._on_events(decode_news(message.news))

    def _on_connect_failed(self, failed: ConnectFailed, words: str) -> None:
        self._failure = failed.exception()
        if "InvalidAuthToken" in words:  # Ray's own exception says that it cannot connect, and no more
            self._failure = self._unanswered(words)

    def _on_ended(self, ended: Ended) -> None:
        if self._connect_deadline is not None:
            self._failure = self._unanswered(ended.description)
            return
        self._failure = ClusterLost(
            f"the cluster was lost: {ended.description.splitlines()[0]} (its head may have ended)",
            "what was answered is kept: start the cluster again and run the same command",
        )

    def _unanswered(self, description: str) -> ClusterUnavailable:
        """Nothing came of connecting. What Ray wrote to stderr may say why."""
        if "auth" in description.lower():
            text = f"the cluster at {self._limits.address} does not accept this machine's token"
            return ClusterUnavailable(text, "give it the cluster's token: RAY_AUTH_TOKEN, or ~/.ray/auth_token")
        text = f"the cluster at {self._limits.address} does not answer as one"
        return ClusterUnavailable(f"{text}: {description.splitlines()[-1]}", "see `ray status` on its head")

    def _on_listed(self, listed: Listed) -> None:
        if self._nodes or listed.pending:
            self._nobody_since = self._clock()
        elif listed.nodes and self._refusals and self._open and len(self._refusals) >= listed.nodes:
            name, (reason, remedy) = next(iter(self._refusals.items()))
            text = "the node" if len(self._refusals) == 1 else f"none of {len(self._refusals)} nodes"
            verb = "cannot be used" if len(self._refusals) == 1 else "can be used"
            self._failure = NoUsableNode(f"{text} {verb}: {name}: {reason}", remedy)

    # -- nodes

    def _on_joined(self, joined: Joined) -> None:
        welcome = decode_welcome(joined.welcome)
        wrong = self._wrong(welcome)
        if wrong is not None:
            assert self._link is not None
            self._link.send(Leave(node=joined.node, again=False))
            self._refuse(joined.name, *wrong)
            return
        now = self._clock()
        figures = NodeStatistics()
        if (before := self._figures.get(joined.name)) is not None:
            figures = before
            figures.state = "working"
        self._figures[joined.name] = figures
        self._refusals.pop(joined.name, None)
        workers = max(1, welcome.workers)
        self._nodes[joined.node] = PoolNode(joined.node, joined.name, now, now, figures, workers, free_since=now)
        self._count()
        self._give()

    def _wrong(self, welcome: Welcome) -> tuple[str, str] | None:
        """Why a node that answers so cannot be used, and what to run there."""
        address = self._limits.address
        if welcome.version != __version__:
            text = f"it has imgtool {welcome.version}, and this machine {__version__}"
            return text, f"run there: {pip_install_elsewhere(SAME_IMGTOOL)}"
        warm = f"imgtool warm-cache --cluster {address}, or what imgtool says there: "
        if (problem := welcome.problem) is not None:
            return problem.message, warm + problem.remedy if problem.code == "ModelMissing" else problem.remedy
        wanted = self._fingerprints()
        other = [task for task, kept in wanted.items() if welcome.fingerprints.get(task) != kept]
        if not other:
            return None
        task, theirs = other[0], welcome.fingerprints.get(other[0], "nothing")
        text = f"it would answer {task} with {theirs}, and this machine with {wanted[task]}: another model or version"
        return text, warm + (" ".join(welcome.notices) or "imgtool models")

    def _refuse(self, name: str, reason: str, remedy: str) -> None:
        if self._refusals.get(name) != (reason, remedy):
            self._refusals[name] = (reason, remedy)
            self._figures.setdefault(name, NodeStatistics()).state = "refused"
            self._events.append(NodeNotice(f"node {name} is left out: {reason} ({remedy})"))
            self._count()

    def _lose(self, node: PoolNode, reason: str, *, tell_link: bool = True, again: bool = True) -> None:
        """Give a node up; what it had in hand goes to others."""
        del self._nodes[node.number]
        if tell_link and self._link is not None:
            self._link.send(Leave(node=node.number, again=again))
        # Of two batches it had begun with the first: images of the second are no suspects.
        lost = [[key for key in batch.items if key in self._open] for batch in node.batches.values()]
        self._losses.update(lost[0] if lost else [])
        for key in itertools.chain.from_iterable(lost):
            node.figures.resubmitted += 1
            if self._losses[key] >= _FAILS_AFTER:
                text = f"{_FAILS_AFTER} nodes were lost while they had this image in hand"
                problem = Problem("node_lost", text, "run again without --cluster, or leave it out with --exclude")
                self._events += [Failed(item=key, task=None, problem=problem), ItemFinished(item=key)]
                del self._open[key]
            else:
                self._again.append(key)
        node.figures.state = "lost"
        if not self._nodes:
            self._nobody_since = self._clock()
        count = sum(map(len, lost))
        given = f": {count} image{'s' if count != 1 else ''} given to others" if count else ""
        left = f"{len(self._nodes)} node{'s' if len(self._nodes) != 1 else ''} left"
        self._events.append(NodeNotice(f"node {node.name} is lost ({reason}){given}, {left}"))
        self._count()

    def _check_deadlines(self) -> None:
        now = self._clock()
        if self._connect_deadline is not None and self._connect_deadline <= now:
            words = "" if self._link is None else self._link.last_words()
            self._failure = self._unanswered(f"{words}\nnothing was heard for {CONNECT_SECONDS:g} s")
        for node in list(self._nodes.values()):
            if node.heard + self._limits.node_timeout <= now:
                self._lose(node, f"silent for {self._limits.node_timeout:g} s")
            elif any(batch.deadline <= now for batch in node.batches.values()):
                self._lose(node, "it has had a batch for longer than its images may take")
        is_alone = self._link is not None and self._connect_deadline is None and self._open and not self._nodes
        if is_alone and self._nobody_since + _NOBODY_SECONDS <= now and self._failure is None:
            if any(figures.batches for figures in self._figures.values()):
                text = f"all nodes were lost, and none came back within {_NOBODY_SECONDS:g} s"
                self._failure = ClusterLost(text, "what was answered is kept: run the same command again")
            else:
                text = f"no node with a free CPU joined within {_NOBODY_SECONDS:g} s"
                self._failure = ClusterUnavailable(text, "see `ray status`: other jobs may hold all CPUs")

    # -- batches

    def _give(self) -> None:
        """Batches for nodes that have room: first those that have nothing."""
        while self._backlog or self._again:
            able = [node for node in self._nodes.values() if self._has_room(node)]
            if not able:
                return
            node = min(able, key=lambda each: (len(each.batches), -each.rate))
            if not self._send(node):
                return

    def _has_room(self, node: PoolNode) -> bool:
        """For a batch, or for one more of a higher priority than all that it has."""
        if len(node.batches) < _BATCHES_AHEAD:
            return True
        if len(node.batches) > _BATCHES_AHEAD or self._again or not self._backlog:
            return False
        urgent = -self._backlog[0][0]
        return all(item.priority < urgent for batch in node.batches.values() for item in batch.items.values())

    def _send(self, node: PoolNode) -> bool:
        waiting = len(self._backlog) + len(self._again)
        # Less at a time towards the end, so that no node is left with a batch while others have nothing.
        size = min(node.batch_size, max(1, -(-waiting // (_BATCHES_AHEAD * len(self._nodes)))))
        if len(node.batches) >= _BATCHES_AHEAD:
            size = min(size, sum(entry[0] == self._backlog[0][0] for entry in self._backlog))
        items: dict[int, Item] = {}
        by_content: list[int] = []
        total = 0
        while len(items) < size and (key := self._next(oldest=not items)) is not None:
            item = self._open[key]
            alone = self._losses[key] >= _ALONE_AFTER
            unseen = item.content is None and os.path.dirname(item.path) in node.blind  # noqa: PTH120 - bytes
            weight = item.size if unseen else len(item.content or b"")
            if items and (alone or total + weight > MOST_SENT_AT_ONCE):
                self._again.insert(0, key)
                break
            items[key] = item
            total += weight
            if unseen:
                by_content.append(key)
            if alone:
                break
        if not items:
            return False
        now = self._clock()
        before = sum(len(batch.items) for batch in node.batches.values())
        allowed = self._limits.timeout * self._limits.tasks * (len(items) + before) + self._limits.load_timeout
        number = next(self._batch_ids)
        if not node.batches:
            node.free_since = now
        node.batches[number] = Assigned(items, tuple(by_content), now + allowed, now)
        assert self._link is not None
        given = tuple(items.values())
        self._link.send(Send(node=node.number, batch=number, items=given, by_content=tuple(by_content)))
        return True

    def _next(self, *, oldest: bool) -> int | None:
        """The item to give next: what a lost node had, then of the highest priority the ``oldest`` or the heaviest."""
        while self._again:
            if (key := self._again.pop(0)) in self._open:
                return key
        while self._backlog:
            place = 0
            if oldest:
                first = [entry for entry in self._backlog if entry[0] == self._backlog[0][0]]
                place = min(range(len(first)), key=lambda index: first[index][2])
            if (key := self._backlog.pop(place)[2]) in self._open:
                return key
        return None

    def _on_heard(self, node: PoolNode, heard: Heard) -> None:
        batch = node.batches.pop(heard.batch, None)
        if batch is None:
            return
        done = decode_done(heard.done)
        now = self._clock()
        node.statistics = done.statistics
        node.figures.batches += 1
        extra = now - batch.sent_at - done.seconds - node.figures.overhead_seconds
        node.figures.overhead_seconds = round(node.figures.overhead_seconds + extra / node.figures.batches, 6)
        node.figures.bytes_sent += heard.bytes_sent
        self._on_events(done.events)
        finished = sum(key not in self._open for key in batch.items)
        if finished:
            seconds = max(1e-3, now - max(batch.sent_at, node.free_since))
            latest = finished / seconds
            node.rate = latest if not node.rate else 0.5 * node.rate + 0.5 * latest
            node.figures.images += finished
            node.figures.images_per_second = round(node.figures.images / max(1e-3, now - node.joined), 3)
        node.free_since = now
        if done.problem is not None:
            self._refuse(node.name, done.problem.message, done.problem.remedy)
            node.batches[heard.batch] = batch
            self._lose(node, done.problem.message, again=False)
        else:
            for key in batch.items:
                if key in self._open:
                    self._on_unseen(node, self._open[key], batch, done)
        self._count()
        self._give()

    def _on_events(self, events: Sequence[NodeEvent]) -> None:
        for sent in events:
            event = event_from_node(sent)
            key = getattr(event, "item", None)
            if key is not None and key not in self._open:
                continue  # another node was first
            if isinstance(event, ModelFailed):
                if (event.task, event.analyzer) in self._failed_models:
                    continue
                self._failed_models.add((event.task, event.analyzer))
            if isinstance(event, ItemFinished):
                del self._open[event.item]
                self._losses.pop(event.item, None)
            self._events.append(event)

    def _on_unseen(self, node: PoolNode, item: Item, batch: Assigned, done: Done) -> None:
        """A node does not see a file, or sees another: its bytes are sent, unless they are too many."""
        folder = os.path.dirname(item.path)  # noqa: PTH120 - bytes
        problem = None
        if item.id not in done.unseen:
            problem = Problem("node_failed", f"node {node.name} has lost this image", "run again")
        elif item.id in batch.by_content or item.content is not None:
            text = "the file was changed while it was being read"
            problem = Problem("changed_while_reading", text, "run again once it is complete")
        elif item.size > MOST_SENT:
            text = f"it has {item.size:,} bytes, and no node sees its folder: more than {MOST_SENT:,} are not sent"
            problem = Problem("too_large_to_send", text, "put it into a folder that all nodes share")
        if problem is None:
            node.blind.add(folder)
            self._again.insert(0, item.id)
            return
        del self._open[item.id]
        self._events += [Failed(item=item.id, task=None, problem=problem), ItemFinished(item=item.id)]

    def _count(self) -> None:
        """The figures of all nodes; made anew, because others read them at any time."""
        figures = WorkerStatistics(nodes=dict(self._figures))
        for node in self._nodes.values():
            for name in ("allowed", "started", "died", "timed_out", "recycled"):
                setattr(figures, name, getattr(figures, name) + getattr(node.statistics, name))
        self.statistics = figures


def _weight(item: Item) -> int:
    return len(item.content) if item.content is not None else item.size


def pool_of_nodes(
    options: EngineOptions, plan: Plan, call_soon: Callable[[Callable[[], None]], None], *, every_worker: bool
) -> ClusterPool:
    """The pool of the cluster that ``options`` name. ``every_worker``: the number of workers was asked for, and is the
    same on each node; else each finds out what pays there."""
    assert options.cluster is not None
    address = options.cluster

    def fingerprints() -> dict[str, str]:
        return {task: choice.fingerprint for task, choice in plan.chosen.items()}

    def connect(warm_up: bool) -> Connect:
        asked = options_for_nodes(options)
        if not every_worker:
            asked.pop("workers", None)
        hello = Hello(
            version=__version__,
            options=asked,
            cache_dir=None if options.cache_dir is None else str(options.cache_dir.expanduser().absolute()),
            thumbnails=THUMBNAIL in plan.chosen,
            warm_up=warm_up,
        )
        every = min(1.0, options.node_timeout / 4)
        return Connect(address=address, hello=encode(hello), gpus=options.device != "cpu", every=every)

    limits = ClusterLimits(
        address=address,
        node_timeout=options.node_timeout,
        timeout=options.timeout,
        load_timeout=options.load_timeout,
        tasks=len(plan.chosen),
    )
    return ClusterPool(ProcessLink, connect, fingerprints, call_soon, limits)
