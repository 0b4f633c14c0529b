"""Finding and identifying files beside the main loop, a bounded number ahead of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from imgtool import trace
from imgtool.engine.files.discover import ImageRef, Refused
from imgtool.engine.files.identity import FileChanged, Identity
from imgtool.types import Problem

_HASHING_THREADS = 4
_CHUNK = 64


@dataclass(frozen=True)
class Found:
    """File number ``seq`` of the run, and the SHA-256 of its bytes."""

    seq: int
    ref: ImageRef
    sha256: str


@dataclass(frozen=True)
class Unreadable:
    """File number ``seq`` of the run cannot be had."""

    seq: int
    path: str
    problem: Problem


@dataclass(frozen=True)
class Exhausted:
    """``count`` files were found and there are no more; ``error`` is what ended the listing early, if anything."""

    count: int
    error: Exception | None


IntakeEvent = Found | Unreadable | Exhausted


class Intake:
    """Lists and hashes in threads of its own, at most ``window`` files ahead of those that were ``released``.

    Events are posted in lists: files the stat index knows come by the thousand, and a queue operation each would
    cost more than the look-up.
    """

    def __init__(
        self,
        source: Iterable[ImageRef | Refused],
        identity: Identity,
        post: Callable[[list[IntakeEvent]], None],
        window: int,
    ) -> None:
        self._source = source
        self._identity = identity
        self._post = post
        self._room = threading.Semaphore(window)
        self._lock = threading.Lock()
        self._chunk: list[IntakeEvent] = []
        self._stopped = False
        self._hashers = ThreadPoolExecutor(max_workers=_HASHING_THREADS, thread_name_prefix="hash")
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def release(self, count: int) -> None:
        """Say that ``count`` more files are done with."""
        if count:
            self._room.release(count)

    def flush(self) -> None:
        """Post what has gathered; the main loop calls it when it has nothing to do."""
        with self._lock:
            chunk, self._chunk = self._chunk, []
        if chunk:
            self._post(chunk)

    def stop(self) -> None:
        """Find no more files. Returns at once: a listing that blocks on a pipe cannot be interrupted."""
        self._stopped = True
        self._room.release(_CHUNK)
        self._hashers.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        count, error = 0, None
        try:
            for count, entry in self._admitted():
                self._take_in(count - 1, entry)
        except Exception as problem:  # noqa: BLE001 - carried to the main loop, which raises it
            error = problem
        if not self._stopped:
            self._hashers.shutdown(wait=True)
            self._add(Exhausted(count, error))
            self.flush()

    def _admitted(self) -> Iterator[tuple[int, ImageRef | Refused]]:
        for number, entry in enumerate(self._source, start=1):
            if not self._room.acquire(blocking=False):
                self.flush()
                self._room.acquire()
            if self._stopped:
                return
            yield number, entry

    def _take_in(self, seq: int, entry: ImageRef | Refused) -> None:
        if isinstance(entry, Refused):
            self._add(Unreadable(seq, entry.path, entry.problem))
        elif (known := self._identity.lookup(entry)) is not None:
            self._add(Found(seq, entry, known))
        else:
            # Somebody may be waiting for the first image: what has to be read is passed on at once.
            self._hashers.submit(self._hash, seq, entry)

    def _hash(self, seq: int, ref: ImageRef) -> None:
        self._add(self._identified(seq, ref))
        self.flush()

    def _identified(self, seq: int, ref: ImageRef) -> IntakeEvent:
        try:
            with trace.span("hash", "parent"):
                sha256, fresh = self._identity.identify(ref)
        except FileChanged:
            text = "the file kept changing while it was read"
            return Unreadable(seq, ref.path, Problem("changed_while_reading", text, "run again once it is complete"))
        except OSError as error:
            return Unreadable(seq, ref.path, os_problem(error))
        return Found(seq, fresh, sha256)

    def _add(self, event: IntakeEvent) -> None:
        with self._lock:
            self._chunk.append(event)
            full = len(self._chunk) >= _CHUNK
        if full:
            self.flush()


def os_problem(error: OSError) -> Problem:
    """A file that cannot be read, as a value."""
    if isinstance(error, FileNotFoundError):
        return Problem("not_found", "the file was removed during the run", "run again if that was not meant")
    if isinstance(error, PermissionError):
        return Problem("permission_denied", "the file may not be read", "change its permissions, or run as its owner")
    return Problem("unreadable", f"the file cannot be read: {error.strerror or error}", "check the disk or the mount")
