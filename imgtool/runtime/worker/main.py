"""The worker process: owns the models, decodes the files, and may die without taking the run along."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from importlib.util import find_spec
from typing import BinaryIO, NoReturn

from imgtool import trace
from imgtool.runtime import protocol
from imgtool.runtime.protocol import Batch, FromWorker, Ready, Setup, Stop, ToWorker, WarmUp
from imgtool.runtime.scratch import hold
from imgtool.runtime.worker.batch_runner import BatchRunner, LockedSend


def main(*, ahead: str = "", restriction: tuple[bool, tuple[str, ...]] | None = None) -> None:
    """Run until told to stop or the parent is gone. ``ahead`` names a library that nearly every run of this kind needs:
    the parent is not that far yet, so there is time to import it. ``restriction`` is that of
    :class:`imgtool.runtime.start_process.Restriction`."""
    trace.process_started("worker")
    # Take stdin and stdout for the protocol and give libraries a stdout that cannot harm it. At file-descriptor level:
    # native code and progress bars write to descriptor 1 whatever ``sys.stdout`` is.
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    code = 0
    shared_is_there = threading.Event()
    try:
        if restriction is not None:
            with trace.span("sandbox", "start"):
                _restrict(*restriction)
        if ahead:
            given = (ahead, shared_is_there)
            threading.Thread(target=_import_ahead, args=given, name="import-ahead", daemon=True).start()
        send = LockedSend(lambda message: _say(writer, message))
        send(Ready(pid=os.getpid()))
        setup = protocol.read_to_worker(reader)
        if isinstance(setup, Setup):
            inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
            if ahead:
                shared_is_there.wait()
            with trace.span("imports", "start"):
                runner = BatchRunner(setup, send)
            threading.Thread(target=_receive, args=(reader, inbox, runner), name="receive", daemon=True).start()
            serve(inbox, runner)
    except BaseException:  # noqa: BLE001 - whatever it is, the process ends, and its last words say why
        code = 1
        traceback.print_exc()
    _end(code)


def _restrict(required: bool, writable: tuple[str, ...]) -> None:
    """Do without what only an attacker needs, before there is a second thread.

    Raises:
        OSError: it is ``required``, and the kernel refuses.
    """
    from imgtool.ground import sandbox

    if not required and not (sandbox.support().complete and _imports_are_compiled()):
        return
    for folder in writable:
        with suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib is slow to import
    more = os.environ.get(sandbox.WRITABLE_VARIABLE, "").split(os.pathsep)
    if scratch := hold():
        os.environ["TMPDIR"] = scratch
        more.append(scratch)
    try:
        sandbox.restrict((*writable, *filter(None, more)))
    except sandbox.SandboxRefused:
        if required:
            raise


def _imports_are_compiled() -> bool:
    """Whether Python keeps the bytecode of what a worker imports. Where it does not yet, a restricted worker could not
    write it, and every worker would compile again what it imports: the first one is left to do that."""
    if sys.dont_write_bytecode:
        return True
    places = [find_spec(name) for name in ("numpy", "PIL", f"{__package__}.decode")]
    return all(place is None or not place.cached or os.path.exists(place.cached) for place in places)  # noqa: PTH110


def _end(code: int) -> NoReturn:
    trace.process_ends()
    # The interpreter's own shutdown can hang or crash in native libraries' destructors; all is said and flushed.
    sys.stderr.flush()
    os._exit(code)


def _say(writer: BinaryIO, message: FromWorker) -> None:
    """Tell the parent something, from any thread. Where that fails the process ends: it is no fault of a model."""
    try:
        protocol.write(writer, message)
    except BrokenPipeError:  # the parent is gone
        _end(0)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        _end(1)


def _import_ahead(library: str, shared_is_there: threading.Event) -> None:
    # Whoever needs it will import it once more, and find out what is wrong with it. numpy comes first and alone: its
    # modules import each other in circles, and where two threads import them at once one of them gets half a module.
    # `-X importtime` does not see what importlib.import_module is called with.
    with trace.span("imports", "start"):
        with suppress(Exception):
            __import__("numpy")
        shared_is_there.set()
        with suppress(Exception):
            __import__(library)


def serve(inbox: queue.SimpleQueue[ToWorker], runner: BatchRunner) -> None:
    """Do what comes out of ``inbox`` until ``Stop``; batches in it were already announced to ``runner``."""
    runner.prepare()
    while True:
        try:
            message = inbox.get(timeout=runner.unload_idle())
        except queue.Empty:
            continue
        if isinstance(message, Stop):
            runner.close()
            return
        if isinstance(message, Batch):
            runner.run(message)
        elif isinstance(message, WarmUp):
            runner.warm_up()


def _receive(reader: BinaryIO, inbox: queue.SimpleQueue[ToWorker], runner: BatchRunner) -> None:
    try:
        while (message := protocol.read_to_worker(reader)) is not None:
            if isinstance(message, Batch):
                runner.expect(message)
            inbox.put(message)
            if isinstance(message, Stop):
                return
    except Exception:  # noqa: BLE001 - nothing would ever come again: better to end than to stand still
        traceback.print_exc()
        os._exit(1)
    # End of stream without a Stop: the parent was killed. Nobody will read what would still be computed, nor what
    # programs that were started for it would say: the worker leads a session, and takes all of it along.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
