"""The interface of analyzers: a frozen spec, a cheap probe, a load, a run.

The module of an analyzer is imported by the light parent process too (for its spec, probe and parameters), so it
imports numpy, onnxruntime and the like inside functions only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem, Task

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

THUMBNAIL = "thumbnail"
"""Pseudo task of the HTML gallery. Not part of :class:`Task`: its answer is a picture, not a statement."""


@dataclass(frozen=True)
class AnalyzerSpec:
    """What is known about an analyzer on every machine.

    ``version`` is that of our own code around the model: raise it whenever an answer can change.
    ``after`` names tasks whose answers, if they are asked too, this analyzer gets (``Picture.answers``).
    ``batched`` says that ``run`` is faster on several images at once; otherwise images come one by one.
    ``same_answers_as`` names the backend whose answers it reproduces exactly: both share cached answers.
    """

    name: str
    task: str
    version: str
    backend: Backend
    summary: str
    licence: str
    after: tuple[Task, ...] = ()
    batched: bool = False
    same_answers_as: Backend | None = None


@dataclass(frozen=True)
class Probe:
    """What an analyzer finds on this machine, without importing anything heavy.

    ``languages`` are ISO 639-1 codes of the languages that can be read; empty if that does not apply. ``size_bytes`` is
    the size of the model on disk. ``notice`` is a line for the user before the run: it will be slower than it could be,
    or something that is here cannot be used.
    """

    available: bool
    model: str = ""
    model_version: str = ""
    reason: str = ""
    remedy: str = ""
    languages: tuple[str, ...] = ()
    size_bytes: int = 0
    notice: str = ""


Answer = Any
"""A value of ``imgtool.types.VALUE_TYPES[task]`` (``bytes`` for a thumbnail)."""


class Analyzer(ABC):
    """One way to answer a task. Constructed in the worker with what ``parameters`` made in the parent."""

    spec: ClassVar[AnalyzerSpec]

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters_given = parameters
        self.label = self.spec.name
        """Its name in messages: a second implementation of the same name also has its backend in it."""

    @classmethod
    @abstractmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Whether this analyzer can run here, and if not why and what to do. Must take a few milliseconds at most."""

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """All options that can change an answer, as JSON values. Part of the fingerprint."""
        return {}

    def import_libraries(self) -> None:  # noqa: B027 - optional to override
        """Import the slow libraries. Called before ``load``, to be measured separately.

        Errors are ignored: ``load`` raises them again, with a message.
        """

    @abstractmethod
    def load(self) -> None:
        """Load the model. Called before ``run``, and again before the next ``run`` after ``close``.

        Raises:
            imgtool.errors.ModelLoadFailed: with the cause and the remedy.
        """

    def warm_up(self) -> None:  # noqa: B027 - optional to override
        """Run once on a small made-up image, so that the first real one is not slower than later ones."""

    @abstractmethod
    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """Answer for each picture, in order; a picture that cannot be answered gets a :class:`Problem`."""

    def close(self) -> None:  # noqa: B027 - optional to override
        """Free what was loaded."""
