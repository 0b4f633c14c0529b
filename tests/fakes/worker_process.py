"""A program that speaks a worker's side of the protocol and does what its first argument says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from imgtool.runtime import protocol
from imgtool.runtime.protocol import Batch, BatchDone, Ready, Setup, Stop


def start_doing(what: str) -> subprocess.Popen[bytes]:
    """Start it, as :func:`imgtool.runtime.start_process.start` starts a worker."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.worker_process", what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def main(what: str) -> None:
    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    if what == "ignore":
        time.sleep(3600)
    setup = protocol.read_to_worker(reader)
    assert isinstance(setup, Setup)
    protocol.write(writer, Ready(pid=os.getpid()))
    if what in ("garbage", "huge"):
        writer.write(b"\0\0\0\5hello" if what == "garbage" else b"\xff\xff\xff\xff")
        writer.flush()
        time.sleep(3600)
    if (prepare := _BEFORE.get(what)) is not None:
        prepare()
    while not isinstance(message := protocol.read_to_worker(reader), Stop | None):
        if isinstance(message, Batch):
            protocol.write(writer, BatchDone(batch=message.id, rss_bytes=1))
    if what == "stay":
        time.sleep(3600)


def _talk() -> None:
    for number in range(30):
        print(f"line {number}", file=sys.stderr)
    os.write(2, b"no \xff UTF-8\n")


def _start_a_child() -> None:
    child = subprocess.Popen(["sleep", "3600"])
    print(child.pid, file=sys.stderr, flush=True)


def _close_the_channel() -> None:
    os.close(1)
    time.sleep(3600)


_BEFORE = {
    "talk": _talk,
    "child": _start_a_child,
    "deaf": _close_the_channel,
    "die": lambda: os.kill(os.getpid(), signal.SIGSEGV),
}


if __name__ == "__main__":
    main(sys.argv[1])
