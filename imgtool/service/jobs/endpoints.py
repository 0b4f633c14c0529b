"""``/v1/jobs``: make a job, look at it, take its results while it runs, cancel it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from imgtool.service.bodies import Upload, media_type, parse_form
from imgtool.service.events import EventResponse, EventStream, last_event_id
from imgtool.service.gate import Caller, require
from imgtool.service.jobs.journal import Job, JobState, Journal
from imgtool.service.keys import Role
from imgtool.service.predict import check_names, parse_tasks
from imgtool.service.problems import HttpProblem, encode
from imgtool.types import Problem, Task

if TYPE_CHECKING:
    from starlette.requests import Request

    from imgtool.engine.engine import Engine
    from imgtool.service.bodies import BodyReader
    from imgtool.service.jobs.paths import Root
    from imgtool.service.jobs.runner import JobRunner

MOST_UPLOADS = 1000
MOST_PATHS = 10_000
MOST_OPEN = 1000
MOST_RESULTS = 10_000

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class JobRequest(Struct, forbid_unknown_fields=True):
    """The body that makes a job of files below the root: ``paths`` of files and folders, and the ``tasks``."""

    paths: list[str]
    tasks: list[str] | None = None


class JobStatus(Struct, frozen=True, kw_only=True):
    """How far a job is. ``done`` counts images, those that ``failed`` included; ``eta_seconds`` is ``None`` where it is
    not known. ``error`` says why a job as a whole failed."""

    id: str
    state: JobState
    tasks: tuple[Task, ...] | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    done: int
    total: int
    failed: int
    eta_seconds: float | None
    error: Problem | None


class JobList(Struct, frozen=True):
    """Jobs, the newest first."""

    jobs: list[JobStatus]


class JobPages:
    """The endpoints about jobs."""

    def __init__(
        self, engine: Engine, journal: Journal, runner: JobRunner, root: Root | None, bodies: BodyReader
    ) -> None:
        self._journal = journal
        self._runner = runner
        self._root = root
        self._bodies = bodies
        self._served = [task for task in Task if task in engine.plan.chosen]
        self._making = asyncio.Lock()

    async def make(self, request: Request) -> Response:
        """``POST /v1/jobs``."""
        caller: Caller = request.state.caller
        require(caller, Role.USER, "making jobs")
        key = request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise HttpProblem("bad_request", "Idempotency-Key: 1 to 255 printable characters", "send a UUID, for one")
        async with self._bodies.read(request) as body:
            paths, uploads, tasks = await self._asked(request, body)
            query = request.url.query.encode()
            digest = hashlib.sha256(media_type(request).encode() + b"\0" + query + b"\0" + body).hexdigest()
            async with self._making:
                if key is not None and (known := await self._journal.find_by_key(caller.name, key)) is not None:
                    if known.digest != digest:
                        text = "this Idempotency-Key came with another body before"
                        raise HttpProblem("conflict", text, "take another key for another job")
                    return self._accepted(known)
                if len(await self._journal.open_jobs()) >= MOST_OPEN:
                    text = f"{MOST_OPEN:,} jobs have not ended yet"
                    raise HttpProblem("queue_full", text, "ask again later", headers={"retry-after": "60"})
                try:
                    job = await self._journal.add(caller.name, tasks, paths, uploads, key=key, digest=digest)
                except (OSError, sqlite3.Error) as error:
                    raise HttpProblem(
                        "internal", f"the job cannot be kept: {error}", "free some space for --jobs-dir", status=503
                    ) from error
                self._runner.start(job)
        request.state.noted.more["job"] = job.id
        return self._accepted(job)

    async def list(self, request: Request) -> Response:
        """``GET /v1/jobs``: one's own; with an admin key all."""
        check_names(request.query_params, ("limit",))
        caller: Caller = request.state.caller
        owner = None if caller.role is Role.ADMIN else caller.name
        jobs = await self._journal.of_owner(owner, _whole(request, "limit", 100, 1000))
        return encode(JobList([self._status(job) for job in jobs]))

    async def show(self, request: Request) -> Response:
        """``GET /v1/jobs/{id}``."""
        return encode(self._status(await self._find(request)), headers={"cache-control": "no-store"})

    async def cancel(self, request: Request) -> Response:
        """``DELETE /v1/jobs/{id}``."""
        job = await self._find(request)
        require(request.state.caller, Role.USER, "cancelling jobs")
        if not await self._runner.cancel(job.id) and (await self._find(request)).state is not JobState.CANCELLED:
            text = f"the job has ended already: {job.state}"
            raise HttpProblem("conflict", text, "its results are removed some time after its end")
        return encode(self._status(await self._find(request)))

    async def one(self, request: Request) -> Response:
        """``/v1/jobs/{id}``."""
        return await (self.cancel(request) if request.method == "DELETE" else self.show(request))

    async def all(self, request: Request) -> Response:
        """``/v1/jobs``."""
        return await (self.make(request) if request.method == "POST" else self.list(request))

    async def events(self, request: Request) -> Response:
        """``GET /v1/jobs/{id}/events``."""
        job = await self._find(request)
        after = last_event_id(request)
        stream = self._runner.streams.get(job.id)
        if stream is None:
            stream = EventStream(
                job.owner, first=max(after + 1, int(1000 * (job.ended or job.created))), cumulative=True
            )
            counts = {"done": job.done, "total": job.total, "failed": job.failed}
            stream.send("complete", {"state": job.state, "counts": counts, "problem": job.error})
            stream.end()
            after = 0
        return EventResponse(stream, after=after)

    async def results(self, request: Request) -> Response:
        """``GET /v1/jobs/{id}/results?after=CURSOR&limit=N``: JSON Lines, in the order in which they were computed."""
        check_names(request.query_params, ("after", "limit"))
        job = await self._find(request)
        after = _whole(request, "after", 0, 1 << 62, least=0)
        limit = _whole(request, "limit", 1000, MOST_RESULTS)
        rows = await self._journal.results(job.id, after, limit)
        cursor = rows[-1][0] if rows else after
        headers = {"imgtool-cursor": str(cursor), "cache-control": "no-store"}
        if len(rows) == limit or not job.state.is_end:
            headers["link"] = f'</v1/jobs/{job.id}/results?after={cursor}&limit={limit}>; rel="next"'
        return Response(b"".join(line + b"\n" for _, line in rows), headers=headers, media_type="application/jsonl")

    # --

    async def _asked(
        self, request: Request, body: bytes
    ) -> tuple[tuple[str, ...], tuple[Upload, ...], tuple[Task, ...] | None]:
        """The paths or the uploads of a job, and its tasks."""
        check_names(request.query_params, ("tasks",))
        kind = media_type(request)
        given: str | None = request.query_params.get("tasks")
        if kind == "multipart/form-data":
            form = await parse_form(request, body, most_files=MOST_UPLOADS)
            check_names(form.fields, ("tasks",))
            if not form.files:
                raise HttpProblem("bad_request", "the multipart body holds no file", "curl -F file=@photo.jpg")
            return (), form.files, parse_tasks(form.fields.get("tasks", given), self._served)
        if kind != "application/json":
            remedy = 'send {"paths": ["photos"]} as application/json, or images as multipart/form-data'
            raise HttpProblem("unsupported_media_type", f"a body of type {kind!r} is no job", remedy)
        try:
            asked = msgspec.json.decode(body, type=JobRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            remedy = 'send {"paths": ["photos"], "tasks": ["text"]}'
            raise HttpProblem("bad_parameter", f"the body is no job: {error}", remedy) from error
        if self._root is None:
            remedy = "start the service with --root DIR, or upload the images as multipart/form-data"
            raise HttpProblem("forbidden", "this service reads no files of its own machine", remedy)
        if not 1 <= len(asked.paths) <= MOST_PATHS:
            raise HttpProblem("bad_parameter", f"{len(asked.paths):,} paths", f"name 1 to {MOST_PATHS:,} of them")
        if asked.tasks is not None:
            given = ",".join(asked.tasks)
        root = self._root
        paths = await asyncio.to_thread(lambda: tuple(root.check(path) for path in asked.paths))
        return paths, (), parse_tasks(given, self._served)

    async def _find(self, request: Request) -> Job:
        caller: Caller = request.state.caller
        job = await self._journal.find(request.path_params["id"])
        if job is None or (job.owner != caller.name and caller.role is not Role.ADMIN):
            raise HttpProblem("not_found", "there is no such job", "GET /v1/jobs lists yours")
        if job.state is JobState.EXPIRED:
            text = "the job has ended, and its results have been removed"
            raise HttpProblem("job_expired", text, "make it again, and take its results within --job-ttl")
        return job

    def _accepted(self, job: Job) -> Response:
        return encode(self._status(job), 202, {"location": f"/v1/jobs/{job.id}"})

    def _status(self, job: Job) -> JobStatus:
        live = None if job.state.is_end else self._runner.progress.get(job.id)
        return JobStatus(
            id=job.id,
            state=job.state,
            tasks=job.tasks,
            created=_time(job.created),
            started=None if job.started is None else _time(job.started),
            ended=None if job.ended is None else _time(job.ended),
            done=job.done if live is None else max(live.done, job.done),
            total=job.total if live is None else max(live.total, job.total),
            failed=job.failed if live is None else max(live.failed, job.failed),
            eta_seconds=0.0 if job.state is JobState.DONE else None if live is None else live.eta_seconds,
            error=job.error,
        )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _whole(request: Request, name: str, default: int, most: int, *, least: int = 1) -> int:
    given: Any = request.query_params.get(name, str(default))
    if not given.isascii() or not given.isdigit() or len(given) > 19 or not least <= int(given) <= most:
        text = f"{name}: {given[:80]!r} is no number from {least} to {most:,}"
        raise HttpProblem("bad_parameter", text, f"leave it out: it is {default} then")
    return int(given)
