"""What this process holds of the machine's memory, and giving back what it no longer needs."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psutil

from imgtool import trace
from imgtool.runtime.protocol import TOO_MUCH_MEMORY

_LOOK_SECONDS = 0.05


class Held(NamedTuple):
    """Bytes: the resident set, and what of it is the process's own, not a mapped file (0 where unknown)."""

    rss: int
    anon: int


def held() -> Held:
    """What this process holds now; zeros where the system does not tell."""
    try:
        return Held(int(psutil.Process().memory_info().rss), trace.memory().get("anon", 0))
    except (OSError, psutil.Error):
        return Held(0, 0)


def give_back() -> None:
    """Free what nothing refers to, and have glibc return it to the machine: by itself it keeps much of it for later."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def bounded(most: int | None) -> Iterator[None]:
    """End this process, with ``TOO_MUCH_MEMORY``, as soon as it holds ``most`` bytes more than at the beginning.

    For calls of libraries that cannot be stopped otherwise. Mapped files do not count where they are told apart.
    ``None`` is without a limit.
    """
    if most is None:
        yield
        return

    def own() -> int:
        # Models that are mapped meanwhile are not what the call takes.
        found = held()
        return found.anon or found.rss

    limit, over = own() + most, threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if own() > limit:
                os._exit(TOO_MUCH_MEMORY)

    watcher = threading.Thread(target=watch, name="watch-memory", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
