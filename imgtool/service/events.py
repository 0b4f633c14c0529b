"""Server-sent events: what happens to an image or a job, in order, with ids that a reader can go on from.

What is sent is kept for a while, within a bound. So a reader whose connection broke asks for the rest with
``Last-Event-ID``, and one that reads too slowly is cut off and costs no more than that.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from imgtool.service.problems import ClientGone, HttpProblem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
COMMENT_SECONDS = 15.0
SLOW_SECONDS = 20.0
"""How long a reader may take to take what is sent to it."""

KEEP_SECONDS = 120.0
RECONNECT_SECONDS = 10.0
"""How long an image whose reader has left is still waited for."""

_MOST_EVENTS = 1000
_MOST_BYTES = 4_000_000
_MOST_STREAMS = 2000
_ALL_BYTES = 256_000_000


class Event(Struct, frozen=True):
    """One event as it is sent."""

    number: int
    data: bytes


class EventStream:
    """The events of one image or job. All methods are called in the event loop."""

    def __init__(
        self,
        owner: str,
        *,
        most: int = _MOST_EVENTS,
        most_bytes: int = _MOST_BYTES,
        first: int = 1,
        cumulative: bool = False,
    ) -> None:
        """``first`` is the number of the first event. Where each event says all that the former ones said,
        ``cumulative``, a reader who has missed some goes on with those that are kept."""
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self.ended = False
        self.readers = 0
        self.touched = time.monotonic()
        self.size = 0
        self._most = most
        self._most_bytes = most_bytes
        self._events: deque[Event] = deque()
        self._last = first - 1
        self._cumulative = cumulative
        self._changed: set[asyncio.Future[None]] = set()

    def send(self, name: str, data: Any) -> None:
        """Add an event."""
        self._last += 1
        body = msgspec.json.encode(data)
        event = Event(self._last, b"id: %d\nevent: %s\ndata: %s\n\n" % (self._last, name.encode(), body))
        self._events.append(event)
        self.size += len(event.data)
        while len(self._events) > self._most or (self.size > self._most_bytes and len(self._events) > 1):
            self.size -= len(self._events.popleft().data)
        self._tell()

    def end(self) -> None:
        """There are no more."""
        self.ended = True
        self._tell()

    def after(self, number: int) -> list[Event] | None:
        """Those after the one with this number that are there; ``None`` where some of them are kept no more."""
        first = self._events[0].number if self._events else self._last + 1
        if number + 1 < first and not self._cumulative:
            return None
        return [event for event in self._events if event.number > number]

    async def changed(self, seconds: float) -> bool:
        """Wait until there is something new; whether there is."""
        future = asyncio.get_running_loop().create_future()
        self._changed.add(future)
        try:
            done, _ = await asyncio.wait({future}, timeout=seconds)
            return bool(done)
        finally:
            self._changed.discard(future)

    def _tell(self) -> None:
        self.touched = time.monotonic()
        for future in self._changed:
            if not future.done():
                future.set_result(None)


class Streams:
    """The streams that can be gone on with."""

    def __init__(self) -> None:
        self._streams: dict[str, EventStream] = {}

    def open(self, owner: str) -> EventStream:
        """A new one.

        Raises:
            HttpProblem: too many are open.
        """
        self._forget_old()
        if len(self._streams) >= _MOST_STREAMS:
            text = f"{len(self._streams):,} event streams are open already"
            raise HttpProblem("queue_full", text, "ask again later", headers={"retry-after": "5"})
        stream = EventStream(owner)
        self._streams[stream.id] = stream
        return stream

    def find(self, number: str, owner: str) -> EventStream:
        """The one with this id.

        Raises:
            HttpProblem: it is not there, or somebody else's.
        """
        self._forget_old()
        stream = self._streams.get(number)
        if stream is None or stream.owner != owner:
            text = "there is no such event stream; ended ones are kept for two minutes"
            raise HttpProblem("not_found", text, "send the image again: what was answered is in the cache")
        return stream

    def _forget_old(self) -> None:
        now = time.monotonic()
        ended = [stream for stream in self._streams.values() if stream.ended and not stream.readers]
        for stream in ended:
            if now - stream.touched > KEEP_SECONDS:
                del self._streams[stream.id]
        size = sum(stream.size for stream in self._streams.values())
        for stream in sorted(ended, key=lambda each: each.touched):
            if len(self._streams) < _MOST_STREAMS and size < _ALL_BYTES:
                break
            if self._streams.pop(stream.id, None) is not None:
                size -= stream.size


class EventResponse(Response):
    """Sends the events of a stream as they come, until it ends or the reader leaves or is too slow."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        stream: EventStream,
        *,
        after: int = 0,
        headers: dict[str, str] | None = None,
        on_left: Callable[[], None] = lambda: None,
        slow_seconds: float = SLOW_SECONDS,
        comment_seconds: float = COMMENT_SECONDS,
    ) -> None:
        """``on_left`` is called where the reader has not seen the end."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no", **(headers or {})})
        del self.headers["content-length"]
        self._stream = stream
        self._after = after
        self._on_left = on_left
        self._slow_seconds = slow_seconds
        self._comment_seconds = comment_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the events."""
        self._stream.readers += 1
        leaving = asyncio.ensure_future(_until_gone(receive))
        sending = asyncio.ensure_future(self._send_all(send))
        try:
            await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientGone
            await sending
        finally:
            leaving.cancel()
            sending.cancel()
            self._stream.readers -= 1
            self._stream.touched = time.monotonic()
            if not self._stream.ended:
                self._on_left()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        after = self._after
        try:
            while True:
                found = self._stream.after(after)
                if found is None:  # too slow, or gone for too long: it has to begin anew
                    return
                for event in found:
                    await self._send(send, event.data)
                    after = event.number
                if not found:
                    if self._stream.ended:
                        break
                    if not await self._stream.changed(self._comment_seconds):
                        await self._send(send, b": still here\n\n")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError as error:
            raise ClientGone from error

    async def _send(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(self._slow_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def last_event_id(request: Request) -> int:
    """The number of the last event that the client has seen; 0 where it has seen none.

    Raises:
        HttpProblem: the header holds no number.
    """
    given = request.headers.get("last-event-id", "").strip()
    if not given:
        return 0
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise HttpProblem("bad_request", f"Last-Event-ID: {given!r} is no number", "send the id of the last event")
    return int(given)


def wants_events(request: Request) -> bool:
    """Whether the client asks for events rather than for one answer."""
    return MEDIA_TYPE in request.headers.get("accept", "")
