"""Finding and identifying files beside the main loop, a bounded number ahead of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from imgtool import trace
from imgtool.engine.files.discover import ImageRef, RefusedPath
from imgtool.engine.files.identity import FileChanged, Identity
from imgtool.engine.files.problems import from_os_error
from imgtool.types import Problem

_HASHING_THREADS = 4
_CHUNK = 64


class Identified(NamedTuple):
    """File number ``seq`` of the run with the SHA-256 of its bytes, or why it cannot be read."""

    seq: int
    path: str
    ref: ImageRef | None = None
    sha256: str | None = None
    problem: Problem | None = None


class Exhausted(NamedTuple):
    """so many ``files`` were listed and there are no more; ``error`` is what ended the listing early, if anything."""

    files: int
    error: Exception | None


IntakeEvent = Identified | Exhausted


class Intake:
    """Lists and hashes in threads of its own, at most ``window`` files ahead of those that were ``released``.

    With ``count_ahead`` the listing goes on, that many files further, so that their number is known early. Events are
    posted in lists: files that the stat index knows come by the thousand, and a queue operation each would cost more
    than the look-up.
    """

    def __init__(
        self,
        source: Iterable[ImageRef | RefusedPath],
        identity: Identity,
        post: Callable[[list[IntakeEvent]], None],
        window: int,
        count_ahead: int = 0,
    ) -> None:
        self._source = source
        self._identity = identity
        self._post = post
        self._room = window
        self._ahead = count_ahead
        self._listed: deque[tuple[int, ImageRef | RefusedPath]] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._chunk: list[IntakeEvent] = []
        self._stopped = False
        self._hashers = ThreadPoolExecutor(max_workers=_HASHING_THREADS, thread_name_prefix="hash")
        threading.Thread(target=self._list, name="intake", daemon=True).start()

    def release(self, count: int) -> None:
        """Say that ``count`` more files are done with."""
        with self._changed:
            self._room += count
            self._take_in()
            self._changed.notify()

    def flush(self) -> None:
        """Post what has gathered; the main loop calls it when it has nothing to do."""
        with self._changed:
            chunk, self._chunk = self._chunk, []
        if chunk:
            self._post(chunk)

    def stop(self) -> None:
        """Find no more files. Returns at once: a listing that blocks on a pipe cannot be interrupted."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._hashers.shutdown(wait=False, cancel_futures=True)

    def _list(self) -> None:
        count, error = 0, None
        try:
            for entry in self._source:
                with self._changed:
                    self._listed.append((count, entry))
                    count += 1
                    self._take_in()
                    if self._room == 0:
                        self.flush()
                    self._changed.wait_for(lambda: self._stopped or self._room or len(self._listed) < self._ahead)
                if self._stopped:
                    return
        except Exception as problem:  # noqa: BLE001 - carried to the main loop, which raises it
            error = problem
        self._add(Exhausted(count, error))
        self.flush()

    def _take_in(self) -> None:
        """Pass on what was listed, as far as there is room. Called under the lock."""
        while self._room and self._listed and not self._stopped:
            self._room -= 1
            seq, entry = self._listed.popleft()
            if isinstance(entry, RefusedPath):
                self._add(Identified(seq, entry.path, problem=entry.problem))
            elif (known := self._identity.lookup(entry)) is not None:
                self._add(Identified(seq, entry.path, entry, known))
            else:
                # Somebody may be waiting for the first image: what has to be read is passed on at once.
                self._hashers.submit(self._hash, seq, entry)

    def _hash(self, seq: int, ref: ImageRef) -> None:
        try:
            with trace.span("hash", "parent"):
                sha256, fresh = self._identity.identify(ref)
        except FileChanged:
            text = "the file kept changing while it was read"
            problem = Problem("changed_while_reading", text, "run again once it is complete")
            self._add(Identified(seq, ref.path, problem=problem))
        except FileNotFoundError:
            problem = Problem("not_found", "the file was removed during the run", "run again if that was not meant")
            self._add(Identified(seq, ref.path, problem=problem))
        except OSError as error:
            self._add(Identified(seq, ref.path, problem=from_os_error(error, ref.path)))
        else:
            self._add(Identified(seq, ref.path, fresh, sha256))
        self.flush()

    def _add(self, event: IntakeEvent) -> None:
        with self._changed:
            self._chunk.append(event)
            full = len(self._chunk) >= _CHUNK
        if full:
            self.flush()
