"""One sample: a fresh process of an arm, traced, timed and weighed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from imgtool.bench.arms import CACHED
from imgtool.bench.memory import memory_of
from imgtool.bench.pagecache import prepare
from imgtool.bench.phases import Course, course, read_trace
from imgtool.bench.process import LOOK_SECONDS, Ended, Launcher
from imgtool.bench.record import Arm, ArmKind, PageCache, Sample
from imgtool.runtime.process import describe_exit
from imgtool.trace import FILE_VARIABLE

_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Case:
    """What one sample is of: an arm, the state of the page cache, and the run's number (-1 for a warm-up run)."""

    arm: Arm
    page_cache: PageCache
    run: int
    order: int = 0


@dataclass
class Sampler(AbstractContextManager["Sampler"]):
    """Takes samples, one at a time. ``model_files`` are those of each arm by its name; ``timeout`` is in seconds.

    What it writes lies in a folder of its own that goes with it; leaving it ends whatever still runs.
    """

    timeout: float
    model_files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    look_seconds: float = LOOK_SECONDS

    def __enter__(self) -> Sampler:
        self._scratch = tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True)
        self._folder = Path(self._scratch.name)
        self._launcher = Launcher(look_seconds=self.look_seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._launcher.close()
        self._scratch.cleanup()

    def take(self, case: Case) -> Sample:
        """Start a process of the case's arm and wait for its end. A failure is a value: ``Sample.error``.

        Raises:
            imgtool.bench.process.LauncherGone: the launcher was killed.
        """
        resident = self._prepare_page_cache(case)
        began_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        ended, seen = self._run(case.arm)
        return Sample(
            arm=case.arm.name,
            run=case.run,
            order=case.order,
            page_cache=case.page_cache,
            began_at=began_at,
            exit_code=None if ended.failed else ended.code,
            error=_failure(ended, case.arm, seen, self.timeout),
            stderr_tail=self._stderr_tail(),
            wall=ended.seconds,
            startup=seen.startup,
            first_result=seen.first_result,
            steady=seen.steady,
            phases=seen.phases,
            memory=memory_of(ended, seen, self._launcher.own_rss, self.look_seconds),
            resident_share=resident,
        )

    def _prepare_page_cache(self, case: Case) -> float | None:
        files = self.model_files.get(case.arm.name, ())
        return prepare(files, case.page_cache) if files else None

    def _run(self, arm: Arm) -> tuple[Ended, Course]:
        trace = self._folder / f"trace-{time.monotonic_ns()}.jsonl"
        ended = self._launcher.run(
            arm.command,
            environment={**self.environment, FILE_VARIABLE: str(trace)},
            stdout=Path("/dev/null"),
            stderr=self._folder / "stderr",
            timeout=self.timeout,
        )
        seen = course(read_trace(trace), ended.spawned_ns)
        trace.unlink(missing_ok=True)
        return ended, seen

    def _stderr_tail(self) -> str:
        try:
            said = (self._folder / "stderr").read_bytes()
        except OSError:
            return ""
        return said[-_TAIL_BYTES:].decode("utf-8", "replace")


def _failure(ended: Ended, arm: Arm, seen: Course, timeout: float) -> str | None:
    """Why a sample does not count, in words."""
    if ended.failed:
        return f"could not be started: {ended.failed}"
    if ended.timed_out:
        return f"did not end within {timeout:g} s and was killed"
    if ended.code:
        return describe_exit(ended.code)
    if arm.kind is not ArmKind.COMMAND and seen.first_result is None:
        return "ended without a result"
    if arm.name == CACHED and arm.kind is ArmKind.ANALYZE and any(p.name.startswith("load ") for p in seen.phases):
        return "was to answer from its cache, and loaded a model"
    return None
