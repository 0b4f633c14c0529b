"""The memory view: memory_profiler's samples of the process tree, the system's own split, and what the trace knows."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from imgtool.bench.data.record import MemoryStep
from imgtool.distribution import install_command
from imgtool.profiling.record import Absence, Collector, Memory, Peak, Span
from imgtool.profiling.views.trace_file import Trace
from imgtool.profiling.views.tree import TreeSampler

INTERVAL_SECONDS = 0.05
_PROFILER_SECONDS = 0.1
"""memory_profiler lists all processes of the machine at each look, which takes some milliseconds."""
_MIB = 1024 * 1024
_WORK = ("task", "load", "warm-up", "decode")
_SHORT_RUN = 8
"""Samples below which a timeline says little."""


class MemorySampler:
    """Both samplers of a run: memory_profiler's, where it is installed, and our own."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self.interval_seconds = interval_seconds
        self.tree = TreeSampler(interval_seconds)
        self.profiler = _ProfilerStream() if find_spec("memory_profiler") is not None else None

    @contextmanager
    def watch(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Sample ``process`` and its descendants until the context ends."""
        with ExitStack() as stack:
            stack.enter_context(self.tree.watch(process))
            if self.profiler is not None:
                stack.enter_context(self.profiler.watch(process, max(_PROFILER_SECONDS, self.interval_seconds)))
            yield


class _ProfilerStream:
    """What ``memory_profiler.memory_usage`` writes as it goes, so that an end in between loses nothing."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.rss: list[int] = []
        # memory_profiler stamps with the wall clock; the trace knows the monotonic one.
        self._offset_ns = time.monotonic_ns() - time.time_ns()

    @contextmanager
    def watch(self, process: subprocess.Popen[bytes], interval_seconds: float) -> Iterator[None]:
        thread = threading.Thread(target=self._sample, args=(process, interval_seconds), name="memory_profiler")
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _sample(self, process: subprocess.Popen[bytes], interval_seconds: float) -> None:
        import psutil
        from memory_profiler import memory_usage

        try:
            memory_usage(process, interval=interval_seconds, include_children=True, stream=self)
        except psutil.Error:
            return  # it ended between two looks

    def write(self, line: str) -> None:
        """Takes ``MEM <MiB of the tree> <time>``."""
        words = line.split()
        if words and words[0] == "MEM":
            self.rss.append(int(float(words[1]) * _MIB))
            self.times.append(int(float(words[2]) * 1e9) + self._offset_ns)

    def flush(self) -> None:
        """Asked for by memory_profiler; there is nothing to do."""


def memory_of(sampler: MemorySampler, trace: Trace, began_ns: int) -> Memory:
    """The memory view of a run whose process was started at ``began_ns``."""
    tree, profiler = sampler.tree, sampler.profiler
    times = [(at - began_ns) / 1e9 for at in tree.times]
    return Memory(
        tool="memory_profiler" if profiler is not None else "/proc",
        interval_seconds=sampler.interval_seconds,
        times=tuple(round(at, 4) for at in times),
        anon=tuple(tree.anon),
        file=tuple(tree.file),
        rss_times=tuple(round((at - began_ns) / 1e9, 4) for at in profiler.times) if profiler else (),
        rss=tuple(profiler.rss) if profiler else (),
        peak=_peak(times, tree.anon, tree.file, trace),
        steps=tuple(_steps(trace.spans)),
        collectors=tuple(_collectors(trace.marks)),
    )


def missing_parts(memory: Memory) -> list[Absence]:
    """What this machine could not give of the view."""
    found = []
    if memory.tool != "memory_profiler":
        found.append(
            Absence(
                view="memory",
                reason="memory_profiler is not installed: only /proc was read",
                remedy=install_command("profile"),
            )
        )
    if not memory.times:
        found.append(
            Absence(view="memory", reason="this system has no /proc: anonymous and file memory cannot be told apart")
        )
    return found


def too_short(memory: Memory) -> str | None:
    """A notice where the run left too few samples to judge by."""
    samples = max(len(memory.times), len(memory.rss_times))
    if samples >= _SHORT_RUN:
        return None
    return f"memory: the run gave only {samples} samples; name more images, or --no-cache so that there is work"


def loaded_side_by_side(trace: Trace) -> str | None:
    """A notice where models loaded at the same time, so that what one added is in the other's figures too."""
    loads = sorted((span for span in trace.spans if span.kind == "load"), key=lambda span: span.began)
    if not any(a.pid == b.pid and b.began < a.ended for a, b in pairwise(loads)):
        return None
    return "memory: models loaded side by side, so each one's figures hold part of the others; --load eager tells apart"


def _peak(times: Sequence[float], anon: Sequence[int], file: Sequence[int], trace: Trace) -> Peak | None:
    """The sample with most anonymous memory: file pages can be taken back, and come and go with the page cache.

    What was there is told of the first moment within a hundredth of it at which anything ran: a few pages more, after
    all is done and nothing freed yet, are no answer to what needed the memory.
    """
    if not times:
        return None
    index = max(range(len(times)), key=anon.__getitem__)
    near = [i for i in range(len(times)) if anon[i] >= 0.99 * anon[index]]
    told = next((i for i in near if any(span.kind in _WORK for span in trace.at(times[i]))), index)
    there = [span for span in trace.at(times[told]) if span.kind != "wait"]
    return Peak(at=times[told], anon=anon[index], file=file[index], spans=tuple(map(describe, there)))


def describe(span: Span) -> str:
    """``worker task_0: load rapidocr``."""
    what = span.name if span.kind in ("task", "parent", "start") else f"{span.kind} {span.name}"
    return f"{span.process} {span.thread}: {what if span.kind != 'decode' else 'decode'}"


def _steps(spans: Sequence[Span]) -> Iterator[MemoryStep]:
    for span in spans:
        if span.kind == "load" and span.args.get("before") and span.args.get("after"):
            before, after = span.args["before"], span.args["after"]
            yield MemoryStep(
                model=span.name,
                anon_before=before["anon"],
                anon_after=after["anon"],
                file_before=before["file"],
                file_after=after["file"],
            )


def _collectors(marks: Sequence[Span]) -> Iterator[Collector]:
    for mark in marks:
        if mark.name == "process end" and "collections" in mark.args:
            args: dict[str, Any] = mark.args
            yield Collector(
                process=mark.process,
                collections=args["collections"],
                pause_seconds=args["pause_ns"] / 1e9,
                longest_seconds=args["longest_ns"] / 1e9,
                collected=args["collected"],
                uncollectable=args["uncollectable"],
            )
