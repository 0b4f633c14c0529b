"""Commands that are killed with all their processes at a random moment, and what must be true of what they leave.

A case begins in a state, has a command, and says what is wrong after a kill and after a run that came to its end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import psutil

from imgtool.files import SET_ASIDE, TEMPORARY
from tests.conftest import ROOT

_LONGEST_SECONDS = 180.0


@dataclass
class Tally:
    """What was found in a case. ``landed`` kills met a process that was still running; ``reported`` images were said
    to be done by runs that were killed, and ``unkept`` of these were not kept by the cache or the database."""

    case: str
    landed: int = 0
    late: int = 0
    completed: int = 0
    reported: int = 0
    unkept: int = 0
    complaints: list[str] = field(default_factory=list)


class Case(ABC):
    """A command in a folder of its own. ``place`` is emptied before each series of kills and one complete run."""

    name: str
    seconds: float = 0.0
    """How long a run takes that nobody disturbs."""
    is_killed = False
    """Whether what is looked at is what a killed run left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / "place"
        self.scratch = folder / "scratch"
        self.tally = Tally(self.name)
        self.prepare()
        self._reset()

    def prepare(self) -> None:  # noqa: B027 - optional to override
        """Make what all runs share in ``folder``."""

    def begin(self) -> None:  # noqa: B027 - optional to override
        """Make the state before a run in ``place``, which is empty."""

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """What is run, after the interpreter."""

    @abstractmethod
    def wrong(self) -> Iterator[str]:
        """What is wrong after a kill."""

    @abstractmethod
    def incomplete(self) -> Iterator[str]:
        """What is wrong or missing after a run that came to its end."""

    def environ(self) -> dict[str, str]:
        return {}

    def kill(self, times: int, seed: int) -> Tally:
        """Kill ``times`` runs, each at a moment of its own, and let some come to their end in between."""
        rng = random.Random(f"{self.name} {seed}")
        self._to_the_end()
        while self.tally.landed < times and self.tally.late < 3 * times + 5:
            moment = self.seconds * (rng.uniform(0.0, 0.3) if rng.random() < 0.15 else rng.uniform(0.3, 1.1))
            process = self.start()
            time.sleep(moment)
            running = process.poll() is None
            kill_tree(process)
            self.tally.landed += running
            self.tally.late += not running
            where = f"after {moment:.3f} of {self.seconds:.3f} s"
            self.is_killed = True
            self._complain(where, self.wrong())
            self.is_killed = False
            if rng.random() < 0.5:
                self._to_the_end()
        self._to_the_end()
        return self.tally

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "stderr").open("wb") as err:
            return subprocess.Popen(
                [sys.executable, *self.command],
                stdout=subprocess.DEVNULL,
                stderr=err,
                cwd=self.folder,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "IMGTOOL_CACHE_DIR": str(self.place / "cache"),
                    "TMPDIR": str(self.scratch),
                    **self.environ(),
                },
            )

    def _to_the_end(self) -> None:
        began = time.monotonic()
        process = self.start()
        try:
            code = process.wait(_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(process)
            code = -1
        self.seconds = time.monotonic() - began
        if code != 0:
            self.tally.complaints.append(f"the next run ended with {code}: {(self.folder / 'stderr').read_text()}")
        else:
            self._complain("after the next run", chain(self.incomplete(), self._left()))
        self.tally.completed += 1
        self._reset()

    def _complain(self, when: str, found: Iterator[str]) -> None:
        try:
            self.tally.complaints += [f"{when}: {each}" for each in found]
        except Exception as error:  # noqa: BLE001 - what cannot even be read is the worst that can be found
            self.tally.complaints.append(f"{when}: {type(error).__name__}: {error}")

    def _left(self) -> Iterator[str]:
        for path in self.scratch.iterdir():
            if path.name.startswith("torchinductor_"):  # torch's own, which stays on purpose
                continue
            yield f"left among the temporary files: {path.name}"
        for path in self.place.rglob("*"):
            if TEMPORARY in path.name or SET_ASIDE in path.name or path.suffix in (".part", ".incomplete"):
                yield f"left: {path.relative_to(self.place)}"

    def _reset(self) -> None:
        for folder in (self.place, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self.begin()


def kill_tree(process: subprocess.Popen[Any]) -> None:
    """End a process and all that came from it, as the kernel does where memory has run out: nobody can tidy up."""
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    for each in family:
        with suppress(psutil.Error):
            each.kill()
    process.wait()
    psutil.wait_procs(family, timeout=10)


def whole_lines(path: Path) -> list[Any]:
    """The objects in the lines of a file that have their end."""
    return [json.loads(line) for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")]
