"""Identifying images in threads beside everything else: who a file is, or some bytes, or why that cannot be said."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from imgtool import trace
from imgtool.engine.files.discover import ImageRef, RefusedPath, look_at_file
from imgtool.engine.files.identity import FileChanged, Identity, read_digest
from imgtool.engine.files.problems import from_os_error
from imgtool.engine.scheduling.threads import DaemonThreads, Job
from imgtool.types import Problem

_HASHING_THREADS = 4
_OPEN_SECONDS = 2.0


class Identified(NamedTuple):
    """A file or some bytes with their SHA-256, or why they cannot be read."""

    ref: ImageRef | None = None
    sha256: str | None = None
    problem: Problem | None = None


Then = Callable[[Identified], None]
"""Called once, in any thread."""


class Identifier:
    """Looks files up in the index of what is known, and hashes the others in a few threads.

    A file that is not answered for within ``patience`` seconds fails; an index that does not answer is done without.
    """

    def __init__(
        self,
        open_index: Callable[[], Identity] | None,
        patience: float,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``open_index`` is called in a thread of its own; without it every file is read."""
        self._index: Identity | None = None
        self._index_usable = open_index is not None
        self._index_opened = threading.Event()
        self._threads = DaemonThreads("hash", _HASHING_THREADS, patience)
        self._warn = warn
        if open_index is not None:
            try:
                threading.Thread(target=self._open, args=(open_index,), name="open-index", daemon=True).start()
            except RuntimeError as error:  # no more threads
                self._index_usable = False
                warn(f"the file index is not used: {error}; every file is read")

    def known(self, ref: ImageRef) -> str | None:
        """The SHA-256 of ``ref`` in hexadecimal, if that is certain without reading the file."""
        index = self._opened()
        return None if index is None else index.lookup(ref)

    def is_known_image(self, found: os.stat_result) -> bool:
        """Whether the file with this stat was hashed before and cannot have changed: only images are hashed."""
        index = self._opened()
        return index is not None and index.is_known_image(found)

    def identify(self, ref: ImageRef, then: Then) -> None:
        """Read the file."""

        def work(job: Job) -> None:
            self._read(ref, job, then)

        self._threads.add(Job(work, lambda seconds: then(Identified(ref, problem=_no_answer(seconds)))))

    def identify_path(self, path: str, then: Then, *, by_index: bool = True) -> None:
        """Look at the file at ``path``, which must be an image, and read it if need be."""
        in_index = False

        def is_known(found: os.stat_result) -> bool:
            nonlocal in_index
            in_index = True
            known = by_index and self.is_known_image(found)
            in_index = False
            return known

        def work(job: Job) -> None:
            nonlocal in_index
            try:
                found = look_at_file(path, is_known)
            except Exception as error:  # noqa: BLE001 - somebody waits for what comes of it
                found = RefusedPath(path, _unexpected(error))
            if isinstance(found, RefusedPath):
                if job.settle():
                    then(Identified(problem=found.problem))
                return
            in_index = True
            sha256 = self.known(found) if by_index else None
            in_index = False
            if sha256 is None:
                self._read(found, job, then)
            elif job.settle():
                then(Identified(found, sha256))

        def given_up(seconds: float) -> None:
            if in_index:
                self.give_up_index()
                self.identify_path(path, then, by_index=False)
            else:
                then(Identified(problem=_no_answer(seconds)))

        self._threads.add(Job(work, given_up))

    def identify_bytes(self, content: bytes, then: Then) -> None:
        """Hash the bytes of a file."""

        def work(job: Job) -> None:
            sha256 = hashlib.sha256(content).hexdigest()
            if job.settle():
                then(Identified(sha256=sha256))

        self._threads.add(Job(work, lambda seconds: then(Identified(problem=_no_answer(seconds)))))

    def give_up_index(self) -> None:
        """Do without the index: a thread has not come back from it."""
        self._index_usable = False
        if self._index is not None:
            self._index.give_up()

    def tick(self) -> None:
        """Give up what stands still."""
        self._threads.tick()

    def seconds_to_deadline(self) -> float | None:
        """How long until ``tick`` has something to give up."""
        return self._threads.seconds_to_deadline()

    def flush(self) -> None:
        """Write down what was learnt, beside everything else."""
        index = self._index
        if index is not None and self._index_usable:

            def work(job: Job) -> None:
                job.settle()
                index.flush()

            self._threads.add(Job(work, lambda _: None))

    def close(self, timeout: float = 2.0) -> None:
        """Write down what was learnt and close the index, as far as that takes no longer than ``timeout`` seconds."""
        self._threads.close()
        if self._index is not None and self._index_usable:
            closing = threading.Thread(target=self._index.close, name="close-index", daemon=True)
            with suppress(RuntimeError):  # no more threads: what was learnt is learnt again
                closing.start()
                closing.join(timeout)

    def _open(self, open_index: Callable[[], Identity]) -> None:
        try:
            with trace.span("open index", "parent"):
                self._index = open_index()
        except Exception as error:  # noqa: BLE001 - without an index everything is read
            self._warn(f"the file index cannot be opened: {type(error).__name__}: {error}; every file is read")
        finally:
            self._index_opened.set()

    def _opened(self) -> Identity | None:
        if not self._index_usable:
            return None
        if self._index is None and not self._index_opened.wait(_OPEN_SECONDS):
            self._index_usable = False
        return self._index if self._index_usable else None

    def _read(self, ref: ImageRef, job: Job, then: Then) -> None:
        try:
            with trace.span("hash", "parent"):
                sha256, fresh, began_ns = read_digest(ref, lambda: self._threads.alive(job))
        except FileChanged:
            text = "the file kept changing while it was read"
            found = Identified(ref, problem=Problem("changed_while_reading", text, "run again once it is complete"))
        except FileNotFoundError:
            text = "the file was removed during the run"
            found = Identified(ref, problem=Problem("not_found", text, "run again if that was not meant"))
        except OSError as error:
            found = Identified(ref, problem=from_os_error(error, ref.path))
        except Exception as error:  # noqa: BLE001 - somebody waits for what comes of it
            found = Identified(ref, problem=_unexpected(error))
        else:
            found = Identified(fresh, sha256)
        if job.settle():
            then(found)
        if found.sha256 is not None and found.ref is not None and (index := self._opened()) is not None:
            # Last: a disk that does not take it costs this thread, and not the file.
            index.remember(found.ref, found.sha256, began_ns)


def _no_answer(seconds: float) -> Problem:
    return Problem(
        "unreadable",
        f"the disk or network drive did not answer for {seconds:g} s",
        "check the disk or network drive that it is on, or raise --timeout",
    )


def _unexpected(error: Exception) -> Problem:
    if isinstance(error, MemoryError):
        return Problem("out_of_memory", "not enough memory to read the file", "free some memory")
    return Problem("unreadable", f"the file cannot be read: {type(error).__name__}: {error}", "try another copy of it")
