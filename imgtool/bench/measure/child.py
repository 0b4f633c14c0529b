"""Functions run in fresh processes: one JSON object in, one out.

What is measured so starts from an interpreter that has done nothing before, and leaves nothing in the process that
reports.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import msgspec

from imgtool.errors import ExitCode, ImgtoolError
from imgtool.ground.fresh import python_calling
from imgtool.runtime.process import describe_exit

_TAIL_CHARACTERS = 2000
_Request = TypeVar("_Request", bound=msgspec.Struct)
_Reply = TypeVar("_Reply")


class ChildFailed(ImgtoolError):
    """A process that was to measure something crashed, hung, or failed with a message."""

    def __init__(self, message: str, remedy: str = "", exit_code: ExitCode = ExitCode.INTERNAL) -> None:
        super().__init__(message, remedy)
        self.exit_code = exit_code


class _Envelope(msgspec.Struct):
    """What the function returned, or the error that it raised."""

    value: Any = None
    message: str | None = None
    remedy: str = ""
    exit_code: int = 0


def ask(
    function: Callable[[_Request], object], request: _Request, reply: type[_Reply], *, timeout: float = 3600.0
) -> _Reply:
    """Call ``function``, which is at the top of its module, with ``request`` in a fresh process; its answer as
    ``reply``.

    ``timeout`` is seconds.

    Raises:
        ChildFailed: the process died, took too long, or the function raised.
    """
    name = f"the process for {function.__name__.replace('_', ' ')}"
    process = subprocess.Popen(
        python_calling(answer, function),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(msgspec.json.encode(request), timeout=timeout)
    except BaseException as error:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ChildFailed(f"{name} did not finish within {timeout:.0f} s", "raise --timeout") from None
        raise
    try:
        envelope = msgspec.json.decode(out, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        tail = err.decode("utf-8", "replace").strip()[-_TAIL_CHARACTERS:]
        message = f"{name} {describe_exit(process.returncode)}" + (f":\n{tail}" if tail else "")
        raise ChildFailed(message, "see what it said; check the memory left") from None
    if envelope.message is not None:
        code = next(member for member in ExitCode if member == envelope.exit_code)
        raise ChildFailed(envelope.message, envelope.remedy, code)
    return msgspec.convert(envelope.value, reply)


def answer(function: Callable[[Any], object]) -> None:
    """The child's side: read the request, call the function, write what it returned, leave."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries that print must not spoil the reply
    request_type = next(kind for parameter, kind in get_type_hints(function).items() if parameter != "return")
    try:
        request = msgspec.json.decode(sys.stdin.buffer.read(), type=request_type)
        envelope = _Envelope(value=msgspec.to_builtins(function(request)))
    except ImgtoolError as error:
        envelope = _Envelope(message=str(error), remedy=error.remedy, exit_code=int(error.exit_code))
    out.write(msgspec.json.encode(envelope))
    out.close()
