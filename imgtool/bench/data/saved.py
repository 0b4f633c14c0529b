"""Experiments as files: written whole or not at all, read with a message for whatever a file can be instead."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from msgspec import DecodeError, ValidationError, convert, to_builtins

from imgtool.bench.data.record import Experiment, Memory, Sample
from imgtool.errors import ExitCode, ImgtoolError, OutputNotWritable, UsageProblem
from imgtool.files import write_atomically
from imgtool.formats.clean import well_formed_tree
from imgtool.ground.versioned import decode, encode

_AGAIN = "measure it again with `imgtool bench --save FILE`"
_UNITS = {"time": "seconds", "memory": "bytes"}
_LONGEST, _LARGEST = 1e8, 1e15
"""Three years in seconds, a petabyte: more is no figure of a benchmark, and squares of much more are no number."""

HashableT = TypeVar("HashableT", bound=Hashable)


class BaselineUnusable(UsageProblem):
    """A saved experiment that cannot be read, or cannot be compared with."""


def load_experiment(path: Path) -> Experiment:
    """The experiment that was saved at ``path``.

    Raises:
        BaselineUnusable: there is none: nothing there, no access, cut off, of another tool or schema, without a run,
            or with what no benchmark measures.
    """
    try:
        experiment = decode(path.read_bytes(), Experiment)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValidationError as error:
        raise BaselineUnusable(f"{path} is no saved experiment: {_sentence(error)}", _AGAIN) from error
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BaselineUnusable(f"{path} is cut off or no JSON: {_sentence(error)}", _AGAIN) from error
    except ValueError as error:
        remedy = f"{_AGAIN}, or read it with the imgtool that wrote it"
        raise BaselineUnusable(f"{path} cannot be used: {error}", remedy) from error
    _require_runs(path, experiment)
    _require_sense(path, experiment)
    return experiment


def encoded(experiment: Experiment) -> bytes:
    """``experiment`` as JSON. A byte that is no text, as a command line can bring, becomes U+FFFD."""
    try:
        return encode(experiment)
    except UnicodeEncodeError:
        return encode(convert(well_formed_tree(to_builtins(experiment)), Experiment))


def save_experiment(path: Path, experiment: Experiment) -> None:
    """Write ``experiment`` to ``path``; what was there stays until the new file is complete.

    Raises:
        OutputNotWritable: the folder or the disk does not allow it.
    """
    try:
        write_atomically(path, encoded(experiment))
    except OSError as error:
        raise OutputNotWritable(f"{path} cannot be written: {error.strerror or error}", "name another file") from error
    except ImgtoolError as error:
        if error.exit_code is not ExitCode.NOT_WRITABLE:
            raise
        raise OutputNotWritable(str(error), "make room or mend its permissions, or name a file elsewhere") from error


def _require_runs(path: Path, experiment: Experiment) -> None:
    names = {arm.name for arm in experiment.arms}
    strange = sorted({sample.arm for sample in experiment.samples} - names)
    if strange:
        raise BaselineUnusable(f"{path} has runs of an arm that it does not describe: {strange[0]}", _AGAIN)
    if not any(sample.run >= 0 and sample.error is None for sample in experiment.samples):
        raise BaselineUnusable(f"{path} holds no run that succeeded", _AGAIN)


def _require_sense(path: Path, experiment: Experiment) -> None:
    """A file that somebody edited or put together is refused before anything is measured to be compared with it."""
    if found := next(_nonsense(experiment), None):
        raise BaselineUnusable(f"{path} {found}", _AGAIN)


def _nonsense(experiment: Experiment) -> Iterator[str]:
    """What would be miscounted or is no figure, in words that follow the file's name."""
    for what, unit in _UNITS.items():
        if (given := experiment.units.get(what)) != unit:
            yield f"gives {what} in {given or 'nothing'}, not in {unit}"
    for name in _twice(arm.name for arm in experiment.arms):
        yield f"describes the arm {name} twice"
    for arm, state, run in _twice((s.arm, s.page_cache.value, s.run) for s in experiment.samples if s.run >= 0):
        yield f"has run {run + 1} of {arm} twice ({state} page cache)"
    if not 0 <= experiment.machine.memory_bytes <= _LARGEST:
        yield "was measured on a machine of no possible memory"
    for sample in experiment.samples:
        run_text = "the warm-up run" if sample.run < 0 else f"run {sample.run + 1}"
        for name, value in _impossible(sample):
            yield f"has no possible figure in {run_text} of {sample.arm}: {name} is {_shown(value)}"


def _twice(names: Iterable[HashableT]) -> Iterator[HashableT]:
    seen: set[HashableT] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _impossible(sample: Sample) -> Iterator[tuple[str, float]]:
    """Figures that nothing can have, by name; a failed sample has no figure."""
    if sample.error is not None:
        return
    for name in ("wall", "startup", "first_result", "steady"):
        if (seconds := getattr(sample, name)) is not None and not 0 < seconds <= _LONGEST:
            yield name, seconds
    for phase in sample.phases:
        yield from ((phase.name, end) for end in (phase.began, phase.seconds) if not abs(end) <= _LONGEST)
    if sample.memory is not None:
        yield from ((name, size) for name, size in _sizes(sample.memory) if not 0 <= size <= _LARGEST)


def _sizes(memory: Memory) -> Iterator[tuple[str, int]]:
    for record in (memory, *memory.steps):
        yield from ((name, size) for name, size in to_builtins(record).items() if isinstance(size, int))


def _shown(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e308 else f"{'-' if value < 0 else ''}1e+308 or more"


def _unreadable(path: Path, error: OSError) -> BaselineUnusable:
    if isinstance(error, FileNotFoundError):
        return BaselineUnusable(f"{path} does not exist", "make it with `imgtool bench --save FILE`")
    return BaselineUnusable(f"{path} cannot be read: {error.strerror or error}", "name a file that can be read")


def _sentence(error: Exception) -> str:
    text = str(error).removeprefix("JSON is ")
    return text[:1].lower() + text[1:]
