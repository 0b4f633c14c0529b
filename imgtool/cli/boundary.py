"""The one place where a failure becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from imgtool.cli.console import Messages, say
from imgtool.cli.log_format import is_json, traceback_lines
from imgtool.errors import ExitCode, ImgtoolError, StoreNotWritable
from imgtool.formats.sink import ReaderGone
from imgtool.ground.home import mended_by

_OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EIO}
_ACCESS_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS}
_RESUMES = {"analyze", "warm-cache"}
"""Commands that keep what was finished when they are interrupted."""


def end_politely_on_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: cleaned up, and what was finished is kept."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Whoever started us may have chosen to ignore it, as nohup does.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)


@contextmanager
def boundary(*, verbose: bool = False) -> Iterator[None]:
    """Run a command's body: errors leave as message and exit code; a traceback only with ``verbose``.

    Raises:
        typer.Exit: with the exit code, unless the body ended without one.
    """
    code: int | None = None
    try:
        yield
    except typer.Exit as ended:
        code = ended.exit_code
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - this is where all of them end
        code = _explain(error, verbose)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        lost = output_lost(error)
        code = code or lost  # a verdict stands
    if code is not None:
        raise typer.Exit(code)


def _explain(error: KeyboardInterrupt | Exception, verbose: bool) -> ExitCode:
    """Say what went wrong, and what to do; returns the exit code that it deserves."""
    if isinstance(error, KeyboardInterrupt):
        kept = not _RESUMES.isdisjoint(sys.argv[1:2])
        remedy = "run the same command again: what was finished is kept" if kept else ""
        Messages().error("interrupted", remedy, code="interrupted", exit_code=ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    if isinstance(error, ImgtoolError):
        lines = traceback_lines(error) if verbose else None
        if lines is not None and not is_json():
            say("\n".join(lines) + "\n")
        Messages().error(str(error), error.remedy, code=_code(error), exit_code=error.exit_code, traceback=lines)
        return error.exit_code
    if (code := output_lost(error)) is not None:
        return code
    if isinstance(error, OSError) and (denied := _denied(error)) is not None:
        denied.__cause__ = error
        return _explain(denied, verbose)
    if verbose and not is_json():
        raise error
    Messages().error(
        f"internal error: {type(error).__name__}: {error}",
        "this is a bug in imgtool: run again with --verbose and report the traceback",
        code="internal",
        exit_code=ExitCode.INTERNAL,
        traceback=traceback_lines(error) if verbose else None,
    )
    return ExitCode.INTERNAL


def _code(error: ImgtoolError) -> str:
    """``model_missing`` for ``ModelMissing``: what programs know a failure by."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def _denied(error: OSError) -> StoreNotWritable | None:
    """``error`` with a remedy, if it says that the system does not let this user at a file, or at any."""
    if error.errno in _ACCESS_ERRORS and isinstance(error.filename, (str, bytes)):
        name, read_only = os.fsdecode(error.filename), error.errno == errno.EROFS
        return StoreNotWritable(f"{name}: {error.strerror}", mended_by(name, read_only=read_only))
    if "No usable temporary directory" in str(error):
        return StoreNotWritable("there is no folder for temporary files", "name one: `export TMPDIR=/dev/shm`")
    return None


@contextmanager
def verdict(code: ExitCode) -> Iterator[None]:
    """Print the reasons for ``code``. Unless it is 0 it stands even if stdout is a closed pipe or its disk is full."""
    try:
        yield
    except OSError as error:
        if code is ExitCode.OK or output_lost(error) is None:
            raise


def output_lost(error: Exception) -> ExitCode | None:
    """The exit code if ``error`` means that stdout cannot be written; ``None`` if it means something else.

    A full disk is a failure, and is reported. A reader that has gone, such as ``head``, has seen enough: exit code 0.
    """
    if isinstance(error, (BrokenPipeError, ReaderGone)):
        code = ExitCode.OK
    elif isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS:
        code = ExitCode.NOT_WRITABLE
        Messages().error(
            f"the output cannot be written: {error.strerror}",
            "free some space, or write elsewhere",
            code="output_not_writable",
            exit_code=code,
        )
    else:
        return None
    # Without this the interpreter's own flush at exit would complain once more.
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
