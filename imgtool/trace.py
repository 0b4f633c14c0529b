"""What happened when, in every process of a run: one JSON line an event, written as it happens.

Off unless ``IMGTOOL_TRACE`` names a file; then every process of the run appends to it. Times are nanoseconds of the
monotonic clock, which all processes of a machine share. `imgtool bench` and `imgtool profile` read it.

Spans have a ``kind``: ``start`` (interpreter, imports), ``parent`` (options, plan, list, look up, store, write),
``load``, ``warm-up``, ``decode``, ``task``, ``wait`` (the parent has nothing to do), ``collector`` (the garbage
collector stopped the process noticeably). Marks are moments. Loads carry the memory before and after in ``args``; the
mark ``process end`` carries what the garbage collector did in all, and the memory's peak.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

IMPORTED_NS = time.monotonic_ns()
"""When this process first touched the package: the interpreter had started."""

FILE_VARIABLE = "IMGTOOL_TRACE"
SPAWNED_VARIABLE = "IMGTOOL_TRACE_SPAWNED"
"""Nanoseconds of the monotonic clock just before the process was started, set by whoever starts it."""

_path = os.environ.get(FILE_VARIABLE)
_descriptor: int | None = None
_started_ns = IMPORTED_NS
_NOTHING: AbstractContextManager[None] = nullcontext()


def enabled() -> bool:
    """Whether this run is being traced."""
    return _path is not None


def span(name: str, kind: str, **args: Any) -> AbstractContextManager[None]:
    """A stretch of time around a block, written when the block ends, however it ends."""
    return _NOTHING if _path is None else _span(name, kind, args)


def mark(name: str, **args: Any) -> None:
    """A moment."""
    if _path is not None:
        _write({"name": name, "kind": "mark", "ts": time.monotonic_ns(), "dur": 0, "args": args})


def stretch(name: str, kind: str, began_ns: int, **args: Any) -> None:
    """A stretch of time that began at ``began_ns`` and ends now."""
    if _path is not None:
        ended = time.monotonic_ns()
        _write({"name": name, "kind": kind, "ts": began_ns, "dur": ended - began_ns, "args": args})


def process_started(role: str) -> None:
    """Say what this process is and how long it took to get here: interpreter, then imports."""
    global _started_ns  # noqa: PLW0603 - the process's own beginning
    if _path is None:
        return
    spawned = os.environ.get(SPAWNED_VARIABLE, "")
    began = int(spawned) if spawned.isdecimal() else IMPORTED_NS
    mark("process", role=role)
    _write({"name": "interpreter", "kind": "start", "ts": began, "dur": max(0, IMPORTED_NS - began), "args": {}})
    stretch("imports", "start", IMPORTED_NS)
    _started_ns = time.monotonic_ns()
    _Collector.watch()


def command_line_read() -> None:
    """The stretch from :func:`process_started` to here, where a command's own code begins."""
    stretch("command line", "start", _started_ns)


def process_ends() -> None:
    """Say that nothing more comes from this process, its memory, and what its garbage collector did. Called at exit,
    and before ``os._exit``, which skips that."""
    if _path is not None:
        mark("process end", memory=memory(), **_Collector.totals())


def child_environment() -> dict[str, str] | None:
    """The environment for a process that is about to be started; ``None`` where nothing is traced."""
    if _path is None:
        return None
    return {**os.environ, SPAWNED_VARIABLE: str(time.monotonic_ns())}


def memory(pid: int | str = "self") -> dict[str, int]:
    """Resident memory of this process, or of another, in bytes: ``anon`` (its own), ``file`` (mapped files), and
    ``peak``, the most that both ever were together; empty if it is gone, and elsewhere than on Linux."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            lines = dict(line.split(":", 1) for line in status if line.startswith(("RssAnon", "RssFile", "VmHWM")))
    except OSError:
        return {}
    names = {"RssAnon": "anon", "RssFile": "file", "VmHWM": "peak"}
    return {names[key]: int(value.split()[0]) * 1024 for key, value in lines.items()}


@contextmanager
def _span(name: str, kind: str, args: dict[str, Any]) -> Iterator[None]:
    began = time.monotonic_ns()
    before = memory() if kind == "load" else {}
    try:
        yield
    finally:
        ended = time.monotonic_ns()
        if before:
            args = {**args, "before": before, "after": memory()}
        _write({"name": name, "kind": kind, "ts": began, "dur": ended - began, "args": args})


def _write(event: dict[str, Any]) -> None:
    import json
    import threading

    global _descriptor  # noqa: PLW0603 - one file a process, opened at its first event
    assert _path is not None
    event |= {"pid": os.getpid(), "tid": threading.get_native_id(), "thread": threading.current_thread().name}
    try:
        if _descriptor is None:
            # Appended in one write an event, so that lines of several processes never mix.
            _descriptor = os.open(_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(_descriptor, json.dumps(event).encode() + b"\n")
    except OSError:
        return  # a trace that cannot be written must not fail the run it looks at


class _Collector:
    """Counts collections, pauses and what could not be freed, through ``gc.callbacks``: only where traced."""

    _NOTICEABLE_NS = 1_000_000
    counts: ClassVar[dict[int, int]] = {}
    pause_ns = longest_ns = collected = uncollectable = 0
    _began_ns = 0

    @classmethod
    def watch(cls) -> None:
        import atexit
        import gc

        gc.callbacks.append(cls._on_collection)
        atexit.register(process_ends)

    @classmethod
    def totals(cls) -> dict[str, Any]:
        """Collections by generation, pauses in nanoseconds, objects."""
        return {
            "collections": {str(generation): count for generation, count in sorted(cls.counts.items())},
            "pause_ns": cls.pause_ns,
            "longest_ns": cls.longest_ns,
            "collected": cls.collected,
            "uncollectable": cls.uncollectable,
        }

    @classmethod
    def _on_collection(cls, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            cls._began_ns = time.monotonic_ns()
            return
        pause = time.monotonic_ns() - cls._began_ns
        generation = info["generation"]
        cls.counts[generation] = cls.counts.get(generation, 0) + 1
        cls.pause_ns += pause
        cls.longest_ns = max(cls.longest_ns, pause)
        cls.collected += info["collected"]
        cls.uncollectable += info["uncollectable"]
        if pause >= cls._NOTICEABLE_NS:
            stretch("collect", "collector", cls._began_ns, generation=generation, collected=info["collected"])
