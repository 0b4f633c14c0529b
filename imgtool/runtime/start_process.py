"""Starting a worker's process, perhaps before anybody knows what it will be asked.

A process that was started ahead goes through its interpreter's start and its imports while the parent is still at its
own; whoever needs a worker next takes it. One that nobody takes ends with the parent: its stdin closes.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from typing import Any, NamedTuple

from imgtool import trace
from imgtool.ground.fresh import python_calling


class Restriction(NamedTuple):
    """What a worker's process must do without (:mod:`imgtool.ground.sandbox`), from its first moment on.

    ``required``: it ends where that is not possible; else it goes on. ``writable`` are folders that it may write to.
    """

    required: bool
    writable: tuple[str, ...] = ()

    def covers(self, other: Restriction | None) -> bool:
        """Whether a process under this restriction can be taken where ``other`` is asked for."""
        return other is not None and self.required == other.required and {*self.writable} >= {*other.writable}


_ahead: tuple[subprocess.Popen[bytes], Restriction | None] | None = None
_taking = threading.Lock()


def run_worker(*, ahead: str = "", restriction: tuple[bool, tuple[str, ...]] | None = None) -> None:
    """What the process calls. It stands here because this module is all that the one who starts it has to import."""
    from imgtool.runtime.worker.main import main

    main(ahead=ahead, restriction=restriction)


def start_ahead(library: str, restriction: Restriction | None = None) -> None:
    """Start a process now, for the first :func:`start` that asks for this ``restriction`` or a lesser one. It imports
    ``library`` until then."""
    global _ahead  # noqa: PLW0603 - one process has one head start
    with suppress(OSError):  # whoever needs a worker will try again, and say what is wrong
        if _ahead is None:
            _ahead = _start(restriction, ahead=library), restriction


def is_ahead() -> bool:
    """Whether a process was started ahead and nobody has taken it."""
    return _ahead is not None


def forget() -> None:
    """In a forked child: the process that was started ahead is the parent's."""
    global _ahead, _taking
    found, _ahead, _taking = _ahead, None, threading.Lock()
    if found is not None:
        forget_pipes(found[0])


def forget_pipes(process: subprocess.Popen[bytes]) -> None:
    """In a forked child: let go of the pipes to a process of the parent's, which must see when the parent is gone."""
    with open(os.devnull, "rb+", buffering=0) as nothing:
        for stream in (process.stdin, process.stdout, process.stderr):
            # Replaced and not closed: the stream would close the number once more, whatever that is by then.
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(nothing.fileno(), stream.fileno())  # type: ignore[union-attr]


def start(restriction: Restriction | None = None) -> subprocess.Popen[bytes]:
    """A worker's process: the one that was started ahead if it is restricted in the same way, or a new one.

    Raises:
        OSError: no process can be started.
    """
    global _ahead
    with _taking:
        found, _ahead = _ahead, None
    if found is not None:
        process, its = found
        if process.poll() is None and (its == restriction or (its is not None and its.covers(restriction))):
            return process
        _dismiss(process)
    return _start(restriction)


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    """End a process that nobody takes."""
    process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError, AttributeError):
            stream.close()  # type: ignore[union-attr]
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)


def _start(restriction: Restriction | None, **given: str) -> subprocess.Popen[bytes]:
    environment = trace.child_environment() or dict(os.environ)
    if os.uname().machine == "x86_64":
        # numpy's threads are of no use beside networks, and starting them takes a third of its import. On other
        # processors torch computes with OpenBLAS too.
        environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    named: dict[str, Any] = {**given} if restriction is None else {**given, "restriction": tuple(restriction)}
    return subprocess.Popen(
        python_calling(run_worker, **named),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C goes to the whole foreground group: the parent alone decides what it means.
        start_new_session=True,
        env=environment,
    )
