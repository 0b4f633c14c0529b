"""Analyzers whose cost is known: a busy loop, a large allocation, a slow import. They run in real workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from imgtool.analyzers.interface import Answer
from imgtool.inference.picture import Picture
from imgtool.types import Problem
from tests.planted import Hazard, _spec

BUSY_SECONDS = 2.0
MEGABYTES = 300


def planted_busy_loop(seconds: float) -> int:
    """Compute until ``seconds`` of this thread's processor time are spent."""
    end = time.thread_time() + seconds
    turns = 0
    while time.thread_time() < end:
        turns += 1
    return turns


class Busy(Hazard):
    """Two seconds of Python on each image."""

    spec = _spec("busy")

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        return [f"{planted_busy_loop(BUSY_SECONDS)} turns" for _ in pictures]


class Large(Hazard):
    """Holds 300 MB from its load on."""

    spec = _spec("large")

    def load(self) -> None:
        # Zeros would be pages that nobody has touched.
        self._kept = bytearray(b"\x01") * (MEGABYTES * 1_000_000)
        time.sleep(0.4)

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        time.sleep(0.4)
        return [f"{len(self._kept)} bytes" for _ in pictures]


class SlowImport(Hazard):
    """Loads a module that takes half a second to import."""

    spec = _spec("slow-import")

    def load(self) -> None:
        import tests.profiling.slow_module  # noqa: F401

    def _one(self, picture: Picture) -> Any:
        return "imported"


class Dies(Hazard):
    """Kills its worker with every image."""

    spec = _spec("dies")

    def _one(self, picture: Picture) -> Any:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
