"""A profile as data: one part a view. Saved as ``profile.json``; the page is made from nothing else.

Times are seconds, counted from just before the process was started; memory is bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from imgtool.bench.data.record import MemoryStep

SCHEMA_VERSION = 1
"""Version of :class:`Profile` as JSON. Raised when a reader written for the former version would break."""

TOOL = "imgtool profile"


class View(StrEnum):
    """What can be profiled. Each view has a run of its own, except ``memory`` and ``phases``, which share one."""

    PHASES = "phases"
    MEMORY = "memory"
    CPU = "cpu"
    IMPORTS = "imports"


class Absence(Struct, frozen=True, kw_only=True):
    """A view, or a part of one, that could not be measured."""

    view: str
    reason: str
    remedy: str = ""


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of time in one thread. ``process`` is ``parent``, ``worker``, ``worker 2``, ..."""

    name: str
    kind: str
    began: float
    seconds: float
    process: str
    pid: int
    tid: int
    thread: str
    args: dict[str, Any] = {}

    @property
    def ended(self) -> float:
        """When it was over."""
        return self.began + self.seconds


class PhaseRow(Struct, frozen=True, kw_only=True):
    """A phase of the run. ``busy_seconds`` is the sum of its spans; ``wall_seconds`` its part of the wall time, in
    which every instant is counted once, for what the run was waiting for."""

    name: str
    kind: str
    process: str
    count: int
    busy_seconds: float
    wall_seconds: float


class Phases(Struct, frozen=True, kw_only=True):
    """The run as its trace tells it. ``unexplained_seconds`` is wall time in which no span was open in any process."""

    wall_seconds: float
    unexplained_seconds: float
    rows: tuple[PhaseRow, ...]
    spans: tuple[Span, ...]
    marks: tuple[Span, ...] = ()


class Collector(Struct, frozen=True, kw_only=True):
    """What the garbage collector of one process did in all."""

    process: str
    collections: dict[str, int]
    """By generation."""
    pause_seconds: float
    longest_seconds: float
    collected: int
    uncollectable: int


class Peak(Struct, frozen=True, kw_only=True):
    """The most memory of the process tree, and what was running then."""

    at: float
    anon: int
    file: int
    spans: tuple[str, ...]


class MemoryTimeline(Struct, frozen=True, kw_only=True):
    """Memory of the process tree over time. ``rss`` is what memory_profiler saw at ``rss_times``; ``anon`` (the
    processes' own) and ``file`` (mapped files, counted once a process) were read from the system at ``times``."""

    tool: str
    interval_seconds: float
    times: tuple[float, ...] = ()
    anon: tuple[int, ...] = ()
    file: tuple[int, ...] = ()
    rss_times: tuple[float, ...] = ()
    rss: tuple[int, ...] = ()
    peak: Peak | None = None
    steps: tuple[MemoryStep, ...] = ()
    collectors: tuple[Collector, ...] = ()
    lines: str = ""
    """memory_profiler's table of the function named with ``--line-by-line``."""


class Function(Struct, frozen=True, kw_only=True):
    """A function: ``own_seconds`` in itself, ``total_seconds`` with what it called. ``where`` is ``file:line``."""

    name: str
    where: str
    process: str
    own_seconds: float
    total_seconds: float


class Cpu(Struct, frozen=True, kw_only=True):
    """Where processors were busy. ``seconds`` is the sum over all threads; py-spy does not count a thread that
    waits."""

    tool: str
    covers: str
    rate: int
    samples: int
    seconds: float
    functions: tuple[Function, ...]
    flame_graph: bool = False
    """Whether ``cpu.svg`` lies beside."""


class Import(Struct, frozen=True, kw_only=True):
    """One module's import. A list of them is a tree: parents first, ``depth`` tells the level."""

    name: str
    depth: int
    own_seconds: float
    cumulative_seconds: float
    cause: str = ""
    """``module:line`` of imgtool that asked for it, directly or through other modules."""


class ImportTree(Struct, frozen=True, kw_only=True):
    """The imports of one process."""

    process: str
    imports: tuple[Import, ...]
    mixed: int = 0
    """Imports that began inside an import of another thread: their times may contain parts of each other."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(each.own_seconds for each in self.imports)


class Profile(Struct, frozen=True, kw_only=True):
    """All of it. A view that was not asked for or could not be measured is ``None``; ``absences`` says why."""

    schema_version: int = SCHEMA_VERSION
    tool: str = TOOL
    version: str
    created: str
    command: tuple[str, ...]
    machine: dict[str, str]
    runs: dict[str, float] = {}
    """Wall seconds of each run by its view: the difference is profiling overhead."""
    phases: Phases | None = None
    memory: MemoryTimeline | None = None
    cpu: Cpu | None = None
    imports: tuple[ImportTree, ...] | None = None
    absences: tuple[Absence, ...] = ()
    notices: tuple[str, ...] = ()
    interrupted: bool = False
