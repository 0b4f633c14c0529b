"""What this process holds of the machine's memory, and giving back what it no longer needs."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from typing import NamedTuple

import psutil

from imgtool import trace


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
