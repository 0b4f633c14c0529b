"""The memory view: memory_profiler's samples of the process tree, the system's own split, and what the trace knows."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from itertools import pairwise

from imgtool.bench.measure.phases import memory_step
from imgtool.distribution import install_command
from imgtool.profiling.record import Absence, Collector, MemoryTimeline, Peak, Span
from imgtool.profiling.views.process_tree import TreeSampler
from imgtool.profiling.views.trace_file import Trace

INTERVAL_SECONDS = 0.05
_PROFILER_SECONDS = 0.1
"""memory_profiler lists all processes of the machine for each sample, which takes some milliseconds."""
_MIB = 1024 * 1024
_WORK = ("task", "load", "warm-up", "decode")
_FEWEST_SAMPLES = 8


class MemorySampler:
    """Both samplers of a run: memory_profiler's, where it is installed, and our own."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self.interval_seconds = interval_seconds
        self.tree = TreeSampler(interval_seconds)
        self.profiler = None
        if find_spec("memory_profiler") is not None:
            self.profiler = _ProfilerStream(max(_PROFILER_SECONDS, interval_seconds))

    @contextmanager
    def watch(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Sample ``process`` and its descendants until the context ends."""
        with self.tree.watch(process), self.profiler.watch(process) if self.profiler else nullcontext():
            yield


class _ProfilerStream:
    """Takes what ``memory_profiler.memory_usage`` writes while it samples, so that an early end loses nothing."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self.times: list[int] = []
        self.rss: list[int] = []
        # memory_profiler stamps with the wall clock; the trace has the monotonic one.
        self._offset_ns = time.monotonic_ns() - time.time_ns()

    @contextmanager
    def watch(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        thread = threading.Thread(target=self._sample, args=(process,), name="memory_profiler")
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _sample(self, process: subprocess.Popen[bytes]) -> None:
        import psutil
        from memory_profiler import memory_usage

        try:
            memory_usage(process, interval=self._interval, include_children=True, stream=self)
        except psutil.Error:
            return  # the process ended between two samples

    def write(self, line: str) -> None:
        """Takes ``MEM <MiB of the tree> <time>``."""
        words = line.split()
        if words and words[0] == "MEM":
            self.rss.append(int(float(words[1]) * _MIB))
            self.times.append(int(float(words[2]) * 1e9) + self._offset_ns)

    def flush(self) -> None:
        """Called by memory_profiler; there is nothing to do."""


def memory_of(sampler: MemorySampler, trace: Trace, began_ns: int) -> MemoryTimeline:
    """The memory view of a run whose process was started at ``began_ns``."""
    tree, profiler = sampler.tree, sampler.profiler
    times = [(at - began_ns) / 1e9 for at in tree.times]
    steps = (memory_step(span.name, span.args) for span in trace.spans if span.kind == "load")
    return MemoryTimeline(
        tool="memory_profiler" if profiler is not None else "/proc",
        interval_seconds=sampler.interval_seconds,
        times=tuple(round(at, 4) for at in times),
        anon=tuple(tree.anon),
        file=tuple(tree.file),
        rss_times=tuple(round((at - began_ns) / 1e9, 4) for at in profiler.times) if profiler else (),
        rss=tuple(profiler.rss) if profiler else (),
        peak=_peak(times, tree.anon, tree.file, trace),
        steps=tuple(step for step in steps if step is not None),
        collectors=tuple(
            Collector(
                process=mark.process,
                collections=mark.args["collections"],
                pause_seconds=mark.args["pause_ns"] / 1e9,
                longest_seconds=mark.args["longest_ns"] / 1e9,
                collected=mark.args["collected"],
                uncollectable=mark.args["uncollectable"],
            )
            for mark in trace.marks
            if mark.name == "process end" and "collections" in mark.args
        ),
    )


def missing_parts(memory: MemoryTimeline) -> list[Absence]:
    """What of the view cannot be had on this machine."""
    found = []
    if memory.tool != "memory_profiler":
        reason = "memory_profiler is not installed: only /proc was read"
        found.append(Absence(view="memory", reason=reason, remedy=install_command("profile")))
    if not memory.times:
        reason = "this system has no /proc: anonymous and file memory cannot be told apart"
        found.append(Absence(view="memory", reason=reason))
    return found


def notices(memory: MemoryTimeline, trace: Trace) -> list[str]:
    """What makes the figures doubtful: too few samples, models that loaded at the same time."""
    found = []
    samples = max(len(memory.times), len(memory.rss_times))
    if samples < _FEWEST_SAMPLES:
        found.append(f"memory: only {samples} samples; name more images, or --no-cache so that there is work")
    loads = sorted((span for span in trace.spans if span.kind == "load"), key=lambda span: span.began)
    if any(a.pid == b.pid and b.began < a.ended for a, b in pairwise(loads)):
        found.append(
            "memory: models loaded at the same time: the figures of each contain part of the others; use --load eager"
        )
    return found


def _peak(times: Sequence[float], anon: Sequence[int], file: Sequence[int], trace: Trace) -> Peak | None:
    """The sample with most anonymous memory: file pages can be taken back, and depend on the page cache.

    Its spans are those of the first sample within 1 % of it during which a model worked: memory often grows by a few
    more pages when all is done and nothing is freed yet, and that moment does not explain the peak.
    """
    if not times:
        return None
    index = max(range(len(times)), key=anon.__getitem__)
    near = [i for i in range(len(times)) if anon[i] >= 0.99 * anon[index]]
    told = next((i for i in near if any(span.kind in _WORK for span in trace.at(times[i]))), index)
    there = [span for span in trace.at(times[told]) if span.kind != "wait"]
    return Peak(at=times[told], anon=anon[index], file=file[index], spans=tuple(map(_described, there)))


def _described(span: Span) -> str:
    """``worker task_0: load rapidocr``."""
    what = span.name if span.kind in ("task", "parent", "start", "decode") else f"{span.kind} {span.name}"
    return f"{span.process} {span.thread}: {what}"
