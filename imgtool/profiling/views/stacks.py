"""Samples of call stacks: read from folded lines, counted by function, put into a tree.

A folded line is ``frame;frame;...;frame count``, the outermost frame first. Frames read ``name (file:line)``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from imgtool.profiling.record import Function
from imgtool.runtime.start_process import run_worker

_PROCESS = re.compile(r'process (\d+):"(.*?)";(?=process \d+:"|thread \(|[^;]* \()')
_THREAD = re.compile(r"thread \((?P<id>\w+)\)(?:: (?P<name>.*))?")
_FRAME = re.compile(r"(?P<name>.*) \((?P<where>[^()]*)\)")
_MACHINERY = "(<frozen importlib"
_IMPORTING = "importing: find, read, load native code (<frozen importlib>)"
_WAITING = {
    "Condition.wait": "threading.py",
    "Thread._wait_for_tstate_lock": "threading.py",
    "Thread.join": "threading.py",
    "_worker": "concurrent/futures/thread.py",
    "Popen._try_wait": "subprocess.py",
    "Run._wait": "imgtool/engine/run.py",
    "serve": "imgtool/runtime/worker/main.py",
    "_read_body": "imgtool/runtime/protocol.py",
    "WorkerProcess._write_all": "imgtool/runtime/process.py",
    "WorkerProcess._drain_stderr": "imgtool/runtime/process.py",
}
"""Innermost Python functions of a thread that has nothing to do. py-spy leaves sleeping threads out, but where it
stops the program to look it wakes them, and many samples find them just woken."""

Stack = tuple[str, ...]


@dataclass
class Node:
    """A frame below its callers: ``own`` samples in it, ``total`` with what it called."""

    name: str
    own: int = 0
    total: int = 0
    children: dict[str, Node] = field(default_factory=dict)


def read_folded(text: str, *, worker_mark: str = run_worker.__name__) -> Counter[Stack]:
    """Stacks with their counts. The first frame is the process, the second the thread, where the line names them.

    Import machinery is left out between frames, where it only makes pictures tall; as the innermost frames it is one.
    """
    stacks: Counter[Stack] = Counter()
    for line in text.splitlines():
        folded, _, count = line.rpartition(" ")
        if folded and count.isdecimal():
            stacks[_cleaned(folded, worker_mark)] += int(count)
    return stacks


def _cleaned(folded: str, worker_mark: str) -> Stack:
    processes = []
    while (match := _PROCESS.match(folded)) is not None:
        processes.append((match[1], match[2]))
        folded = folded[match.end() :]
    frames = folded.split(";")
    head: list[str] = []
    if processes:
        head.append(_role(processes, worker_mark))
    if frames and (thread := _THREAD.fullmatch(frames[0])) is not None:
        head.append(_thread_name(thread, processes))
        frames = frames[1:]
    kept = [frame for frame in frames if _MACHINERY not in frame]
    return (*head, *kept, *([_IMPORTING] if frames and _MACHINERY in frames[-1] else []))


def _role(processes: list[tuple[str, str]], worker_mark: str) -> str:
    if worker_mark in processes[-1][1]:
        return "worker"
    if len(processes) == 1:
        return "parent"
    return processes[-1][1].split()[0].rpartition("/")[2] or "process"


def _thread_name(thread: re.Match[str], processes: list[tuple[str, str]]) -> str:
    if thread["name"]:
        return thread["name"]
    # Before `threading` is imported no thread has a name, and there is only the main one.
    return "MainThread" if processes and thread["id"] == processes[-1][0] else f"thread {thread['id']}"


def waits(stack: Stack) -> bool:
    """Whether the sample is of a thread that waits for others to give it work."""
    innermost = next((frame for frame in reversed(stack) if ".py:" in frame), "")
    name, where = split_frame(innermost)
    file = _WAITING.get(name) or next((_WAITING[known] for known in _WAITING if known.endswith(f".{name}")), None)
    return file is not None and where.rpartition(":")[0].endswith(file)


def functions_of(stacks: Mapping[Stack, int], rate: int, limit: int = 100) -> tuple[Function, ...]:
    """The functions with the most time of their own, and those with the most in all, ``limit`` of each."""
    own: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    for stack, count in stacks.items():
        process, frames = stack[0], stack[2:]
        if not frames:
            continue
        own[process, frames[-1]] += count
        for frame in set(frames):
            total[process, frame] += count
    wanted = dict.fromkeys(key for counter in (own, total) for key, _ in counter.most_common(limit))
    ordered = sorted(wanted, key=lambda key: (-own[key], -total[key]))
    return tuple(_function(key, own[key] / rate, total[key] / rate) for key in ordered)


def _function(key: tuple[str, str], own: float, total: float) -> Function:
    process, frame = key
    name, where = split_frame(frame)
    return Function(name=name, where=where, process=process, own_seconds=own, total_seconds=total)


def split_frame(frame: str) -> tuple[str, str]:
    """``name (file:line)`` as name and place; the place is empty where there is none."""
    match = _FRAME.fullmatch(frame)
    return (match["name"], match["where"]) if match else (frame, "")


def tree_of(stacks: Mapping[Stack, int]) -> Node:
    """All stacks as one tree under a root named ``all``."""
    root = Node("all")
    for stack, count in stacks.items():
        node = root
        node.total += count
        for frame in stack:
            node = node.children.setdefault(frame, Node(frame))
            node.total += count
        node.own += count
    return root


def folded(stacks: Mapping[Stack, int]) -> dict[str, int]:
    """Stacks as folded lines by their count."""
    return {";".join(frame.replace(";", ",") for frame in stack): count for stack, count in stacks.items()}


def unfolded(lines: Mapping[str, int]) -> Counter[Stack]:
    """The inverse of :func:`folded`."""
    return Counter({tuple(line.split(";")): count for line, count in lines.items()})


def by_thread(stacks: Mapping[Stack, int]) -> dict[str, dict[Stack, int]]:
    """Frames alone, without process and thread, under ``process · thread``."""
    threads: dict[str, dict[Stack, int]] = defaultdict(dict)
    for stack, count in stacks.items():
        threads[" · ".join(stack[:2])][stack[2:]] = count
    return threads


def total_samples(stacks: Mapping[Stack, int]) -> int:
    """All samples."""
    return sum(stacks.values())


def merge(many: Iterable[Mapping[Stack, int]]) -> Counter[Stack]:
    """The sum of several sets of samples."""
    merged: Counter[Stack] = Counter()
    for stacks in many:
        merged.update(stacks)
    return merged
