"""Which images this process is computing, so that others that share the cache take different ones meanwhile.

A claim is a lock on one byte of an empty file. Nothing is written, and the system gives a lock up when its process
ends, however it ends.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

FILE = "claims.lock"

_PLACES = 1 << 62


class Claims:
    """The claims of one process. Without locks (Windows, some network file systems, a cache that may only be read)
    nothing is ever claimed by another, and work is done twice. No method raises. For one thread."""

    def __init__(self, root: Path) -> None:
        self._file = root / FILE
        self._descriptor: int | None = None
        self._unusable = False

    def take(self, keys: Sequence[str]) -> set[str]:
        """Claim images; those that another process has claimed."""
        if self._descriptor is None and not self._unusable:
            try:
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError:
                self._unusable = True
        return {key for key in keys if not self._lock(key)}

    def release(self, keys: Iterable[str]) -> None:
        """Give claims up."""
        if self._descriptor is not None:
            import fcntl

            for key in keys:
                with suppress(OSError):
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _place(key))

    def close(self) -> None:
        """Give all claims up."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _lock(self, key: str) -> bool:
        """Whether nobody else has it."""
        if self._descriptor is None:
            return True
        try:
            import fcntl

            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):  # the two that POSIX allows for a lock that is taken
            return False
        except (OSError, ImportError):
            self._unusable = True
            self.close()
        return True


def _place(key: str) -> int:
    return (
        int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") % _PLACES
    )
