"""Starts each sample and samples its memory, from a small process. Run as a script; standard library only.

It is small because a process without imports disturbs little, and because a program seems large if a large process
started it: between ``fork`` and ``exec`` a process has its parent's memory, and the kernel counts the parent's peak in
the child's resource usage. Even this process is several times larger than ``sleep``. So where it can be (Linux, with a
shell), the program takes the place of a waiting subshell of about a megabyte, whose parent was another shell: a process
begins its resource usage anew when it is forked. That shell is ready before the clock starts.

It reads one JSON request a line and answers each with one line. When its input ends, the bench is gone: it kills what
it started and exits. It is a subreaper: processes that a sample leaves behind become its children, so it knows them.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time
from typing import Any

REQUEST_INPUT = 0
_PR_SET_CHILD_SUBREAPER = 36
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)
_FIELDS = ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")
_PAGE_SCALE = 1024
_FIRST_PAUSE = 0.001
"""Seconds. The pauses between readings begin small and double, so that a short program is seen too."""
_GROWTH = 1.1
"""Growth by less does not count: a loaded program still touches a page of its libraries now and then."""
_MUCH_SHARED = 1_000_000
"""Bytes of shared memory from which on it is worth reading what share of it a process has."""

_SHELLS = ("/bin/dash", "/bin/sh")
_TELL = 3
_WAITING = (
    # The subshell: it ends its parent and so becomes the launcher's child, says who it is, waits for the moment of the
    # start, and becomes the program. The command after it keeps shells from doing without a subshell.
    '(kill -9 $$; read -r _imgtool_process _imgtool_rest </proc/self/stat; echo "$_imgtool_process" >&3; '
    'read -r "$0" || exit 1; export "$0"; exec "$@" </dev/null 3>&-); exit 1'
)


class Tree:
    """The memory of all descendants of this process, sampled. ``peaks`` are the fields of
    :class:`imgtool.bench.measure.launcher_client.TreeMemory`, which says what each is."""

    def __init__(self) -> None:
        self.ours: set[int] = set()
        self.seen = set(_processes())
        self.fresh: set[int] = set()
        self.peaks = dict.fromkeys(("tree_rss", "anon", "file", "largest", "mapped"), 0)
        self.peaks |= dict.fromkeys(("grew_ns", "mapped_grew_ns", "looked_ns"), 0)
        self._grown = self._mapped_grown = self._shared = 0
        self._sharing: dict[int, int] = {}

    def look(self) -> None:
        """Take one sample."""
        now, peaks = time.monotonic_ns(), self.peaks
        self._find_new()
        found: dict[int, dict[str, int]] = {}
        for pid in list(self.ours):
            memory = _memory(pid)
            if memory is None:
                self.ours.discard(pid)
            elif pid in self.fresh:
                # It may still be between fork and exec, with its parent's memory: counted from the next reading on.
                self.fresh.discard(pid)
            else:
                found[pid] = memory
                peaks["largest"] = max(peaks["largest"], memory["VmHWM"])
                peaks["mapped"] = max(peaks["mapped"], memory["RssFile"])
                peaks["looked_ns"] = now
        rss, anon, file = (sum(each[name] for each in found.values()) for name in ("VmRSS", "RssAnon", "RssFile"))
        for name, size in (("tree_rss", rss), ("anon", anon + self._shared_memory(found)), ("file", file)):
            peaks[name] = max(peaks[name], size)
        if peaks["largest"] > self._grown * _GROWTH:
            self._grown, peaks["grew_ns"] = peaks["largest"], now
        if peaks["mapped"] > self._mapped_grown * _GROWTH:
            self._mapped_grown, peaks["mapped_grew_ns"] = peaks["mapped"], now

    def _shared_memory(self, found: dict[int, dict[str, int]]) -> int:
        """Bytes of shared memory and mapped files of tmpfs, which cannot be reclaimed either.

        What several processes share is counted once, by their proportional shares; reading those takes the kernel a
        while, so it is done only when the amounts have changed by a megabyte.
        """
        amounts = {pid: memory["RssShmem"] for pid, memory in found.items()}
        sharing = {pid: size // _MUCH_SHARED for pid, size in amounts.items() if size >= _MUCH_SHARED}
        if len(sharing) < 2:
            return sum(amounts.values())
        if sharing != self._sharing:
            shares = [_share_of_shared(pid) for pid in sharing]
            known = [share for share in shares if share is not None]
            self._shared = sum(known) if len(known) == len(shares) else sum(amounts.values())
            self._sharing = sharing
        return self._shared

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


def _peak(pid: int) -> int:
    found = _memory(pid)
    return 0 if found is None else found["VmHWM"]


def _share_of_shared(pid: int) -> int | None:
    """Bytes of shared memory that ``pid`` has, each page divided by the number of processes that map it."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            lines = dict(line.split(b":", 1) for line in file if line.startswith(b"Pss_Shmem"))
        return int(lines[b"Pss_Shmem"].split()[0]) * _PAGE_SCALE
    except (OSError, KeyError, ValueError):
        return None


class LaunchLoop:
    """Runs one sample after another, as requested. ``subreaper``: orphans become children of this process."""

    def __init__(self, *, subreaper: bool) -> None:
        self._tree = Tree()
        self._shell = next((path for path in _SHELLS if subreaper and os.access(path, os.X_OK)), None)
        self._woken, waker = os.pipe()
        for end in (self._woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._pid = self._ended_ns = 0
        signal.signal(signal.SIGCHLD, self._note_end)

    def serve(self) -> None:
        """Answer requests until the input ends."""
        _say({"pid": os.getpid(), "rss": _peak(os.getpid())})
        rest = b""
        while data := os.read(REQUEST_INPUT, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _say(self._run(json.loads(line)))

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        self._tree = Tree()
        try:
            pid, spawned, floor = self._start(request)
        except OSError as error:
            return {"failed": f"{request['command'][0]}: {error.strerror}"}
        ended = self._watch(pid, spawned, request["timeout"], request["interval"])
        tree = self._tree
        left_behind = len(tree.living())
        self._clear()
        return {
            **ended,
            "spawned_ns": spawned,
            "floor": floor,
            "left_behind": left_behind,
            "memory": tree.peaks,
        }

    def _start(self, request: dict[str, Any]) -> tuple[int, int, int]:
        """Start the program. Returns its process, the moment in nanoseconds, and the bytes that the kernel counts as
        its peak even if it needs less.

        Raises:
            OSError: it cannot be started.
        """
        environment = {**os.environ, **request["environment"]}
        # A shell loses variables that it has no name for.
        if self._shell is not None and all(name.isascii() and name.isidentifier() for name in environment):
            _check_program(request["command"][0], environment)
            if (waiting := self._waiting_shell(self._shell, request, environment)) is not None:
                pid, release = waiting
                floor = _peak(pid)
                self._tree.ours.add(pid)
                self._tree.fresh.add(pid)
                spawned = time.monotonic_ns()
                os.write(release, b"%d\n" % spawned)
                os.close(release)
                return pid, spawned, floor
            self._shell = None
        spawned = time.monotonic_ns()
        environment[request["spawned_variable"]] = str(spawned)
        pid = os.posix_spawnp(
            request["command"][0],
            request["command"],
            environment,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *_outputs(request)],
            setsigdef=_DEFAULT_SIGNALS,
        )
        # The call returns after exec: what is read from now on is the program's own memory.
        self._tree.ours.add(pid)
        self._tree.look()
        return pid, spawned, _peak(os.getpid())

    def _waiting_shell(
        self, shell: str, request: dict[str, Any], environment: dict[str, str]
    ) -> tuple[int, int] | None:
        """A process that becomes the program when the moment of the start, a line of digits, is written to the
        descriptor; ``None`` if this shell cannot do that."""
        go, release = os.pipe()
        told, tell = os.pipe()
        parent = os.posix_spawn(
            shell,
            [shell, "-c", _WAITING, request["spawned_variable"], *request["command"]],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, go, 0),
                (os.POSIX_SPAWN_DUP2, tell, _TELL),
                *_outputs(request),
            ],
            setsigdef=_DEFAULT_SIGNALS,
        )
        os.close(go)
        os.close(tell)
        said = os.read(told, 32)
        os.close(told)
        os.waitpid(parent, 0)
        if said.strip().isdigit():
            return int(said), release
        os.close(release)
        return None

    def _note_end(self, _number: int, _frame: object) -> None:
        """Note when the process ended, even if it is in the middle of a reading: waiting comes after that."""
        if not self._ended_ns and self._pid:
            try:
                over = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if over is not None:
                self._ended_ns = time.monotonic_ns()

    def _watch(self, pid: int, spawned: int, timeout: float, interval: float) -> dict[str, Any]:
        """Wait for the end of ``pid``, and sample the memory until then."""
        deadline, timed_out = spawned + int(timeout * 1e9), False
        pause = _FIRST_PAUSE
        self._pid, self._ended_ns = pid, 0
        while True:
            ready, _, _ = select.select([self._woken, REQUEST_INPUT], [], [], pause)
            pause = min(2 * pause, interval)
            if self._woken in ready:
                os.read(self._woken, 4096)  # before the wait: what comes after it wakes the next select
            found, status, usage = os.wait4(pid, os.WNOHANG)
            if found:
                ended, self._pid = self._ended_ns or time.monotonic_ns(), 0
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
            if time.monotonic_ns() > deadline and not timed_out:
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


def _outputs(request: dict[str, Any]) -> list[tuple[Any, ...]]:
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return [
        (os.POSIX_SPAWN_OPEN, 1, request["stdout"], write, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, request["stderr"], write, 0o600),
    ]


def _check_program(program: str, environment: dict[str, str]) -> None:
    """Raise what the start of ``program`` would raise: of a shell one would only know that it exited with code 127."""
    places = [""] if "/" in program else os.get_exec_path(environment)
    found = [path for path in (os.path.join(place, program) for place in places) if os.path.isfile(path)]  # noqa: PTH113, PTH118
    if not any(os.access(path, os.X_OK) for path in found):
        number = errno.EACCES if found else errno.ENOENT
        raise OSError(number, os.strerror(number))


def _say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _become_subreaper() -> bool:
    """Whether orphans of what is started become children of this process; elsewhere than on Linux they go to init."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


if __name__ == "__main__":
    LaunchLoop(subreaper=_become_subreaper()).serve()
