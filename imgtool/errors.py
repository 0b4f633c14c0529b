"""Failures a user can cause: each has its own class, exit code and remedy.

Only ``imgtool.cli.boundary`` turns one into a message and an exit. A failure that concerns one image is not an
exception but a :class:`imgtool.types.Problem` in that image's result.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line; ``meaning`` is the row of the README's table."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "every image was answered"
    INTERNAL = 1, "internal error: a bug in imgtool"
    USAGE = 2, "wrong usage or configuration"
    SOME_FAILED = 3, "some images failed or were answered in part"
    NONE_ANSWERED = 4, "no image was answered, or none was found"
    MODEL_MISSING = 5, "a model is missing or could not be loaded, and nothing could stand in"
    NOT_WRITABLE = 6, "the output or the cache cannot be written"
    REGRESSION = 7, "a benchmark regressed"
    INCONCLUSIVE = 8, "a benchmark was inconclusive"
    INTERRUPTED = 130, "interrupted; what was done is kept"


class ImgtoolError(Exception):
    """Base of every failure that ends a command. ``str()`` is the message; ``remedy`` says what to do."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for a name that does not exist: the most similar one that does, or all of them."""
    from difflib import get_close_matches

    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"the nearest name, {near[0]!r}" if near else f"one of {', '.join(names)}"


class UsageProblem(ImgtoolError):
    """Options that make no sense together or an argument that cannot be read."""

    exit_code = ExitCode.USAGE


class SandboxUnavailable(UsageProblem):
    """``--sandbox on`` where workers cannot be restricted."""


class ConfigProblem(UsageProblem):
    """A configuration file or an environment variable that cannot be used."""


class UnknownKey(ConfigProblem):
    """A configuration key that does not exist; the message names the nearest one."""


class PathMissing(UsageProblem):
    """A path, glob or list file that the user named does not exist."""


class NoImages(ImgtoolError):
    """Nothing to do: no image was found under what was given."""

    exit_code = ExitCode.NONE_ANSWERED


class ModelMissing(ImgtoolError):
    """A task has no analyzer that could answer it here."""

    exit_code = ExitCode.MODEL_MISSING


class ModelLoadFailed(ImgtoolError):
    """A model is there but could not be loaded."""

    exit_code = ExitCode.MODEL_MISSING


class LabelsMismatch(ModelLoadFailed):
    """The labels file has another number of lines than the classifier has classes."""


class ModelNotUsable(ModelLoadFailed):
    """A model file that is none, or whose inputs and outputs are not those of its kind."""


class OutputNotWritable(ImgtoolError):
    """The output file, its folder or the result store cannot be written."""

    exit_code = ExitCode.NOT_WRITABLE


class StoreNotWritable(ImgtoolError):
    """The model store or an upstream cache cannot be written: no space, no permission, read-only."""

    exit_code = ExitCode.NOT_WRITABLE


class MissingExtra(UsageProblem):
    """A format or option needs an optional dependency; the remedy names the extra."""


class TooManyFailures(ImgtoolError):
    """The run was stopped by ``--fail-fast`` or ``--max-failure-rate``."""

    exit_code = ExitCode.SOME_FAILED


class EngineClosed(ImgtoolError):
    """An engine that was closed is asked, or was closed before it could answer."""


class QueueFull(ImgtoolError):
    """More is waiting for an engine than it accepts: ask again later."""


class NotKept(ImgtoolError):
    """An answer is asked for by the hash of its image, and the result store does not have it."""


class Cancelled(ImgtoolError):
    """A request was cancelled before it was answered."""


class SourceProblem(UsageProblem):
    """What was given as an image is of no kind that an engine takes."""


class WorkerUnusable(ImgtoolError):
    """The worker process cannot even be started."""

    exit_code = ExitCode.MODEL_MISSING


class ClusterUnavailable(ImgtoolError):
    """A cluster cannot be reached, does not let imgtool in, or has no node that is free."""

    exit_code = ExitCode.USAGE


class ClusterMismatch(ClusterUnavailable):
    """The cluster runs another version of Ray or of Python."""


class NoUsableNode(ImgtoolError):
    """Every node of the cluster was refused: it lacks models, or would answer otherwise."""

    exit_code = ExitCode.MODEL_MISSING


class ClusterLost(ImgtoolError):
    """The cluster was lost in the middle of a run. What was answered is kept."""

    exit_code = ExitCode.SOME_FAILED
