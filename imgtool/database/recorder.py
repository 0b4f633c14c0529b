"""Keeps a database in step with a run: what is known is passed over at once, the rest is written beside the run.

In a run from the cache everything is known. So the check comes first, in the thread of the run, and is cheap: files
come in the order of their paths, and the rows of the next hundreds are read with one query. Results are not even held
for it: holding some hundred of them costs more, in the garbage collector, than everything else here.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from msgspec import UNSET, Struct, structs

from imgtool import trace
from imgtool.database.entry import Absolute, Entry, is_recorded, stamps
from imgtool.database.interface import Database, DatabaseBusy, DatabaseDamaged, DatabaseUnavailable
from imgtool.engine.files.words import real_path
from imgtool.types import ImageResult

BATCH = 256
_EVERY_SECONDS = 1.0
"""How long a result may wait for others to be written together with."""
_MAX_WAITING = 16 * BATCH
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_LEAST_AHEAD, _MOST_AHEAD = 16, 1024
_REST_SECONDS = 5.0
_NOWHERE = ("", 0)


class Recorded(Struct, frozen=True):
    """How recording went: pages ``written`` anew or changed, pages ``known``, and those ``missing`` in the database
    because of ``trouble``."""

    written: int = 0
    known: int = 0
    missing: int = 0
    trouble: DatabaseUnavailable | None = None


class Recorder:
    """Brings the results of one run into a database. Used by one thread; ``close`` ends it.

    Where the database does not answer now, writing is tried again for ``patience`` seconds, while results wait: the run
    is held up once some thousand do. After that they are counted as missing, and each batch that follows is tried once.
    A later run of the same images, from the cache, adds what is missing.
    """

    def __init__(
        self,
        open_database: Callable[[], Database],
        *,
        patience: float = 60.0,
        connect: Callable[[Database], None] = lambda database: database.connect(create=True),
        mend: Callable[[Database, DatabaseDamaged], None] | None = None,
    ) -> None:
        """``open_database`` gives databases that are not connected: one to read from in the thread of the run, one to
        write to in another. ``connect`` connects the latter; where it turns out to be damaged, ``mend`` is called once
        and leaves one that can be connected."""
        self._notes = _NotesAhead(open_database())
        self._writer = _Writer(open_database(), patience, connect, mend)
        self._absolute = Absolute()
        self._passed_over = 0

    def add(self, result: ImageResult) -> None:
        """Take a result. Waits only where thousands are waiting to be written."""
        path = self._absolute(result.path)
        note = self._notes.get(path, result.page)
        if note is not None and is_recorded(note, result):
            self._passed_over += 1
        else:
            plain = result if result.thumbnail is UNSET else structs.replace(result, thumbnail=UNSET)
            self._writer.add(Entry(path, plain, stamps(result), _mtime_ns(path)))

    def close(self, *, at_once: bool = False) -> Recorded:
        """Write what is left and close the database; with ``at_once`` a database that is away is not waited for."""
        with trace.span("database", "parent"):
            self._notes.close()
            written, missing, trouble = self._writer.close(at_once=at_once)
        return Recorded(written, self._passed_over, missing, trouble)


def _mtime_ns(path: str) -> int | None:
    try:
        return os.stat(real_path(path)).st_mtime_ns  # noqa: PTH116 - once an image
    except (OSError, ValueError):
        return None


class _NotesAhead:
    """The notes of files that come in about the order of their paths. What cannot be read counts as unknown."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connected = False
        self._rest_until = 0.0
        self._rows: dict[str, str] = {}
        self._from, self._to = _NOWHERE, _NOWHERE
        """All notes of pages from the one to before the other are in ``_rows``."""
        self._ahead = _LEAST_AHEAD

    def get(self, path: str, page: int) -> str | None:
        name = f"{path}#{page}"
        note = self._rows.get(name)
        if note is None and not self._from <= (path, page) < self._to and time.monotonic() >= self._rest_until:
            self._read_on(path, page)
            note = self._rows.get(name)
        return note

    def _read_on(self, path: str, page: int) -> None:
        in_order = self._to <= (path, page) and bool(self._rows)
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if in_order else _LEAST_AHEAD
        self._rows, self._from, self._to = {}, _NOWHERE, _NOWHERE
        try:
            if not self._connected:
                self._database.connect(write=False)
                self._connected = True
            self._rows, last = self._database.recorded_from(path, page, self._ahead)
        except DatabaseUnavailable:
            # Not there yet, or not now: whoever writes will see, and say so.
            self._connected = False
            self._rest_until = time.monotonic() + _REST_SECONDS
        else:
            self._from, self._to = (path, page), last

    def close(self) -> None:
        self._database.close()


class _Writer:
    """Writes entries in a thread of its own."""

    def __init__(
        self,
        database: Database,
        patience: float,
        connect: Callable[[Database], None],
        mend: Callable[[Database, DatabaseDamaged], None] | None,
    ) -> None:
        self._database = database
        self._patience = patience
        self._connect = connect
        self._mend = mend
        self._waiting: deque[Entry] = deque()
        self._wake = threading.Event()
        self._room = threading.Event()
        self._room.set()
        self._closing = False
        self._connected = False
        self._down_since: float | None = None
        self._written = self._missing = 0
        self._trouble: DatabaseUnavailable | None = None
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def add(self, entry: Entry) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="database", daemon=True)
            self._thread.start()
        self._waiting.append(entry)
        if len(self._waiting) >= BATCH:
            self._wake.set()
        if len(self._waiting) >= _MAX_WAITING:
            self._room.clear()
            # The thread may have ended; then nobody makes room.
            while not self._room.wait(_EVERY_SECONDS) and self._thread.is_alive():
                pass

    def close(self, *, at_once: bool) -> tuple[int, int, DatabaseUnavailable | None]:
        """Write what is left; how many were written, how many were not, and why."""
        self._closing = True
        if at_once:
            self._patience = 0.0
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._written, self._missing, self._trouble

    # -- in the thread

    def _run(self) -> None:
        try:
            while not (self._closing and not self._waiting):
                if len(self._waiting) < BATCH and not self._closing:
                    self._wake.wait(_EVERY_SECONDS)
                    self._wake.clear()
                if batch := list(islice(self._waiting, BATCH)):
                    with trace.span("record", "parent"):
                        self._record(batch)
                    for _ in batch:
                        self._waiting.popleft()
                if len(self._waiting) < _MAX_WAITING:
                    self._room.set()
        except Exception as error:  # noqa: BLE001 - carried to whoever closes
            self._failure = error
        finally:
            self._database.close()
            self._room.set()

    def _record(self, batch: list[Entry]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                if not self._connected:
                    self._connect(self._database)
                    self._connected = True
                self._database.write(batch)
                self._written += len(batch)
                self._down_since = None
                return
            except DatabaseUnavailable as error:
                self._connected = False
                self._trouble = error
                if isinstance(error, DatabaseDamaged) and self._mended(error):
                    continue
                now = time.monotonic()
                self._down_since = self._down_since or now
                if not isinstance(error, DatabaseBusy) or now - self._down_since >= self._patience:
                    self._missing += len(batch)
                    return
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _mended(self, damage: DatabaseDamaged) -> bool:
        mend, self._mend = self._mend, None
        if mend is None:
            return False
        mend(self._database, damage)
        return True
