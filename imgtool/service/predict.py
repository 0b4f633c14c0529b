"""Answers about images that are sent, and by the hash of those that were sent before."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from imgtool.errors import ImgtoolError, nearest
from imgtool.service.bodies import Upload, images_of
from imgtool.service.events import (
    RECONNECT_SECONDS,
    EventResponse,
    EventStream,
    Streams,
    last_event_id,
    wants_events,
)
from imgtool.service.gate import Caller, require
from imgtool.service.keys import Role
from imgtool.service.problems import ClientGone, HttpProblem, encode, from_error, of_result
from imgtool.service.recent_answers import LONGEST_BODY, Question
from imgtool.types import AnyTaskResult, ImageResult, Problem, Status, Task

if TYPE_CHECKING:
    from starlette.requests import Request

    from imgtool.engine.engine import Engine
    from imgtool.engine.ticket import Ticket
    from imgtool.options import ServiceOptions
    from imgtool.service.bodies import BodyReader
    from imgtool.service.recent_answers import RecentAnswers

PARAMETERS = ("tasks", "languages", "page", "deadline", "name")
MOST_FILES = 32

_SHA256 = re.compile(r"[0-9a-f]{64}")
_AWAITED_SECONDS = 0.02
"""An answer from the cache is there before it is worth looking whether the client still is."""

_CODE_EVENTS = {
    "start": "detail_page_buttons_start",
    "ready": "detail_page_button_ready",
    "complete": "detail_page_buttons_complete",
}
"""What events are called where codes are asked for."""


class Asked(Struct, frozen=True):
    """What a request asks about its images. ``deadline`` is in seconds."""

    tasks: tuple[Task, ...] | None
    page: int
    deadline: float


class Metadata(Struct, frozen=True, kw_only=True):
    """What is said about an answer at ``/predict``."""

    processing_time_ms: float
    image_size: tuple[int, int] | None
    filename: str
    model_version: str
    cache_enabled: bool
    from_cache: bool


class Prediction(Struct, frozen=True, kw_only=True):
    """The answer of ``/predict``: ``predictions`` holds the answers by task."""

    success: bool
    predictions: dict[str, Any]
    metadata: Metadata


class Results(Struct, frozen=True):
    """The answers to several images, in the order in which they came."""

    results: list[ImageResult]


class Pace:
    """How fast images are computed at present, to say when to come again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: deque[float] = deque(maxlen=256)

    def note(self) -> None:
        """An image was computed."""
        self._done.append(self._clock())

    @property
    def per_second(self) -> float | None:
        """Images a second over the last minute; ``None`` where there were none."""
        now = self._clock()
        recent = [at for at in self._done if now - at < 60]
        return len(recent) / max(1.0, now - recent[0]) if recent else None

    def seconds_for(self, images: int) -> float:
        """How long so many will take; between 1 and 60."""
        rate = self.per_second
        return min(60.0, max(1.0, images / rate)) if rate else 1.0


class Predictor:
    """The endpoints about images; ``on_result`` hears of every result that is given out."""

    def __init__(
        self,
        engine: Engine,
        options: ServiceOptions,
        bodies: BodyReader,
        recent: RecentAnswers,
        on_result: Callable[[ImageResult], None],
    ) -> None:
        self._engine = engine
        self._options = options
        self._bodies = bodies
        self._recent = recent
        self._on_result = on_result
        self._streams = Streams()
        self._running: set[asyncio.Task[None]] = set()
        self.pace = Pace()

    # -- endpoints

    async def predict(self, request: Request) -> Response:
        """``POST /v1/predict``."""
        require(request.state.caller, Role.USER, "asking about images")
        if wants_events(request):
            return await self._predict_events(request)
        results = await self._results(request, keep=True)
        if len(results) == 1:
            if (problem := of_result(results[0])) is not None:
                raise problem
            return encode(results[0])
        return encode(Results(results))

    async def predict_alias(self, request: Request) -> Response:
        """``POST /predict``: the same in the form of the documents, for one image."""
        require(request.state.caller, Role.USER, "asking about images")
        if wants_events(request):
            return await self._predict_events(request)
        results = await self._results(request, most_files=1)
        if (problem := of_result(results[0])) is not None:
            raise problem
        return encode(_as_prediction(results[0]))

    async def by_hash(self, request: Request) -> Response:
        """``GET /v1/results/{sha256}``."""
        require(request.state.caller, Role.USER, "asking about images")
        sha256 = checked_hash(request.path_params["sha256"])
        asked = self._asked(dict(request.query_params))
        generation = self._recent.generation
        try:
            ticket = self._engine.look_up(sha256, asked.tasks, page=asked.page)
            result = await ticket
        except ImgtoolError as error:
            raise from_error(error, self._retry_after()) from error
        self._on_result(result)
        tag = _entity_tag(result)
        headers = {"etag": tag, "cache-control": "private, no-cache"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        self._keep(request, Question(_target(request)), result, ticket, generation, lines)
        given = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
        if tag.removeprefix("W/") in given or given == ["*"]:
            return Response(status_code=304, headers=headers)
        return encode(result, headers=headers)

    async def events(self, request: Request) -> Response:
        """``GET /v1/events/{id}``: go on with the events of an image that was sent before."""
        caller: Caller = request.state.caller
        stream = self._streams.find(request.path_params["id"], caller.name)
        return EventResponse(stream, after=last_event_id(request))

    async def finish(self) -> None:
        """Wait for the event streams that are under way."""
        if self._running:
            await asyncio.wait(self._running)

    # -- one answer

    async def _results(
        self, request: Request, *, most_files: int = MOST_FILES, keep: bool = False
    ) -> list[ImageResult]:
        """The answers to a request; with ``keep`` the next one like it is given the same from memory."""
        async with self._bodies.read(request) as body:
            received = time.perf_counter()
            generation = self._recent.generation
            form = await images_of(request, body, most_files=most_files)
            asked = self._asked({**form.fields, **request.query_params})
            tickets: list[Ticket] = []
            try:
                tickets.extend(self._submit(upload, asked, request.state.caller) for upload in form.files)
                await _until_answered(tickets, request)
                results = [ticket.result(0) for ticket in tickets]
            except ImgtoolError as error:
                raise from_error(error, self._retry_after()) from error
            finally:
                for ticket in tickets:
                    ticket.cancel()
            # What came as it is, and not in a form, is known again by its hash.
            if keep and len(body) <= LONGEST_BODY and form.files[0].content is body:
                kind = request.headers.get("content-type", "").encode("latin-1")
                question = Question(_target(request), kind, results[0].sha256 or "")
                self._keep(request, question, results[0], tickets[0], generation)
        timing = request.state.noted.more.setdefault("timing", {})
        timing["answer"] = time.perf_counter() - received
        timing["compute"] = sum(result.processing_time_ms for result in results) / 1000
        for result in results:
            self.note(result)
        request.state.noted.more["images"] = len(results)
        request.state.noted.more["from_cache"] = all(result.from_cache for result in results)
        return results

    def _keep(
        self,
        request: Request,
        question: Question,
        result: ImageResult,
        ticket: Ticket,
        generation: int,
        headers: bytes = b"",
    ) -> None:
        """Have what is given out now given out again soon."""
        if result.from_cache:
            route: str = request.scope["route"].path
            self._recent.keep(
                question, route, result, stored_at=ticket.stored_at, generation=generation, headers=headers
            )

    def note(self, result: ImageResult) -> None:
        """Count a result that is given out."""
        if not result.from_cache and result.status is not Status.FAILED:
            self.pace.note()
        self._on_result(result)

    def _submit(self, upload: Upload, asked: Asked, caller: Caller) -> Ticket:
        return self._engine.submit(
            upload.content,
            asked.tasks,
            page=asked.page,
            name=upload.name,
            deadline=asked.deadline,
            caller=caller.name,
            most_waiting=self._options.queue,
        )

    def _retry_after(self) -> float:
        return self.pace.seconds_for(self._engine.load.waiting)

    def _asked(self, given: dict[str, str]) -> Asked:
        """What the parameters of a request ask for.

        Raises:
            HttpProblem: one does not exist, or cannot be used.
        """
        check_names(given, PARAMETERS)
        limit = self._options.deadline
        self._check_languages(given.get("languages"))
        return Asked(
            tasks=parse_tasks(given.get("tasks"), [task for task in Task if task in self._engine.plan.chosen]),
            page=int(_number(given, "page", 0, 0, 100_000)),
            deadline=_number(given, "deadline", limit, 0.001, limit),
        )

    def _check_languages(self, given: str | None) -> None:
        served = self._engine.options.languages
        for code in filter(None, (each.strip() for each in (given or "").split(","))):
            if code not in served:
                text = f"this service does not read the language {code!r}"
                raise HttpProblem("bad_parameter", text, f"it reads {', '.join(served)} (serve --languages)")

    # -- events

    async def _predict_events(self, request: Request) -> Response:
        async with self._bodies.read(request) as body:
            form = await images_of(request, body, most_files=1)
            asked = self._asked({**form.fields, **request.query_params})
            caller: Caller = request.state.caller
            stream = self._streams.open(caller.name)
            try:
                ticket = self._submit(form.files[0], asked, caller)
            except ImgtoolError as error:
                stream.end()
                raise from_error(error, self._retry_after()) from error
        tasks = asked.tasks or tuple(task for task in Task if task in self._engine.plan.chosen)
        task = asyncio.get_running_loop().create_task(self._follow(ticket, stream, tasks))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        loop = asyncio.get_running_loop()

        def on_left() -> None:
            loop.call_later(RECONNECT_SECONDS, lambda: ticket.cancel() if not stream.readers else None)

        headers = {"content-location": f"/v1/events/{stream.id}"}
        return EventResponse(stream, headers=headers, on_left=on_left)

    async def _follow(self, ticket: Ticket, stream: EventStream, tasks: Collection[Task]) -> None:
        """Turn the parts of a ticket into events."""
        names = _CODE_EVENTS if Task.CODES in tasks else {}
        stream.send(names.get("start", "start"), {"tasks": list(tasks)})
        counts = {"answered": 0, "failed": 0, "from_cache": 0}
        spans: list[tuple[float, float]] = []
        try:
            async for task, answer in ticket.parts():
                if answer.error is not None:
                    counts["failed"] += 1
                    stream.send("error", {"task": task, "problem": answer.error})
                    continue
                counts["answered"] += 1
                counts["from_cache"] += answer.from_cache
                if not answer.from_cache:
                    now = time.perf_counter()
                    spans.append((now - answer.seconds, now))
                ready = {"task": task, "value": answer.value, "seconds": answer.seconds}
                stream.send(names.get("ready", "ready"), {**ready, "from_cache": answer.from_cache})
            result = await ticket
        except Exception as error:  # noqa: BLE001 - whoever reads the stream is told
            known = error if isinstance(error, ImgtoolError) else None
            text = f"{type(error).__name__}: {error}"
            problem = (
                from_error(known, self._retry_after()).as_problem() if known else Problem("internal", text, "report it")
            )
            stream.send("error", {"task": None, "problem": problem})
            stream.send(names.get("complete", "complete"), {"counts": counts, "parallel_efficiency": None})
        else:
            self.note(result)
            done = {"counts": counts, "parallel_efficiency": parallel_efficiency(spans), "sha256": result.sha256}
            stream.send(names.get("complete", "complete"), done)
        stream.end()


def parallel_efficiency(spans: list[tuple[float, float]]) -> float | None:
    """How well the parts that were computed ran side by side, from their beginnings and ends in seconds: 1 where all
    took the whole time, 1 / parts where they ran one after the other. ``None`` where fewer than two were computed."""
    if len(spans) < 2:
        return None
    wall = max(end for _, end in spans) - min(begin for begin, _ in spans)
    total = sum(end - begin for begin, end in spans)
    return round(min(1.0, total / (len(spans) * wall)), 3) if wall > 0 else 1.0


async def _until_answered(tickets: list[Ticket], request: Request) -> None:
    """Wait for all of them.

    Raises:
        ClientGone: the client has left.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    left = len(tickets)

    def count() -> None:
        nonlocal left
        left -= 1
        if not left and not answered.done():
            answered.set_result(None)

    def on_done(_: Ticket) -> None:  # in the scheduler's thread
        loop.call_soon_threadsafe(count)

    for ticket in tickets:
        ticket.add_done_callback(on_done)
    done, _ = await asyncio.wait({answered}, timeout=_AWAITED_SECONDS)
    if not done:
        leaving = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait({answered, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
    if not answered.done():
        raise ClientGone


def _target(request: Request) -> bytes:
    """The target of a request, as it was sent."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def check_names(given: Collection[str], known: Collection[str]) -> None:
    """
    Raises:
        HttpProblem: a name in ``given`` is not known; the nearest one is named.
    """
    for name in given:
        if name not in known:
            raise HttpProblem("bad_parameter", f"there is no parameter {name[:80]!r}", f"{nearest(name, known)}")


def parse_tasks(given: str | None, served: list[Task]) -> tuple[Task, ...] | None:
    """Tasks from a list with commas; ``None`` where nothing is given.

    Raises:
        HttpProblem: one does not exist, or is not served.
    """
    if given is None:
        return None
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise HttpProblem("bad_parameter", "tasks names no task", f"one of {', '.join(served)}")
    for name in names:
        if name not in list(Task):
            raise HttpProblem("bad_parameter", f"there is no task {name[:80]!r}", nearest(name, list(Task)))
        if name not in served:
            remedy = f"this service answers {', '.join(served)} (serve --tasks)"
            raise HttpProblem("bad_parameter", f"the task {name!r} is not served here", remedy)
    return tuple(Task(name) for name in dict.fromkeys(names))


def checked_hash(given: str) -> str:
    """A SHA-256 in lower case.

    Raises:
        HttpProblem: it is none.
    """
    sha256 = given.lower()
    if not _SHA256.fullmatch(sha256):
        text = f"{given[:80]!r} is no SHA-256 in hexadecimal"
        raise HttpProblem("bad_parameter", text, "give the 64 digits that `sha256sum photo.jpg` prints")
    return sha256


def _number(given: dict[str, str], name: str, default: float, least: float, most: float) -> float:
    """A parameter as a number; a whole one where its default is."""
    text = given.get(name)
    if text is None:
        return default
    number = float("nan")
    with suppress(ValueError, OverflowError):
        number = float(int(text)) if isinstance(default, int) else float(text)
    if not least <= number <= most:
        remedy = f"leave it out: it is {default:g} then"
        raise HttpProblem("bad_parameter", f"{name}: {text[:80]!r} is no number from {least:g} to {most:g}", remedy)
    return number


def _entity_tag(result: ImageResult) -> str:
    """Weak: the answers are the same, what is said about the time that this request took is not."""
    kept = (result.sha256, result.page, result.status, result.tasks)
    return f'W/"{blake2b(msgspec.json.encode(kept), digest_size=16).hexdigest()}"'


def _as_prediction(result: ImageResult) -> Prediction:
    tasks: list[tuple[Task, AnyTaskResult]] = result.tasks.items()
    size = None if result.width is None or result.height is None else (result.width, result.height)
    return Prediction(
        success=result.status is not Status.FAILED,
        predictions={task.value: answer.value for task, answer in tasks},
        metadata=Metadata(
            processing_time_ms=result.processing_time_ms,
            image_size=size,
            filename=result.path,
            model_version="; ".join(f"{task}: {answer.model} {answer.model_version}" for task, answer in tasks),
            cache_enabled=result.cache_enabled,
            from_cache=result.from_cache,
        ),
    )
