"""Experiments as files: written whole or not at all; whatever else a file can contain is refused with a message."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from msgspec import DecodeError, ValidationError, convert, to_builtins

from imgtool.bench.data.record import Experiment, RunSample
from imgtool.errors import UsageProblem
from imgtool.files import write_output
from imgtool.formats.clean import well_formed_tree
from imgtool.ground.versioned import decode, encode

_AGAIN = "measure it again with `imgtool bench --save FILE`"
_UNITS = {"time": "seconds", "memory": "bytes"}
_LONGEST, _LARGEST = 1e8, 1e15
"""Three years in seconds, a petabyte: larger figures are not from a benchmark, and their squares may overflow."""

HashableT = TypeVar("HashableT", bound=Hashable)


class BaselineUnusable(UsageProblem):
    """A saved experiment that cannot be read, or cannot be compared with."""


def load_experiment(path: Path) -> Experiment:
    """The experiment that was saved at ``path``.

    Raises:
        BaselineUnusable: there is none, it cannot be read, or it is invalid: cut off, of another tool or schema,
        without
            a run that succeeded, or with impossible figures.
    """
    try:
        experiment = decode(path.read_bytes(), Experiment)
    except FileNotFoundError as error:
        raise BaselineUnusable(f"{path} does not exist", "make it with `imgtool bench --save FILE`") from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise BaselineUnusable(message, "name a file that can be read") from error
    except ValidationError as error:
        raise BaselineUnusable(f"{path} is not a saved experiment: {_sentence(error)}", _AGAIN) from error
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BaselineUnusable(f"{path} is cut off or not JSON: {_sentence(error)}", _AGAIN) from error
    except ValueError as error:
        remedy = f"{_AGAIN}, or read it with the imgtool that wrote it"
        raise BaselineUnusable(f"{path} cannot be used: {error}", remedy) from error
    if problem := next(_problems(experiment), None):
        raise BaselineUnusable(f"{path} {problem}", _AGAIN)
    return experiment


def encoded(experiment: Experiment) -> bytes:
    """``experiment`` as JSON. A byte of a command line that is not UTF-8 becomes U+FFFD."""
    try:
        return encode(experiment)
    except UnicodeEncodeError:
        return encode(convert(well_formed_tree(to_builtins(experiment)), Experiment))


def save_experiment(path: Path, experiment: Experiment) -> None:
    """Write ``experiment`` to ``path``; what was there stays until the new file is complete.

    Raises:
        imgtool.errors.OutputNotWritable: the folder or the disk does not allow it.
    """
    write_output(path, encoded(experiment))


def _problems(experiment: Experiment) -> Iterator[str]:
    """What makes an experiment invalid, such as a file that was edited, in words that follow the file's name."""
    names = [arm.name for arm in experiment.arms]
    if unknown := sorted({sample.arm for sample in experiment.samples} - set(names)):
        yield f"has runs of an arm that it does not describe: {unknown[0]}"
    if not any(sample.run >= 0 and sample.error is None for sample in experiment.samples):
        yield "has no run that succeeded"
    for what, unit in _UNITS.items():
        if (given := experiment.units.get(what)) != unit:
            yield f"gives {what} in {given or 'nothing'}, not in {unit}"
    for name in _twice(names):
        yield f"describes the arm {name} twice"
    for arm, state, run in _twice((s.arm, s.page_cache.value, s.run) for s in experiment.samples if s.run >= 0):
        yield f"has run {run + 1} of {arm} twice ({state} page cache)"
    if not 0 <= experiment.machine.memory_bytes <= _LARGEST:
        yield "was measured on a machine with an impossible memory size"
    for sample in experiment.samples:
        where = f"the warm-up run of {sample.arm}" if sample.run < 0 else f"run {sample.run + 1} of {sample.arm}"
        for name, value in _impossible(sample):
            shown = f"{value:g}" if abs(value) < 1e308 else f"{'-' if value < 0 else ''}1e+308 or more"
            yield f"has an impossible figure in {where}: {name} is {shown}"


def _twice(names: Iterable[HashableT]) -> Iterator[HashableT]:
    seen: set[HashableT] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _impossible(sample: RunSample) -> Iterator[tuple[str, float]]:
    """Figures that nothing can have, by name; a failed sample has no figure."""
    if sample.error is not None:
        return
    for name in ("wall", "startup", "first_result", "steady"):
        if (seconds := getattr(sample, name)) is not None and not 0 < seconds <= _LONGEST:
            yield name, seconds
    for phase in sample.phases:
        yield from ((phase.name, end) for end in (phase.began, phase.seconds) if not abs(end) <= _LONGEST)
    for record in () if sample.memory is None else (sample.memory, *sample.memory.steps):
        for name, size in to_builtins(record).items():
            if isinstance(size, int) and not 0 <= size <= _LARGEST:
                yield name, size


def _sentence(error: Exception) -> str:
    text = str(error).removeprefix("JSON is ")
    return text[:1].lower() + text[1:]
