"""The journal of jobs in SQLite: what was asked, what is done, and the results. It outlives the process."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct

from imgtool.errors import ConfigProblem, OutputNotWritable
from imgtool.ground.transaction import transaction
from imgtool.service.bodies import Upload
from imgtool.types import ImageResult, Problem, Status, Task

Found = TypeVar("Found")

_VERSION = 1
_REMEMBER_SECONDS = 30 * 86_400.0
"""How long it is known of a job that has expired that there was one."""

_LAYOUT = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    tasks TEXT NOT NULL, paths TEXT NOT NULL, listed INTEGER NOT NULL, total INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, error TEXT,
    idempotency_key TEXT, digest TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_once ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_of_owner ON jobs (owner, created);
CREATE TABLE IF NOT EXISTS items (
    job TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_open ON items (job, number) WHERE done = 0;
CREATE TABLE IF NOT EXISTS results (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, result BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS results_of_job ON results (job, cursor);
"""


class JobState(StrEnum):
    """Where a job stands. The last four are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_end(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Job(Struct, frozen=True, kw_only=True):
    """A job as it stands in the journal. Times are seconds since 1970; Uploads have no ``paths``."""

    id: str
    owner: str
    state: JobState
    created: float
    started: float | None
    ended: float | None
    tasks: tuple[Task, ...] | None
    paths: tuple[str, ...]
    listed: bool
    total: int
    done: int
    failed: int
    error: Problem | None
    digest: str | None


class Item(Struct, frozen=True):
    """One image of a job: its place in it, and its path below the root or its name."""

    number: int
    name: str


class Journal:
    """All methods but ``close`` are coroutines; the database is used by one thread, in the order of the calls."""

    def __init__(self, folder: Path) -> None:
        """The journal in ``folder``, which is made if need be.

        Raises:
            ConfigProblem: another service has it open.
            OutputNotWritable: it cannot be written.
        """
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._lock = FileLock(folder / "lock")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire(timeout=0)
            self._database = self._thread.submit(self._open).result()
        except Timeout as error:
            self._thread.shutdown()
            text = f"another service keeps its jobs in {folder}"
            raise ConfigProblem(text, "name another folder with --jobs-dir") from error
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            self._lock.release()
            text = f"the jobs cannot be kept in {folder}: {error}"
            raise OutputNotWritable(text, "name another folder with --jobs-dir") from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._folder / "jobs.sqlite", isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_LAYOUT)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"it was written by another version of imgtool ({version})")
        database.execute(f"PRAGMA user_version = {_VERSION}")
        known = {row[0] for row in database.execute("SELECT id FROM jobs WHERE ended IS NULL")}
        for left in (self._folder / "uploads").glob("*"):
            if left.name not in known:
                shutil.rmtree(left, ignore_errors=True)
        return database

    async def _in_thread(self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._database)

    async def _write(self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        def inside(database: sqlite3.Connection) -> Found:
            with transaction(database):
                return work(database)

        return await self._in_thread(inside)

    # -- jobs

    async def add(
        self,
        owner: str,
        tasks: tuple[Task, ...] | None,
        paths: Sequence[str],
        uploads: Sequence[Upload],
        *,
        key: str | None,
        digest: str,
    ) -> Job:
        """A new job; what is uploaded is on the disk when this returns."""
        job = secrets.token_urlsafe(16)
        folder = self.uploads(job)

        def work(database: sqlite3.Connection) -> Job:
            for number, upload in enumerate(uploads):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                (folder / str(number)).write_bytes(upload.content)
            asked = msgspec.json.encode(tasks).decode()
            row = (job, owner, JobState.QUEUED, time.time(), asked, msgspec.json.encode(paths).decode())
            with transaction(database):
                database.execute(
                    "INSERT INTO jobs (id, owner, state, created, tasks, paths, listed, total, idempotency_key, digest)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, bool(uploads), len(uploads), key, digest),
                )
                _add_items(database, job, 0, [upload.name for upload in uploads])
            found = _find(database, "id = ?", job)
            return found[0]

        try:
            return await self._in_thread(work)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def find(self, job: str) -> Job | None:
        """The job with this id."""
        found = await self._in_thread(lambda database: _find(database, "id = ?", job))
        return found[0] if found else None

    async def find_by_key(self, owner: str, key: str) -> Job | None:
        """The job that was made with this ``Idempotency-Key``."""
        where = "owner = ? AND idempotency_key = ?"
        found = await self._in_thread(lambda database: _find(database, where, owner, key))
        return found[0] if found else None

    async def of_owner(self, owner: str | None, limit: int) -> list[Job]:
        """The newest jobs of an owner, or of all."""
        where = "(? IS NULL OR owner = ?) AND state != 'expired' ORDER BY created DESC LIMIT ?"
        return await self._in_thread(lambda database: _find(database, where, owner, owner, limit))

    async def open_jobs(self) -> list[Job]:
        """Those that have not ended, the oldest first."""
        return await self._in_thread(lambda database: _find(database, "ended IS NULL ORDER BY created"))

    async def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        query = "SELECT state, COUNT(*) FROM jobs GROUP BY state"
        return dict(await self._in_thread(lambda database: database.execute(query).fetchall()))

    async def begin(self, job: str) -> None:
        """It runs now."""
        query = "UPDATE jobs SET state = ?, started = COALESCE(started, ?) WHERE id = ? AND ended IS NULL"
        await self._write(lambda database: database.execute(query, (JobState.RUNNING, time.time(), job)))

    async def end(self, job: str, state: JobState, error: Problem | None = None) -> bool:
        """It has ended; whether it had not before."""
        text = None if error is None else msgspec.json.encode(error).decode()
        query = "UPDATE jobs SET state = ?, ended = ?, error = ? WHERE id = ? AND ended IS NULL"
        row = (state, time.time(), text, job)
        ended = await self._write(lambda database: database.execute(query, row).rowcount == 1)
        await asyncio.to_thread(shutil.rmtree, self.uploads(job), ignore_errors=True)
        return ended

    async def expire(self, seconds: float) -> int:
        """Remove the results of jobs that ended so long ago; how many jobs that were."""
        now = time.time()

        def work(database: sqlite3.Connection) -> int:
            query = "SELECT id FROM jobs WHERE ended <= ? AND state != 'expired' LIMIT 100"
            old = [row[0] for row in database.execute(query, (now - seconds,))]
            for job in old:
                database.execute("DELETE FROM items WHERE job = ?", (job,))
                database.execute("DELETE FROM results WHERE job = ?", (job,))
                database.execute("UPDATE jobs SET state = 'expired', paths = '[]' WHERE id = ?", (job,))
            query = "DELETE FROM jobs WHERE state = 'expired' AND ended <= ?"
            database.execute(query, (now - seconds - _REMEMBER_SECONDS,))
            return len(old)

        return await self._write(work)

    # -- images and results

    def uploads(self, job: str) -> Path:
        """Where the images lie that were uploaded with a job, under their numbers."""
        return self._folder / "uploads" / job

    async def forget_items(self, job: str) -> None:
        """Begin to list anew."""
        await self._write(lambda database: database.execute("DELETE FROM items WHERE job = ?", (job,)))

    async def add_items(self, job: str, first: int, names: Sequence[str]) -> None:
        """Images that were found; ``first`` is the number of the first."""
        await self._write(lambda database: _add_items(database, job, first, names))

    async def listed(self, job: str, total: int) -> None:
        """All images are known."""
        query = "UPDATE jobs SET listed = 1, total = ? WHERE id = ?"
        await self._write(lambda database: database.execute(query, (total, job)))

    async def open_items(self, job: str, after: int, limit: int) -> list[Item]:
        """Images without results, by number."""
        query = "SELECT number, name FROM items WHERE job = ? AND done = 0 AND number > ? ORDER BY number LIMIT ?"
        rows = await self._in_thread(lambda database: database.execute(query, (job, after, limit)).fetchall())
        return [Item(*row) for row in rows]

    async def keep(self, job: str, item: int, results: Iterable[ImageResult]) -> bool:
        """The results of one image, one for each page; whether they were new, and the job had not ended."""
        rows = [(job, msgspec.json.encode(result), result.status) for result in results]

        def work(database: sqlite3.Connection) -> bool:
            failed = all(status is Status.FAILED for *_, status in rows)
            query = "UPDATE items SET done = 1 WHERE job = ? AND number = ? AND done = 0"
            if database.execute(query, (job, item)).rowcount != 1:
                return False
            query = "UPDATE jobs SET done = done + 1, failed = failed + ? WHERE id = ?"
            database.execute(query, (failed, job))
            database.executemany("INSERT INTO results (job, result) VALUES (?, ?)", [row[:2] for row in rows])
            return True

        return await self._write(work)

    async def results(self, job: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Results with their cursors, in the order in which they came."""
        query = "SELECT cursor, result FROM results WHERE job = ? AND cursor > ? ORDER BY cursor LIMIT ?"
        return await self._in_thread(lambda database: database.execute(query, (job, after, limit)).fetchall())

    def close(self) -> None:
        """Finish what was given, and let go of the folder."""
        with suppress(sqlite3.Error):
            self._thread.submit(self._database.close).result()
        self._thread.shutdown()
        self._lock.release()


def _add_items(database: sqlite3.Connection, job: str, first: int, names: Sequence[str]) -> None:
    rows = [(job, first + number, name) for number, name in enumerate(names)]
    database.executemany("INSERT INTO items (job, number, name) VALUES (?, ?, ?)", rows)


def _find(database: sqlite3.Connection, where: str, *values: object) -> list[Job]:
    query = (
        "SELECT id, owner, state, created, started, ended, tasks, paths, listed, total, done, failed, error, digest"
        f" FROM jobs WHERE {where}"
    )
    found = []
    for row in database.execute(query, values):
        names = Job.__struct_fields__
        fields = dict(zip(names, row, strict=True))
        for name in ("tasks", "paths", "error"):
            fields[name] = None if fields[name] is None else msgspec.json.decode(fields[name])
        found.append(msgspec.convert({**fields, "listed": bool(fields["listed"])}, Job))
    return found
