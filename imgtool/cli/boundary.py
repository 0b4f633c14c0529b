"""The one place where a failure becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from imgtool.cli.console import Messages
from imgtool.errors import ExitCode, ImgtoolError


@contextmanager
def boundary(*, verbose: bool = False) -> Iterator[None]:
    """Run a command's body: errors leave as message and exit code; a traceback only with ``verbose``."""
    try:
        yield
    except ImgtoolError as error:
        _explain(error, verbose)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        Messages().error("interrupted", "run the same command again: what was finished is kept")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        _close_stdout()
        raise typer.Exit(ExitCode.OK) from None
    except typer.Exit:
        raise
    except Exception as error:
        if verbose:
            raise
        Messages().error(
            f"internal error: {type(error).__name__}: {error}",
            "this is a bug in imgtool: run again with --verbose and report the traceback",
        )
        raise typer.Exit(ExitCode.INTERNAL) from None


def _explain(error: ImgtoolError, verbose: bool) -> None:
    if verbose:
        import traceback

        traceback.print_exception(error)
    Messages().error(str(error), error.remedy)


def _close_stdout() -> None:
    # The reader is gone; without this the interpreter's own flush at exit would complain once more.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
