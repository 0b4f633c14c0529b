"""Experiments as files: written whole or not at all, read with a message for whatever a file can be instead."""

from __future__ import annotations

from pathlib import Path

from msgspec import DecodeError, ValidationError

from imgtool.bench.record import Experiment
from imgtool.errors import ExitCode, ImgtoolError, OutputNotWritable, UsageProblem
from imgtool.models.atomic import write_atomically
from imgtool.versioned import decode, encode

_AGAIN = "measure it again with `imgtool bench --save FILE`"


class BaselineUnusable(UsageProblem):
    """A saved experiment that cannot be read, or cannot be compared with."""


def load_experiment(path: Path) -> Experiment:
    """The experiment that was saved at ``path``.

    Raises:
        BaselineUnusable: there is none: nothing there, no access, cut off, of another tool or schema, without a run.
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
    return experiment


def save_experiment(path: Path, experiment: Experiment) -> None:
    """Write ``experiment`` to ``path``; what was there stays until the new file is complete.

    Raises:
        OutputNotWritable: the folder or the disk does not allow it.
    """
    try:
        write_atomically(path, encode(experiment))
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


def _unreadable(path: Path, error: OSError) -> BaselineUnusable:
    if isinstance(error, FileNotFoundError):
        return BaselineUnusable(f"{path} does not exist", "make it with `imgtool bench --save FILE`")
    return BaselineUnusable(f"{path} cannot be read: {error.strerror or error}", "name a file that can be read")


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
