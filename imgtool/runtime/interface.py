"""What a scheduler needs of whatever computes: workers of this machine, or of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from imgtool.runtime.protocol import Item, ItemEvent, ModelEvent
from imgtool.types import Problem


class FewerWorkers(Struct, frozen=True):
    """A worker could not load what others may have: it was ended, and is not replaced."""

    left: int
    problem: Problem


class NodeNotice(Struct, frozen=True):
    """Something about a node of a cluster that the user should know."""

    text: str


PoolEvent = ItemEvent | ModelEvent | FewerWorkers | NodeNotice
"""What has become of items, and what the user should know about models, workers and nodes."""


class NodeStatistics(msgspec.Struct, kw_only=True):
    """What a node of a cluster has done. ``state`` is ``working``, ``lost`` or ``refused``. ``resubmitted`` counts
    images that it had in hand when it was lost, ``bytes_sent`` those of images that it does not see itself.
    ``overhead_seconds`` is what passes on average, for a batch, besides the time that the node's own pool has it."""

    state: str = "working"
    images: int = 0
    images_per_second: float = 0.0
    batches: int = 0
    overhead_seconds: float = 0.0
    resubmitted: int = 0
    bytes_sent: int = 0


class WorkerStatistics(msgspec.Struct, kw_only=True):
    """How many worker processes there may be at once, and what happened to them; on a cluster those of all nodes."""

    allowed: int = 0
    started: int = 0
    died: int = 0
    timed_out: int = 0
    recycled: int = 0
    nodes: dict[str, NodeStatistics] = {}


class ItemPool(Protocol):
    """Takes items and answers each: with any number of events that end with an ``ItemFinished``.

    All methods are called in one thread, the scheduler's. Whoever computes in others announces news there.
    """

    statistics: WorkerStatistics

    def room(self, waiting: int, *, more_coming: bool) -> int:
        """How many of so many ``waiting`` items it would take now. With ``more_coming`` it may hold out for a full
        batch."""

    def submit(self, items: Sequence[Item]) -> None:
        """Take items, no more than there is ``room`` for."""

    def events(self) -> list[PoolEvent]:
        """What has happened since the last call.

        Raises:
            imgtool.errors.WorkerUnusable: nothing can be computed; all items are dropped.
        """

    def seconds_to_deadline(self) -> float | None:
        """How long until ``events`` must be asked, whatever happens; ``None`` where nothing is running."""

    def begin(self) -> None:
        """Start now what takes long to start: there will be work."""

    def warm_up(self) -> None:
        """Load all models now."""

    def close(self, *, at_once: bool = False) -> None:
        """End everything; ``at_once`` without waiting for what is being done."""

    def forget(self) -> None:
        """Let go of what a forked child has inherited, without ending what belongs to its parent."""
