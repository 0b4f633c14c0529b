"""One profile: a run of ``analyze`` for each view that was asked for, so that no view disturbs another.

``phases`` and ``memory`` share a run: both only read, one a file, the other ``/proc``. Everything a tool does to the
program (stop it to look, time its imports, trace its lines) happens in a run of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from imgtool import __version__, trace
from imgtool.errors import ExitCode, ImgtoolError
from imgtool.profiling.record import Absence, Cpu, ImportTree, Memory, MemoryTool, Phases, Profile, View
from imgtool.profiling.target import Outcome, analyze_command, run
from imgtool.profiling.views import cprofile as fallback
from imgtool.profiling.views import cpu, imports, lines, memory, memray
from imgtool.profiling.views.phases import phases_of
from imgtool.profiling.views.trace_file import read_trace

Say = Callable[[str], None]


class TargetFailed(ImgtoolError):
    """``analyze`` itself failed, so there is nothing to look at; the exit code is its own."""

    def __init__(self, message: str, remedy: str, code: int) -> None:
        super().__init__(message, remedy)
        self.exit_code = next((each for each in ExitCode if each == code), ExitCode.INTERNAL)


@dataclass(frozen=True)
class Request:
    """What to look at, and how. ``arguments`` are those of ``analyze``; ``folder`` exists."""

    arguments: tuple[str, ...]
    folder: Path
    views: frozenset[View] = frozenset(View)
    rate: int = cpu.RATE
    native: bool = False
    interval_seconds: float = memory.INTERVAL_SECONDS
    memory_tool: MemoryTool = MemoryTool.MEMORY_PROFILER
    line_by_line: str | None = None
    command: tuple[str, ...] = ()
    py_spy: str | None = field(default_factory=cpu.find_py_spy)


class Runner:
    """Does the runs of a request, one after the other, and gathers what came of them."""

    def __init__(self, request: Request, say: Say) -> None:
        self._request = request
        self._say = say
        self._runs: dict[str, float] = {}
        self._absences: list[Absence] = []
        self._notices: list[str] = []
        self._interrupted = False

    def profile(self) -> Profile:
        """All views. After Ctrl-C, those that were there by then.

        Raises:
            TargetFailed: the first run of ``analyze`` did not come to its end.
        """
        phases, measured = self._watched() if self._wants(View.PHASES, View.MEMORY) else (None, None)
        sampled = self._cpu() if self._wants(View.CPU) else None
        trees = self._imports() if self._wants(View.IMPORTS) else None
        measured = self._more_memory(measured)
        return Profile(
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self._request.command or ("imgtool", "profile", *self._request.arguments),
            machine=_machine(),
            runs=self._runs,
            phases=phases,
            memory=measured,
            cpu=sampled,
            imports=trees,
            absences=tuple(self._absences),
            notices=tuple(self._notices),
            interrupted=self._interrupted,
        )

    # -- the runs

    def _watched(self) -> tuple[Phases | None, Memory | None]:
        self._say("phases and memory: running analyze, traced and watched")
        folder = self._request.folder
        tracefile = folder / "trace.jsonl"
        tracefile.unlink(missing_ok=True)
        sampler = memory.MemorySampler(self._request.interval_seconds)
        command = analyze_command(self._request.arguments)
        outcome = run(command, folder / "analyze.log", {trace.FILE_VARIABLE: str(tracefile)}, sampler)
        self._ran("phases and memory", outcome)
        told = read_trace(tracefile, outcome)
        phases = phases_of(told) if self._wants(View.PHASES, even_late=True) else None
        measured = None
        if self._wants(View.MEMORY, even_late=True):
            measured = memory.memory_of(sampler, told, outcome.began_ns)
            self._absences += memory.missing_parts(measured)
            self._notice(memory.too_short(measured))
            self._notice(memory.loaded_side_by_side(told))
        return phases, measured

    def _cpu(self) -> Cpu | None:
        request = self._request
        self._say("cpu: running analyze under py-spy")
        how = cpu.How(request.rate, request.native, request.py_spy)
        sampled = cpu.sample(request.arguments, request.folder, how)
        self._absent(sampled.absence)
        self._ran("cpu", sampled.outcome)
        if sampled.cpu is None and not self._interrupted:
            self._say("cpu: running analyze again, with what this Python itself has")
            sampled = fallback.sample(request.arguments, request.folder, request.rate)
            self._absent(sampled.absence)
            self._ran("cpu", sampled.outcome)
        self._notices += sampled.notices
        return sampled.cpu

    def _imports(self) -> tuple[ImportTree, ...] | None:
        self._say("imports: running analyze with every import timed, models loaded one after the other")
        imported = imports.sample(self._request.arguments, self._request.folder)
        self._ran("imports", imported.outcome)
        self._notices.append("imports: models were loaded one after the other in this run, whatever --load says")
        if mixed := sum(tree.mixed for tree in imported.trees):
            self._notices.append(
                f"imports: {mixed} began inside another thread's import; their times may hold parts of each other"
            )
        return imported.trees or None

    def _more_memory(self, measured: Memory | None) -> Memory | None:
        """What asks for runs of its own: lines, and memray."""
        from msgspec.structs import replace

        request = self._request
        if request.line_by_line is not None and self._goes_on("lines"):
            self._say(f"memory: running analyze with {request.line_by_line} measured line by line")
            table, outcome = lines.sample(request.arguments, request.folder, request.line_by_line)
            self._ran("lines", outcome)
            if isinstance(table, Absence):
                self._absent(table)
            else:
                measured = replace(measured or _no_timeline(), lines=table)
        if request.memory_tool is MemoryTool.MEMRAY and self._goes_on("memray"):
            self._say("memory: running analyze under memray")
            absence, outcome = memray.sample(request.arguments, request.folder)
            self._ran("memray", outcome)
            self._absent(absence)
            if absence is None:
                self._notices.append(memray.NOTICE)
        return measured

    # -- between the runs

    def _wants(self, *views: View, even_late: bool = False) -> bool:
        wanted = [view.value for view in views if view in self._request.views]
        return bool(wanted) and (even_late or self._goes_on(*wanted))

    def _goes_on(self, *views: str) -> bool:
        if self._interrupted:
            self._absences += [Absence(view=view, reason="interrupted before its run") for view in views]
        return not self._interrupted

    def _ran(self, what: str, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        first = not self._runs
        self._runs[what] = outcome.seconds
        self._interrupted = self._interrupted or outcome.interrupted
        if outcome.interrupted:
            self._notices.append(f"{what}: interrupted after {outcome.seconds:.1f} s; the figures end there")
        elif not outcome.completed:
            self._failed(what, outcome, first)

    def _failed(self, what: str, outcome: Outcome, first: bool) -> None:
        if first:
            raise TargetFailed(
                f"imgtool analyze ended with exit code {outcome.code}: {outcome.last_words or 'it said nothing'}",
                "make the same analyze command work first",
                outcome.code,
            )
        self._notices.append(f"{what}: that run ended with exit code {outcome.code}: {outcome.last_words}")

    def _absent(self, absence: Absence | None) -> None:
        if absence is not None:
            self._absences.append(absence)

    def _notice(self, text: str | None) -> None:
        if text is not None:
            self._notices.append(text)


def _no_timeline() -> Memory:
    return Memory(tool="memory_profiler", interval_seconds=0)


def _machine() -> dict[str, str]:
    from imgtool.bench.measure.machine import describe_machine

    found = describe_machine({}, 0)
    return {
        "processor": found.cpu,
        "cores": f"{found.granted_cores:g} of {found.cores}",
        "system": f"{found.system}, kernel {found.kernel}",
        "python": f"{found.python} ({sys.executable})",
        "libraries": ", ".join(f"{name} {version}" for name, version in found.libraries.items()),
    }


def views_of(names: Sequence[str]) -> frozenset[View]:
    """Views by name, ``cpu,memory``; none named is all of them.

    Raises:
        imgtool.errors.UsageProblem: there is no such view.
    """
    from imgtool.errors import UsageProblem

    wanted = [name.strip() for text in names for name in text.split(",") if name.strip()]
    known = {view.value: view for view in View}
    for name in wanted:
        if name not in known:
            raise UsageProblem(f"there is no view {name}", f"views are {', '.join(known)}")
    return frozenset(known[name] for name in wanted) or frozenset(View)
