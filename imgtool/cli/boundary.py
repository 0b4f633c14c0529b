"""The one place where a failure becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import typer

from imgtool.cli.console import Messages
from imgtool.errors import ExitCode, ImgtoolError

_OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EIO}


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
    """Run a command's body: errors leave as message and exit code; a traceback only with ``verbose``."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except ImgtoolError as error:
        _explain(error, verbose)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        Messages().error("interrupted", _after_interrupt(sys.argv))
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        _close_stdout()
        raise typer.Exit(ExitCode.OK) from None
    except typer.Exit:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS:
            Messages().error(f"the output cannot be written: {error.strerror}", "free some space, or write elsewhere")
            _close_stdout()
            raise typer.Exit(ExitCode.NOT_WRITABLE) from None
        if verbose:
            raise
        Messages().error(
            f"internal error: {type(error).__name__}: {error}",
            "this is a bug in imgtool: run again with --verbose and report the traceback",
        )
        raise typer.Exit(ExitCode.INTERNAL) from None


def _after_interrupt(words: Sequence[str]) -> str:
    """What a command that was interrupted has left to build on."""
    resumes = {"analyze", "warm-cache"}
    return "run the same command again: what was finished is kept" if resumes & set(words[1:2]) else ""


def _explain(error: ImgtoolError, verbose: bool) -> None:
    if verbose:
        import traceback

        traceback.print_exception(error)
    Messages().error(str(error), error.remedy)


def _close_stdout() -> None:
    # The reader is gone; without this the interpreter's own flush at exit would complain once more.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
