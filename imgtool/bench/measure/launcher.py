"""Starts each sample and samples its memory, from a small process. Run as a script; standard library only.

It is small because a process between ``fork`` and ``exec`` has its parent's memory, and the kernel counts the parent's
peak in the child's resource usage: a program seems large if a large process started it. A process without imports also
disturbs little.

It reads one JSON request a line and answers each with one line. When its input ends, the bench is gone: it kills what
it started and exits. It is a subreaper: processes that a sample leaves behind become its children, so it knows them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from typing import Any

REQUEST_INPUT = 0
_PR_SET_CHILD_SUBREAPER = 36
_FIELDS = ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")
_PAGE_SCALE = 1024
_FIRST_PAUSE = 0.001
"""Seconds. The pauses between readings begin small and double, so that a short program is seen too."""
_GROWTH = 1.1
"""Growth by less does not count: a loaded program still touches a page of its libraries now and then."""


class Tree:
    """The memory of all descendants of this process, sampled. ``peaks`` are the fields of
    :class:`imgtool.bench.measure.launcher_client.TreeMemory`, which says what each is."""

    def __init__(self) -> None:
        self.ours: set[int] = set()
        self.seen = set(_processes())
        self.fresh: set[int] = set()
        self.peaks = dict.fromkeys(("tree_rss", "anon", "file", "largest", "shared"), 0)
        self.peaks |= dict.fromkeys(("grew_ns", "shared_grew_ns", "looked_ns"), 0)
        self._grown = self._shared_grown = 0

    def look(self) -> None:
        """Take one sample."""
        now, peaks = time.monotonic_ns(), self.peaks
        self._find_new()
        rss = anon = file = 0
        for pid in list(self.ours):
            found = _memory(pid)
            if found is None:
                self.ours.discard(pid)
            elif pid in self.fresh:
                # It may still be between fork and exec, with its parent's memory: counted from the next reading on.
                self.fresh.discard(pid)
            else:
                rss, anon, file = rss + found["VmRSS"], anon + found["RssAnon"], file + found["RssFile"]
                peaks["largest"] = max(peaks["largest"], found["VmHWM"])
                peaks["shared"] = max(peaks["shared"], found["RssFile"] + found["RssShmem"])
                peaks["looked_ns"] = now
        for name, size in (("tree_rss", rss), ("anon", anon), ("file", file)):
            peaks[name] = max(peaks[name], size)
        if peaks["largest"] > self._grown * _GROWTH:
            self._grown, peaks["grew_ns"] = peaks["largest"], now
        if peaks["shared"] > self._shared_grown * _GROWTH:
            self._shared_grown, peaks["shared_grew_ns"] = peaks["shared"], now

    def _find_new(self) -> None:
        here = set(_processes())
        new = sorted(here - self.seen)
        self.seen = here
        mine = os.getpid()
        for pid in new:
            if pid in self.ours:
                continue
            if _parent(pid) in self.ours or _parent(pid) == mine:
                self.ours.add(pid)
                self.fresh.add(pid)

    def living(self) -> list[int]:
        """Processes of the sample that still live, other than zombies."""
        self._find_new()
        return [pid for pid in self.ours if _memory(pid) is not None]


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - no pathlib: small
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return -1


def _memory(pid: int) -> dict[str, int] | None:
    """Sizes in bytes by the names of ``/proc/PID/status``; ``None`` for what is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = dict(line.split(b":", 1) for line in file if line.startswith((b"Vm", b"Rss")))
        return {name: int(lines[name.encode()].split()[0]) * _PAGE_SCALE for name in _FIELDS}
    except (OSError, KeyError, ValueError):
        return None


class LaunchLoop:
    """Runs one sample after another, as requested."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._woken, waker = os.pipe()
        for end in (self._woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        """Answer requests until the input ends."""
        own = _memory(os.getpid()) or {"VmHWM": 0}
        _say({"pid": os.getpid(), "rss": own["VmHWM"]})
        rest = b""
        while data := os.read(REQUEST_INPUT, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _say(self._run(json.loads(line)))

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        self._tree = Tree()
        environment = {**os.environ, **request["environment"]}
        write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        spawned = time.monotonic_ns()
        environment[request["spawned_variable"]] = str(spawned)
        try:
            pid = os.posix_spawnp(
                request["command"][0],
                request["command"],
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, request["stdout"], write, 0o600),
                    (os.POSIX_SPAWN_OPEN, 2, request["stderr"], write, 0o600),
                ],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT],
            )
        except OSError as error:
            return {"failed": f"{request['command'][0]}: {error.strerror}"}
        # The call returns after exec: what is read from now on is the program's own memory.
        self._tree.ours.add(pid)
        self._tree.look()
        ended = self._watch(pid, spawned, request["timeout"], request["interval"])
        tree = self._tree
        left_behind = len(tree.living())
        self._clear()
        return {
            **ended,
            "spawned_ns": spawned,
            "left_behind": left_behind,
            "memory": tree.peaks,
        }

    def _watch(self, pid: int, spawned: int, timeout: float, interval: float) -> dict[str, Any]:
        """Wait for the end of ``pid``, and sample the memory until then."""
        deadline, timed_out = spawned + int(timeout * 1e9), False
        pause = _FIRST_PAUSE
        while True:
            ready, _, _ = select.select([self._woken, REQUEST_INPUT], [], [], pause)
            pause = min(2 * pause, interval)
            ended = time.monotonic_ns()
            if self._woken in ready:
                os.read(self._woken, 4096)  # before the wait: what comes after it wakes the next select
            found, status, usage = os.wait4(pid, os.WNOHANG)
            if found:
                return {
                    "ended_ns": ended,
                    "code": os.waitstatus_to_exitcode(status),
                    "timed_out": timed_out,
                    "largest_waited": usage.ru_maxrss * _PAGE_SCALE,
                    "cpu_seconds": usage.ru_utime + usage.ru_stime,
                }
            if REQUEST_INPUT in ready:
                # There is one request at a time: this can only be the end of the input.
                self._clear()
                sys.exit(1)
            self._tree.look()
            if ended > deadline and not timed_out:
                timed_out = True
                self._kill_all(pid)

    def _kill_all(self, *more: int) -> None:
        for pid in {*more, *self._tree.living()}:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue

    def _clear(self) -> None:
        """Kill and reap everything that descends from this process."""
        for _ in range(200):
            self._kill_all()
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.005)


def _say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    if sys.platform == "linux":  # elsewhere orphans go to init
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    LaunchLoop().serve()
