"""The samples of an experiment: the models' files in the page cache or not, then a fresh process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from msgspec.structs import replace

from imgtool.bench.data.record import Arm, PageCache, RunSample
from imgtool.bench.measure.launcher_client import LOOK_SECONDS, Launcher
from imgtool.bench.measure.pagecache import prepare
from imgtool.bench.measure.sample_process import start


@dataclass(frozen=True)
class Case:
    """One sample to take: the arm, the state of the page cache, and the run's number (-1 for a warm-up run)."""

    arm: Arm
    page_cache: PageCache
    run: int
    order: int = 0


@dataclass
class Sampler(AbstractContextManager["Sampler"]):
    """Takes samples, one at a time. ``model_files`` are those of each arm by its name; ``timeout`` is in seconds.

    Its files are in a temporary folder, which is removed at the end; whatever still runs then is killed.
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

    def take(self, case: Case) -> RunSample:
        """Start a process of the case's arm and wait for its end. A failure is in ``error``.

        Raises:
            imgtool.bench.measure.launcher_client.LauncherGone: the launcher was killed.
        """
        files = self.model_files.get(case.arm.name, ())
        resident = prepare(files, case.page_cache) if files else None
        sample, _ = start(case.arm, case.run, self._launcher, self._folder, self.timeout, self.environment)
        return replace(sample, order=case.order, page_cache=case.page_cache, resident_share=resident)
