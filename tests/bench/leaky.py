"""An analyzer that keeps 100 kB of every image it has seen, in Python objects or in native memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

from imgtool.inference.picture import Picture
from tests.planted import Hazard, _spec

BYTES = 100_000


class Leaky(Hazard):
    """Keeps Python objects."""

    spec = _spec("leaky")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._kept: list[bytes] = []

    def _one(self, picture: Picture) -> str:
        self._kept.append(os.urandom(1) * BYTES)
        return "leaky"


class NativeLeaky(Hazard):
    """Allocates with malloc and forgets."""

    spec = _spec("native-leaky")

    def _one(self, picture: Picture) -> str:
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        ctypes.memset(libc.malloc(BYTES), 1, BYTES)
        return "leaky"


class Filling(Leaky):
    """Grows for its first calls, as caches and arenas do, and then no more."""

    spec = _spec("filling")

    def _one(self, picture: Picture) -> str:
        return super()._one(picture) if len(self._kept) < 30 else "full"


class Sound(Hazard):
    """Keeps nothing."""

    spec = _spec("sound")

    def _one(self, picture: Picture) -> str:
        return f"{len(os.urandom(1) * BYTES)}"
