"""What an actor does on its node: a pool as on one machine, asked in bytes. Knows nothing of Ray.

``run`` is called by several threads at once; a thread of its own owns the pool, as the scheduler does on one machine.
"""

from __future__ import annotations

import hashlib
import os
import queue
import subprocess
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from imgtool import __version__
from imgtool.cluster.messages import (
    CommandEnded,
    Done,
    Hello,
    NewsOfFewerWorkers,
    NodeEvent,
    Welcome,
    decode_command,
    decode_hello,
    decode_work,
    encode,
    options_of,
)
from imgtool.engine.local_pool import LocalPool
from imgtool.engine.plan import make_plan
from imgtool.engine.worker_count import with_workers
from imgtool.errors import ImgtoolError
from imgtool.ground.fresh import imgtool_command
from imgtool.runtime.interface import FewerWorkers, ItemPool, NodeNotice, WorkerStatistics
from imgtool.runtime.protocol import Answered, Decoded, Failed, Item, ItemFinished
from imgtool.types import Problem

_KEPT_BYTES = 256 << 20
"""Of images that were sent: other pages of a document ask for them again."""


class Job(Struct, eq=False):
    """A batch: what is left of it, what has happened, and who waits for it."""

    left: set[int]
    over: threading.Event
    events: list[NodeEvent] = []
    problem: Problem | None = None


class NodeServer:
    """See the module's docstring. All methods take and give MessagePack."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ItemPool | None = None
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting: deque[Item] = deque()
        self._jobs: dict[int, Job] = {}
        self._news: deque[NodeEvent] = deque()
        self._statistics = WorkerStatistics()
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._command: subprocess.Popen[bytes] | None = None
        self._ended = False

    def hello(self, data: bytes) -> bytes:
        """A ``Hello``; answered with a ``Welcome``. The pool is made, and starts workers where they are to warm up."""
        try:
            # Read apart: a driver of another version may ask in words that are not known here.
            if (version := msgspec.msgpack.decode(data)["version"]) != __version__:
                remedy = "install the same version on all machines"
                problem = Problem("version", f"the driver has imgtool {version}", remedy)
                return encode(Welcome(version=__version__, problem=problem))
            return encode(self._begin(decode_hello(data)))
        except ImgtoolError as error:
            problem = Problem(type(error).__name__, str(error), error.remedy)
        except (msgspec.MsgspecError, OSError) as error:
            problem = Problem("node", f"{type(error).__name__}: {error}")
        return encode(Welcome(version=__version__, problem=problem))

    def _begin(self, hello: Hello) -> Welcome:
        options = options_of(hello, os.environ.get("IMGTOOL_CACHE_DIR"))
        plan = make_plan(options, thumbnails=hello.thumbnails)
        gradual = not options.workers
        options = with_workers(options, plan)
        pool = self._pool = LocalPool(options, plan, self._inbox.put, gradual=gradual)
        threading.Thread(target=self._own, args=(pool,), name="pool", daemon=True).start()
        if hello.warm_up:
            self._inbox.put(pool.warm_up)
        fingerprints = {task: choice.fingerprint for task, choice in plan.chosen.items()}
        notices = tuple(plan.notices)
        return Welcome(version=__version__, workers=options.workers, fingerprints=fingerprints, notices=notices)

    def run(self, data: bytes) -> bytes:
        """A ``Work``; answered with a ``Done`` when all of its images are, those that are not seen here excepted."""
        ready, unseen = [], []
        for item in decode_work(data).items:
            found = self._located(item)
            ready.append(found) if found is not None else unseen.append(item.id)
        job = Job(left={item.id for item in ready}, over=threading.Event())
        began = time.monotonic()
        if ready:
            self._inbox.put(partial(self._take, job, ready))
            job.over.wait()
        done = Done(
            events=tuple(job.events),
            unseen=tuple(unseen),
            seconds=time.monotonic() - began,
            problem=job.problem,
            statistics=self._statistics,
        )
        return encode(done)

    def command(self, data: bytes) -> bytes:
        """A ``Command``; answered with a ``CommandEnded``."""
        command = imgtool_command(decode_command(data).words)
        self._command = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = self._command.communicate()
        ended = CommandEnded(
            code=self._command.returncode, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace")
        )
        return encode(ended)

    def ping(self) -> bytes:
        """Says that it is there, and what is new that belongs to no batch: models are loaded before there is any."""
        news = self._take_news()
        return encode(news) if news else b""

    def close(self) -> bytes:
        """End the workers; whoever waits for a batch is told."""
        if self._ended:
            return b""
        self._ended = True
        if self._command is not None:
            self._command.kill()
        if (pool := self._pool) is not None:
            over = threading.Event()

            def end() -> None:
                pool.close(at_once=True)
                self._fail(Problem("closed", "the node was told to end", "run again: what is answered is in the cache"))
                over.set()

            self._inbox.put(end)
            over.wait(timeout=5)
        return b""

    # -- where the images are

    def _located(self, item: Item) -> Item | None:
        """The item with its bytes, or with the state of its file here; ``None`` where this is not the same image."""
        if item.content is not None:
            if hashlib.sha256(item.content).hexdigest() != item.sha256:
                return None
            self._keep(item.sha256, item.content)
            return item
        with self._lock:
            kept = self._contents.get(item.sha256)
        if kept is not None:
            return msgspec.structs.replace(item, content=kept)
        with suppress(OSError), Path(os.fsdecode(item.path)).open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_size == item.size and hashlib.file_digest(file, "sha256").hexdigest() == item.sha256:
                return msgspec.structs.replace(item, mtime_ns=state.st_mtime_ns)
        return None

    def _keep(self, sha256: str, content: bytes) -> None:
        with self._lock:
            self._contents[sha256] = content
            self._contents.move_to_end(sha256)
            total = sum(map(len, self._contents.values()))
            while total > _KEPT_BYTES:
                total -= len(self._contents.popitem(last=False)[1])

    # -- in the pool's thread

    def _own(self, pool: ItemPool) -> None:
        while not self._ended or not self._inbox.empty():
            with suppress(queue.Empty):
                self._inbox.get(timeout=pool.seconds_to_deadline())()
                while not self._inbox.empty():
                    self._inbox.get()()
            try:
                events = pool.events()
            except ImgtoolError as error:
                self._fail(Problem(type(error).__name__, str(error), error.remedy))
                continue
            for event in events:
                self._on_event(event)
            while room := pool.room(len(self._waiting), more_coming=False):
                pool.submit([self._waiting.popleft() for _ in range(min(room, len(self._waiting)))])
            self._statistics = msgspec.structs.replace(pool.statistics)

    def _take(self, job: Job, items: Sequence[Item]) -> None:
        for item in items:
            self._jobs[item.id] = job
        if self._waiting and items[0].priority > self._waiting[0].priority:
            self._waiting.extendleft(reversed(items))
        else:
            self._waiting.extend(items)

    def _on_event(self, event: NodeEvent | FewerWorkers | NodeNotice) -> None:
        if isinstance(event, FewerWorkers):
            self._news.append(NewsOfFewerWorkers(event.left, event.problem))
        elif not isinstance(event, Decoded | Answered | Failed | ItemFinished):
            if not isinstance(event, NodeNotice):
                self._news.append(event)
        elif (job := self._jobs.get(event.item)) is not None:
            job.events.append(event)
            if isinstance(event, ItemFinished):
                del self._jobs[event.item]
                job.left.discard(event.item)
                if not job.left:
                    job.events = self._take_news() + job.events
                    job.over.set()

    def _take_news(self) -> list[NodeEvent]:
        news: list[NodeEvent] = []
        with suppress(IndexError):
            while True:
                news.append(self._news.popleft())
        return news

    def _fail(self, problem: Problem) -> None:
        """No worker can be started: nothing that is waited for will come."""
        self._waiting.clear()
        for job in set(self._jobs.values()):
            job.problem = problem
            job.over.set()
        self._jobs.clear()
