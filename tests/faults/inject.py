"""Makes one call to the system fail, or never come back, in one process of a run: the first time that it is made there.

``FAULT_RECORD`` names a file in which every call is noted that the engine and the runtime make, once for each place.
``FAULT_AT`` is one of its lines and ``FAULT_ACTION`` is ``fail`` or ``stall``: then that call does so.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2])
ROOMS = tuple(f"{ROOT}/imgtool/{room}/" for room in ("engine", "runtime"))
FOREVER = 3600.0

_real_open, _real_write = os.open, os.write
_seen: set[str] = set()
_inside = threading.local()
_record = os.environ.get("FAULT_RECORD")
_at = os.environ.get("FAULT_AT")
_action = os.environ.get("FAULT_ACTION", "fail")
_once = threading.Lock()


def _role() -> str:
    return "worker" if "run_worker" in " ".join(sys.orig_argv) else "parent"


def _place() -> str | None:
    """The innermost line of ours that makes the call; ``None`` where it is not the engine's or the runtime's."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(f"{ROOT}/imgtool/"):
            if not file.startswith(ROOMS):
                return None
            return f"{file.removeprefix(ROOT + '/')}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _check(call: str) -> None:
    """Note a call, or make it go wrong."""
    if getattr(_inside, "busy", False):
        return
    _inside.busy = True
    try:
        place = _place()
        if place is None:
            return
        key = f"{_role()} | {threading.current_thread().name.split('_')[0]} | {call} | {place}"
        if _record is not None and key not in _seen:
            _seen.add(key)
            handle = _real_open(_record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            _real_write(handle, f"{key}\n".encode())
            os.close(handle)
        if key == _at and _once.acquire(blocking=False):
            # Once a run: whoever comes later, in whatever process, finds the mark.
            try:
                os.close(_real_open(os.environ["FAULT_DONE"], os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                return
            if _action == "stall":
                time.sleep(FOREVER)
            elif call.startswith("thread"):
                raise RuntimeError("can't start new thread")
            elif call.startswith("sqlite"):
                raise sqlite3.OperationalError("disk I/O error")
            else:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
    finally:
        _inside.busy = False


def _wrapped(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(*arguments: Any, **named: Any) -> Any:
        _check(call)
        return real(*arguments, **named)

    return faulty


class _File(io.FileIO):
    """A file whose reads may go wrong."""

    def readinto(self, buffer: Any) -> Any:
        _check("file.read")
        return super().readinto(buffer)

    def seek(self, *arguments: Any) -> int:
        _check("file.seek")
        return super().seek(*arguments)


def _open(real: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        _check("open")
        if mode == "rb" and isinstance(file, int):
            raw = _File(file, "rb", closefd=named.get("closefd", True))
            return raw if buffering == 0 else io.BufferedReader(raw)
        return real(file, mode, buffering, *more, **named)

    return faulty


class _Connection(sqlite3.Connection):
    """A database whose statements may go wrong."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        _check("sqlite.execute")
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        _check("sqlite.executemany")
        return super().executemany(*arguments)

    def close(self) -> None:
        _check("sqlite.close")
        super().close()


class _Loader:
    """Puts faults into the two ends of the pipe once their module is loaded."""

    @staticmethod
    def install() -> None:
        real = SourceFileLoader.exec_module

        def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
            real(self, module)
            if module.__name__ == "imgtool.runtime.protocol":
                for name in ("write", "read_to_worker", "read_from_worker"):
                    setattr(module, name, _wrapped(f"pipe.{name}", getattr(module, name)))

        SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign]


def install() -> None:
    """Put the faults in place."""
    if _record is None and _at is None:
        return
    for name in ("open", "stat", "fstat", "scandir", "lseek", "access", "readlink", "killpg", "dup", "dup2"):
        setattr(os, name, _wrapped(f"os.{name}", getattr(os, name)))
    builtins.open = io.open = _open(io.open)  # type: ignore[assignment]
    real_connect = sqlite3.connect

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        _check("sqlite.connect")
        return real_connect(*arguments, factory=_Connection, **named)

    sqlite3.connect = connect  # type: ignore[assignment]
    subprocess.Popen.__init__ = _wrapped("spawn", subprocess.Popen.__init__)  # type: ignore[method-assign]
    subprocess.Popen.wait = _wrapped("wait", subprocess.Popen.wait)  # type: ignore[method-assign]
    threading.Thread.start = _wrapped("thread.start", threading.Thread.start)  # type: ignore[method-assign]
    _Loader.install()
