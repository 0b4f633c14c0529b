"""One profile: a run of ``analyze`` for each view that was asked for, so that no view disturbs another.

``phases`` and ``memory`` share a run: both only read, one a file, the other ``/proc``. Whatever a tool does to the
program (sampling its stacks, timing its imports, tracing its lines) happens in a run of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from imgtool import __version__, trace
from imgtool.bench.measure.machine import describe_machine
from imgtool.errors import ExitCode, ImgtoolError, UsageProblem
from imgtool.profiling.analyze_run import RunOutcome, analyze_command, run
from imgtool.profiling.record import Absence, Cpu, ImportTree, MemoryTimeline, Phases, Profile, View
from imgtool.profiling.views import cprofile, cpu, imports, lines, memory
from imgtool.profiling.views.phases import phases_of
from imgtool.profiling.views.trace_file import trace_of


class TargetFailed(ImgtoolError):
    """``analyze`` itself failed, so there is nothing to profile; the exit code is its own."""

    def __init__(self, message: str, remedy: str, code: int) -> None:
        super().__init__(message, remedy)
        self.exit_code = next((each for each in ExitCode if each == code), ExitCode.INTERNAL)


@dataclass(frozen=True)
class ProfileRequest:
    """What to profile, and how. ``arguments`` are those of ``analyze``; ``folder`` exists; ``py_spy`` is a program."""

    arguments: tuple[str, ...]
    folder: Path
    views: frozenset[View] = frozenset(View)
    rate: int = cpu.RATE
    interval_seconds: float = memory.INTERVAL_SECONDS
    line_by_line: str | None = None
    command: tuple[str, ...] = ()
    py_spy: str | None = field(default_factory=cpu.find_py_spy)


class Runner:
    """Does the runs of a request, one after the other, and collects their results."""

    def __init__(self, request: ProfileRequest, say: Callable[[str], None]) -> None:
        self._request = request
        self._say = say
        self._runs: dict[str, float] = {}
        self._absences: list[Absence] = []
        self._notices: list[str] = []
        self._interrupted = False

    def profile(self) -> Profile:
        """All views. After Ctrl-C, those that were finished by then.

        Raises:
            TargetFailed: the first run of ``analyze`` failed.
        """
        request = self._request
        phases, measured = self._phases_and_memory()
        sampled = self._cpu() if self._wants(View.CPU) else None
        trees = self._imports() if self._wants(View.IMPORTS) else None
        if request.line_by_line is not None and self._goes_on("lines"):
            self._say(f"memory: running analyze with {request.line_by_line} measured line by line")
            table, outcome = lines.sample(request.arguments, request.folder, request.line_by_line)
            self._ran("lines", outcome)
            if isinstance(table, Absence):
                self._absences.append(table)
            else:
                measured = replace(measured or MemoryTimeline(tool="memory_profiler", interval_seconds=0), lines=table)
        machine = describe_machine({}, 0)
        return Profile(
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=request.command or ("imgtool", "profile", *request.arguments),
            machine={
                "processor": machine.cpu,
                "cores": f"{machine.granted_cores:g} of {machine.cores}",
                "system": f"{machine.system}, kernel {machine.kernel}",
                "python": f"{machine.python} ({sys.executable})",
                "libraries": ", ".join(f"{name} {version}" for name, version in machine.libraries.items()),
            },
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

    def _phases_and_memory(self) -> tuple[Phases | None, MemoryTimeline | None]:
        request = self._request
        if not request.views & {View.PHASES, View.MEMORY}:
            return None, None
        self._say("phases and memory: running analyze")
        tracefile = request.folder / "trace.jsonl"
        tracefile.unlink(missing_ok=True)
        sampler = memory.MemorySampler(request.interval_seconds)
        environment = {trace.FILE_VARIABLE: str(tracefile)}
        outcome = run(
            analyze_command(request.arguments), request.folder / "analyze.log", environment, watch=sampler.watch
        )
        self._ran("phases and memory", outcome)
        told = trace_of(tracefile, outcome)
        phases = phases_of(told) if View.PHASES in request.views else None
        if View.MEMORY not in request.views:
            return phases, None
        measured = memory.memory_of(sampler, told, outcome.began_ns)
        self._absences += memory.missing_parts(measured)
        self._notices += memory.notices(measured, told)
        return phases, measured

    def _cpu(self) -> Cpu | None:
        request = self._request
        self._say("cpu: running analyze under py-spy")
        sampled = cpu.sample(request.arguments, request.folder, request.rate, request.py_spy)
        self._ran("cpu", sampled.outcome, sampled.absence)
        self._notices += sampled.notices
        if sampled.cpu is None:
            if self._interrupted:
                return None
            self._say("cpu: running analyze again, under cProfile")
            sampled = cprofile.sample(request.arguments, request.folder)
            self._ran("cpu", sampled.outcome, sampled.absence)
            return sampled.cpu
        if not self._goes_on("flame graph"):
            return sampled.cpu
        self._say("cpu: running analyze under py-spy again, for the flame graph")
        picture = request.folder / cpu.FLAME_GRAPH
        outcome, absence = cpu.record(request.arguments, picture, request.rate, request.py_spy)
        self._ran("flame graph", outcome, absence)
        return replace(sampled.cpu, flame_graph=absence is None)

    def _imports(self) -> tuple[ImportTree, ...] | None:
        self._say("imports: running analyze with every import timed")
        trees, outcome = imports.sample(self._request.arguments, self._request.folder)
        self._ran("imports", outcome)
        self._notices.append("imports: models were loaded one after the other in this run, whatever --load says")
        if mixed := sum(tree.mixed for tree in trees):
            self._notices.append(
                f"imports: {mixed} began inside another thread's import; their times may contain parts of each other"
            )
        return trees or None

    # -- between the runs

    def _wants(self, view: View) -> bool:
        return view in self._request.views and self._goes_on(view.value)

    def _goes_on(self, view: str) -> bool:
        if self._interrupted:
            self._absences.append(Absence(view=view, reason="interrupted before its run"))
        return not self._interrupted

    def _ran(self, what: str, outcome: RunOutcome | None, absence: Absence | None = None) -> None:
        """Take down how a run went.

        Raises:
            TargetFailed: it is the first, and failed.
        """
        if absence is not None:
            self._absences.append(absence)
        if outcome is None:
            return
        first = not self._runs
        self._runs[what] = outcome.seconds
        if outcome.interrupted:
            self._interrupted = True
            self._notices.append(f"{what}: interrupted after {outcome.seconds:.1f} s; the figures end there")
        elif not outcome.completed:
            if first:
                raise TargetFailed(
                    f"imgtool analyze ended with exit code {outcome.code}: {outcome.last_words or 'no message'}",
                    "make the same analyze command work first",
                    outcome.code,
                )
            self._notices.append(f"{what}: that run ended with exit code {outcome.code}: {outcome.last_words}")


def views_of(names: Sequence[str]) -> frozenset[View]:
    """Views by name, ``cpu,memory``; all of them if none is named.

    Raises:
        imgtool.errors.UsageProblem: there is no such view.
    """
    wanted = [name.strip() for text in names for name in text.split(",") if name.strip()]
    known = {view.value: view for view in View}
    for name in wanted:
        if name not in known:
            raise UsageProblem(f"there is no view {name}", f"views are {', '.join(known)}")
    return frozenset(known[name] for name in wanted) or frozenset(View)
