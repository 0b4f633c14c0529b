"""Analyzers planted for the tests: they misbehave on images of a certain colour, and count what they are asked.

Named on a command line or to an engine as ``tests.planted:Hazard``; they run in real workers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.errors import UsageProblem
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import Backend, Label, Problem, Task, TextLine

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
YELLOW, MAGENTA, CYAN = (255, 255, 0), (255, 0, 255), (0, 255, 255)


def _spec(name: str, task: Task = Task.CAPTION, **more: Any) -> AnalyzerSpec:
    return AnalyzerSpec(
        name=name, task=task.value, version="1", backend=Backend.PYTHON, summary="planted", licence="none", **more
    )


def log(line: str) -> None:
    """Append a line to the file that the environment names, so that a test sees what a worker did."""
    if (path := os.environ.get("PLANTED_LOG")) is not None:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


class Hazard(Analyzer):
    """Says the colour of the image; red is a segmentation fault, blue a SIGKILL, green a hang, yellow an exception,
    cyan one with a remedy."""

    spec = _spec("hazard")

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        return Probe(available=True, model="planted", model_version="1")

    def load(self) -> None:
        log("load")

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        return [self._one(picture) for picture in pictures]

    def _one(self, picture: Picture) -> str:
        colour = tuple(int(channel) for channel in picture.pixels[0, 0])
        log(f"run {colour}")
        if colour == RED:
            ctypes.string_at(0)  # a true one, in this very thread: a sent signal would find another thread to end
        if colour == BLUE:
            os.kill(os.getpid(), signal.SIGKILL)
        if colour == GREEN:
            time.sleep(3600)
        if colour == YELLOW:
            raise RuntimeError("planted exception")
        if colour == CYAN:
            raise UsageProblem("planted refusal", "ask for something else")
        if colour == MAGENTA:
            raise MemoryError
        return f"colour {colour}"


class BatchedHazard(Hazard):
    """The same on several images at once, so that the guilty one has to be found by halving."""

    spec = _spec("batched-hazard", batched=True)


class Fine(Hazard):
    """A second task beside the hazard: always answers."""

    spec = _spec("fine", Task.TEXT)

    def _one(self, picture: Picture) -> Any:
        log("text")
        return ()


class Slow(Hazard):
    """Takes a tenth of a second an image."""

    spec = _spec("slow")

    def _one(self, picture: Picture) -> str:
        time.sleep(0.1)
        log("slow")
        return "slow"


class Brief(Hazard):
    """Takes ten milliseconds an image."""

    spec = _spec("brief")

    def _one(self, picture: Picture) -> str:
        time.sleep(0.01)
        log("brief")
        return "brief"


class Gated(Brief):
    """The same, but waits with its first image until the file ``PLANTED_GATE`` is there, and says that it does."""

    spec = _spec("gated")

    def _one(self, picture: Picture) -> str:
        Path(f"{os.environ['PLANTED_LOG']}.waits").touch()
        while not Path(os.environ["PLANTED_GATE"]).exists():
            time.sleep(0.01)
        time.sleep(0.04)
        return super()._one(picture)


class SlowTogether(Hazard):
    """Takes a tenth of a second an image, several images at once."""

    spec = _spec("slow-together", batched=True)

    def _one(self, picture: Picture) -> str:
        time.sleep(0.1)
        return "slow"


class SlowText(Hazard):
    """Takes a tenth of a second an image for another task."""

    spec = _spec("slow-text", Task.TEXT)

    def _one(self, picture: Picture) -> Any:
        time.sleep(0.1)
        return ()


class SlowImports(Hazard):
    """Takes a tenth of a second over its imports, and says when they begin and end."""

    spec = _spec("slow-imports")

    def import_libraries(self) -> None:
        log("begin")
        time.sleep(0.1)
        log("end")


class DiesLoading(Hazard):
    """Kills the worker that loads it."""

    spec = _spec("dies-loading")

    def load(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class HangsLoading(Hazard):
    """Never finishes loading."""

    spec = _spec("hangs-loading")

    def load(self) -> None:
        time.sleep(3600)


class FailsLoading(Hazard):
    """Raises while loading, and may as well not the next time."""

    spec = _spec("fails-loading")

    def load(self) -> None:
        raise OSError(errno.EIO, "planted load failure")


class LoadsOnce(Slow):
    """Has no room for a second worker: only the first process to come loads it."""

    spec = _spec("loads-once")

    def load(self) -> None:
        try:
            Path(os.environ["PLANTED_ROOM"]).mkdir()
        except FileExistsError:
            raise MemoryError from None


class FailsTwice(Hazard):
    """Loads at the third attempt."""

    spec = _spec("fails-twice")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._attempts = 0

    def load(self) -> None:
        self._attempts += 1
        log(f"attempt {self._attempts}")
        if self._attempts < 3:
            raise OSError(errno.EIO, "planted passing failure")


class Heavy(Hazard):
    """Takes a moment to load, holds 200 MB in small pieces until it is closed, and says when."""

    spec = _spec("heavy")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._kept: list[bytes] = []

    def import_libraries(self) -> None:
        import tests.planted_library  # noqa: I001
        import tests.no_such_module  # noqa: F401

    def load(self) -> None:
        time.sleep(0.05)
        self._kept = [os.urandom(1) * 20_000 for _ in range(10_000)]
        log("load")

    def close(self) -> None:
        self._kept = []
        log("close")

    def _one(self, picture: Picture) -> str:
        assert self._kept, "run without a load"
        log(f"run in {os.getpid()}")
        return "heavy"


class Noisy(Hazard):
    """Prints to stdout and writes to descriptor 1, as native libraries and progress bars do."""

    spec = _spec("noisy")

    def _one(self, picture: Picture) -> str:
        print("noise on sys.stdout", flush=True)
        os.write(1, b"noise on descriptor 1\n")
        return "noisy"


class Hungry(Hazard):
    """Keeps 50 MB for every image it has seen."""

    spec = _spec("hungry")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._kept: list[bytes] = []

    def _one(self, picture: Picture) -> str:
        self._kept.append(os.urandom(1) * 50_000_000)
        log(f"pid {os.getpid()}")
        return "hungry"


class Numbered(Hazard):
    """Says the number that an image carries in its colour, with one task or another; says so in the log, too."""

    spec = _spec("numbered")

    def _one(self, picture: Picture) -> Any:
        red, green, blue = (int(channel) for channel in picture.pixels[0, 0])
        number = red * 256 + green
        log(f"{self.spec.task} {number}")
        time.sleep(float(os.environ.get("PLANTED_SECONDS", "0")))
        return self._say(number, blue)

    def _say(self, number: int, blue: int) -> Any:
        return f"number {number}"


class NumberedText(Numbered):
    """The number as a line of text."""

    spec = _spec("numbered-text", Task.TEXT)

    def _say(self, number: int, blue: int) -> Any:
        return (TextLine(text=f"number {number}", confidence=0.5, box=((0, 0), (1, 0), (1, 1), (0, 1))),)


class NumberedLabels(Numbered):
    """The colour of the image as a label."""

    spec = _spec("numbered-labels", Task.LABELS)

    def _say(self, number: int, blue: int) -> Any:
        return (Label(label=f"blue {blue}", score=1.0),)
