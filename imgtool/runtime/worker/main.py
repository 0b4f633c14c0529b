"""The worker process: owns the models, decodes the files, and may die without taking the run along."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import BinaryIO

from imgtool import trace
from imgtool.runtime import protocol
from imgtool.runtime.protocol import Batch, Ready, Setup, Stop, ToWorker, WarmUp
from imgtool.runtime.worker.work import LockedSend, Send, Work


def main(*, ahead: str = "") -> None:
    """Run until told to stop or the parent is gone. ``ahead`` names a library that nearly every run of this kind needs:
    the parent is not that far yet, so there is time to import it."""
    trace.process_started("worker")
    reader, writer = _claim_channel()
    if ahead:
        threading.Thread(target=_import_ahead, args=(ahead,), name="import-ahead", daemon=True).start()
    send = LockedSend(lambda message: protocol.write(writer, message))
    send(Ready(pid=os.getpid()))
    setup = protocol.read_to_worker(reader)
    if isinstance(setup, Setup):
        _serve(reader, setup, send)
    trace.process_ends()
    # The interpreter's own shutdown can hang or crash in native libraries' destructors; all is said and flushed.
    sys.stderr.flush()
    os._exit(0)


def _import_ahead(library: str) -> None:
    with trace.span("imports", "start"), suppress(ImportError):
        import_module(library)


def _claim_channel() -> tuple[BinaryIO, BinaryIO]:
    """Take stdin and stdout for the protocol and give libraries a stdout that cannot harm it.

    Done at file-descriptor level: native code and progress bars write to descriptor 1 whatever ``sys.stdout`` is.
    """
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return reader, writer


def _serve(reader: BinaryIO, setup: Setup, send: Send) -> None:
    inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
    with trace.span("imports", "start"):
        work = Work(setup, send)
    threading.Thread(target=_receive, args=(reader, inbox, work), name="receive", daemon=True).start()
    try:
        serve(inbox, work)
    except BrokenPipeError:
        os._exit(0)


def serve(inbox: queue.SimpleQueue[ToWorker], work: Work) -> None:
    """Do what comes out of ``inbox`` until ``Stop``; batches in it were already announced to ``work``."""
    work.prepare()
    while True:
        try:
            message = inbox.get(timeout=work.unload_idle())
        except queue.Empty:
            continue
        if isinstance(message, Stop):
            work.close()
            return
        if isinstance(message, Batch):
            work.run(message)
        elif isinstance(message, WarmUp):
            work.warm_up()


def _receive(reader: BinaryIO, inbox: queue.SimpleQueue[ToWorker], work: Work) -> None:
    while (message := protocol.read_to_worker(reader)) is not None:
        if isinstance(message, Batch):
            work.expect(message)
        inbox.put(message)
        if isinstance(message, Stop):
            return
    # End of stream without a Stop: the parent was killed. Nobody will read what would still be computed, nor what
    # programs that were started for it would say: the worker leads a session, and takes all of it along.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
