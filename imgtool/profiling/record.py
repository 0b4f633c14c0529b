"""What a profile is, as data: one part a view. Saved as ``profile.json``; pages and ``--compare`` read only this.

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
    """What can be looked at. Each comes from a run of its own, but for ``memory`` and ``phases``, which share one."""

    PHASES = "phases"
    MEMORY = "memory"
    CPU = "cpu"
    IMPORTS = "imports"


class MemoryTool(StrEnum):
    """What measures memory."""

    MEMORY_PROFILER = "memory_profiler"
    MEMRAY = "memray"


class Absence(Struct, frozen=True, kw_only=True):
    """A view, or a part of one, that this machine could not give."""

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
    """A phase of the run. ``busy_seconds`` is what all its spans took together; ``wall_seconds`` its part of the wall
    time, where every instant is counted once, for what the run was waiting for."""

    name: str
    kind: str
    process: str
    count: int
    busy_seconds: float
    wall_seconds: float


class Phases(Struct, frozen=True, kw_only=True):
    """The run as its trace tells it. ``unexplained_seconds`` is wall time in which no span was open anywhere."""

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
    """Most that the process tree held, and the first moment at which it held nearly that while something ran."""

    at: float
    anon: int
    file: int
    spans: tuple[str, ...]
    """What was going on."""


class Memory(Struct, frozen=True, kw_only=True):
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
    """A function in the samples: ``own_seconds`` in itself, ``total_seconds`` with what it called."""

    name: str
    where: str
    process: str
    own_seconds: float
    total_seconds: float


class Cpu(Struct, frozen=True, kw_only=True):
    """Where processors were busy. ``seconds`` is the sum over all threads; a thread that waits is not counted by
    py-spy. ``stacks`` is folded: frames from the outermost in, joined with ``;``."""

    tool: str
    covers: str
    rate: int
    native: bool
    samples: int
    waiting: int = 0
    """Samples left out because their thread waited for others to give it work."""
    seconds: float
    functions: tuple[Function, ...]
    stacks: dict[str, int] = {}


class Import(Struct, frozen=True, kw_only=True):
    """One module's import; a list of them is the tree in order of beginning, ``depth`` says who is inside whom."""

    name: str
    depth: int
    own_seconds: float
    cumulative_seconds: float
    cause: str = ""
    """The place in this package that asked for it, directly or through others."""


class ImportTree(Struct, frozen=True, kw_only=True):
    """The imports of one process."""

    process: str
    imports: tuple[Import, ...]
    mixed: int = 0
    """Imports that began while another thread was importing: their figures may hold parts of each other."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(each.own_seconds for each in self.imports)


class Profile(Struct, frozen=True, kw_only=True):
    """All of it. A view that was not asked for, or could not be had, is ``None``; ``absences`` says why."""

    schema_version: int = SCHEMA_VERSION
    tool: str = TOOL
    version: str
    created: str
    command: tuple[str, ...]
    machine: dict[str, str]
    runs: dict[str, float] = {}
    """Wall seconds of each run by what it was for: what looking on cost is visible here."""
    phases: Phases | None = None
    memory: Memory | None = None
    cpu: Cpu | None = None
    imports: tuple[ImportTree, ...] | None = None
    absences: tuple[Absence, ...] = ()
    notices: tuple[str, ...] = ()
    interrupted: bool = False
