"""A benchmark as data: arms, samples, the machine. Saved as JSON; reports and gates read nothing else.

Times are seconds of the monotonic clock, counted from just before the process was started; memory is bytes.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

SCHEMA_VERSION = 1
"""Version of :class:`Experiment` as JSON. Raised when a reader of the former version would break."""

TOOL = "imgtool bench"


class ArmKind(StrEnum):
    """What a sample of an arm starts."""

    EAGER = "eager"
    """The plain program on transformers and EasyOCR: everything imported and loaded, then the loop."""
    ANALYZE = "analyze"
    """``imgtool analyze`` with options of its own."""
    COMMAND = "command"
    """Any other program: wall time and memory are known, phases only if it writes imgtool's trace."""


class PageCache(StrEnum):
    """Whether the models' files were in the page cache when a sample began."""

    WARM = "warm"
    COLD = "cold"


class Metric(StrEnum):
    """What is compared between arms. Smaller is better for all of them."""

    STARTUP = "startup"
    """Until every model of the run is loaded: ready to answer."""
    FIRST_RESULT = "first_result"
    STEADY = "steady"
    """Mean seconds an image after the first."""
    WALL = "wall"
    PEAK_ANON = "peak_anon"
    """Anonymous and shared memory of the process tree: what the system cannot reclaim."""
    PEAK_RSS = "peak_rss"

    @property
    def is_memory(self) -> bool:
        """Whether it is in bytes rather than seconds."""
        return self in (Metric.PEAK_ANON, Metric.PEAK_RSS)


class Arm(Struct, frozen=True, kw_only=True):
    """One strategy under test. ``command`` is what a sample starts, ``options`` what differs from the default.

    ``shell``: it is run by a shell, whose own start is not in the wall time. ``setup`` runs once before the runs of the
    arm, ``prepare`` before each of them, ``cleanup`` after all; ``parameters`` are already part of all of these.
    """

    name: str
    kind: ArmKind
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    summary: str = ""
    shell: bool = False
    setup: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    cleanup: tuple[str, ...] = ()
    parameters: dict[str, str] = {}


class SamplePhase(Struct, frozen=True, kw_only=True):
    """A phase of a sample: ``name`` is ``interpreter``, ``imports``, ``load blip``, ``caption``, ... ``process`` is
    ``parent`` or ``worker``."""

    name: str
    began: float
    seconds: float
    process: str = "parent"


class MemoryStep(Struct, frozen=True, kw_only=True):
    """Memory of the process that loads, around one model."""

    model: str
    anon_before: int
    anon_after: int
    file_before: int
    file_after: int


class PeakMemory(Struct, frozen=True, kw_only=True):
    """Peaks of one sample. ``peak_rss`` is VmHWM of the largest process; the others are sums over the process tree,
    each at its own peak: ``peak_anon`` of anonymous and shared memory (RssAnon, RssShmem), ``peak_file`` of mapped
    files; ``None`` where the split is not known. ``method`` says how they were sampled, and how often."""

    peak_rss: int
    peak_anon: int | None
    peak_file: int | None
    tree_peak_rss: int
    method: str
    steps: tuple[MemoryStep, ...] = ()


class RunSample(Struct, frozen=True, kw_only=True):
    """One run in a fresh process. ``run`` counts from 0 within its arm and page-cache state; -1 is a warm-up run, which
    is in no figure. ``order`` is its place in the whole experiment."""

    arm: str
    run: int
    order: int
    page_cache: PageCache = PageCache.WARM
    began_at: str = ""
    exit_code: int | None = None
    error: str | None = None
    stderr_tail: str = ""
    wall: float = 0.0
    startup: float | None = None
    first_result: float | None = None
    steady: float | None = None
    phases: tuple[SamplePhase, ...] = ()
    memory: PeakMemory | None = None
    resident_share: float | None = None
    """Share of the models' bytes in the page cache when it began, 0 to 1."""

    def value(self, metric: Metric) -> float | None:
        """The figure of ``metric``, or ``None`` if this sample has none; a failed one has no figures."""
        if self.error is not None:
            return None
        if metric is Metric.PEAK_ANON:
            return None if self.memory is None or self.memory.peak_anon is None else float(self.memory.peak_anon)
        if metric is Metric.PEAK_RSS:
            return None if self.memory is None else float(self.memory.tree_peak_rss)
        found: float | None = getattr(self, metric.value)
        return found


class Machine(Struct, frozen=True, kw_only=True):
    """Everything that a run's speed depends on: two experiments are compared only if it is equal."""

    cpu: str
    cores: int
    granted_cores: float
    cpu_features: tuple[str, ...]
    memory_bytes: int
    system: str
    kernel: str
    python: str
    libraries: dict[str, str]
    weights: dict[str, str]
    """Identity of each model by engine; ``synthetic-...`` for synthetic weights."""
    threads: int
    thread_settings: dict[str, str] = {}
    """OMP_NUM_THREADS and similar variables that are set."""


class Noise(Struct, frozen=True, kw_only=True):
    """What else the machine was doing. Shares are 0 to 1; ``None`` is not readable."""

    load_before: float | None = None
    load_after: float | None = None
    steal_share: float | None = None
    swapped_bytes: int | None = None
    governor: str | None = None
    temperature_celsius: float | None = None
    throttled: int | None = None
    busy_processes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    """In words, each with what to do about it."""


class ExperimentSettings(Struct, frozen=True, kw_only=True):
    """How the experiment was run."""

    runs: int
    warm_ups: int
    steady: int
    page_cache: tuple[PageCache, ...]
    tasks: tuple[str, ...]
    images: tuple[str, ...]
    """Names and sizes of what was analyzed."""
    weights: str
    interleaved: bool = True
    ignored_codes: tuple[int, ...] | None = ()
    """Exit codes of a sample that count as success beside 0; ``None`` is all of them."""


class Experiment(Struct, frozen=True, kw_only=True):
    """All of it. ``samples`` are in the order in which they ran."""

    schema_version: int = SCHEMA_VERSION
    tool: str = TOOL
    version: str
    created: str
    command: tuple[str, ...]
    units: dict[str, str] = msgspec.field(default_factory=lambda: {"time": "seconds", "memory": "bytes"})
    machine: Machine
    noise: Noise
    settings: ExperimentSettings
    arms: tuple[Arm, ...]
    samples: tuple[RunSample, ...]
    reference: str = ""
    """The arm that the others are compared with."""
    shell_seconds: float = 0.0
    """The start of the shell, taken off the wall times of arms that need one."""
    interrupted: bool = False
    """Whether it was stopped before all runs were taken."""

    def arm(self, name: str) -> Arm:
        """
        Raises:
            KeyError: there is no such arm.
        """
        return {arm.name: arm for arm in self.arms}[name]

    def counted(self, arm: str, page_cache: PageCache | None = None) -> list[RunSample]:
        """The samples of an arm without its warm-up runs, failed ones too; in one state of the page cache, or in
        all."""
        return [
            sample
            for sample in self.samples
            if sample.arm == arm and sample.run >= 0 and page_cache in (None, sample.page_cache)
        ]

    def succeeded(self, arm: str, page_cache: PageCache = PageCache.WARM) -> list[RunSample]:
        """The counted samples of an arm that did not fail."""
        return [sample for sample in self.counted(arm, page_cache) if sample.error is None]

    def values(self, arm: str, metric: Metric, page_cache: PageCache = PageCache.WARM) -> list[float]:
        """The figures of an arm in the order in which they were taken."""
        return [value for sample in self.succeeded(arm, page_cache) if (value := sample.value(metric)) is not None]
