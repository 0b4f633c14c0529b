"""How bytes become requests: uvicorn's protocol, with limits on slow clients, and a short way for known answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from imgtool.service.recent_answers import LONGEST_BODY

if TYPE_CHECKING:
    from imgtool.service.connections.at_once import AtOnce

HEAD_SECONDS = 10.0
"""How long the head of a request may take, from its first byte or from the connection on."""

HEAD_BYTES = 64 * 1024

_HOLD_SECONDS = 0.05
"""How long a request that may be answered at once waits for its body. Nothing is lost where that takes longer."""

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/problem+json\r\nconnection: close\r\n\r\n"
    b'{"type":"urn:imgtool:problem:header_too_large","title":"The header is too long","status":431,'
    b'"detail":"the header has more than 65,536 bytes","code":"header_too_large","remedy":"send fewer headers"}'
)
_UNREADABLE = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n"
    b'{"type":"urn:imgtool:problem:bad_request","title":"The request cannot be read","status":400,'
    b'"detail":"this is no HTTP request, or its Content-Length is wrong","code":"bad_request",'
    b'"remedy":"check what is sent, and that Content-Length is the size of the body"}'
)


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not begin in time, or whose head is too long.

    A request that may be answered ``at_once`` is held back until its body is here, for a moment at most: then it is
    answered without a task, or goes the way of all others.
    """

    def __init__(self, *arguments: Any, at_once: AtOnce | None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._at_once = at_once
        self._began = 0.0
        self._body: bytes | None = None
        """What has come of the body of a request that is held back."""
        self._hold_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Count what comes before a request is complete enough to be answered."""
        former = self.cycle
        idle = former is None or former.response_complete
        self._answered = False
        super().data_received(data)
        if self.cycle is not former or self._answered or self._body is not None:
            self._disarm()
            self._head_bytes = 0
            if self._body is not None and self._hold_timer is None:
                self._hold_timer = self.loop.call_later(_HOLD_SECONDS, self._let_go)
        elif idle and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.write(_TOO_LONG)
                self.transport.close()
            elif self._head_timer is None:
                self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._disarm()
        self._stop_holding()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Begin with a request, or hold it back."""
        if self._may_be_answered_at_once():
            self._began = time.perf_counter()
            self._body = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in what has come of a body."""
        if self._body is None:
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > LONGEST_BODY:
            self._let_go()

    def on_message_complete(self) -> None:
        """Answer a request that was held back."""
        if self._body is None:
            super().on_message_complete()
            return
        assert self._at_once is not None
        answer = self._at_once.answer(
            self.parser.get_method(),
            self.url,
            self.headers,
            self._body,
            address=self.client[0] if self.client else "",
            began=self._began,
            first_headers=self.server_state.default_headers,
        )
        if answer is None:
            self._let_go()
            super().on_message_complete()
            return
        self._stop_holding()
        self._answered = True
        self.transport.write(answer)
        self.on_response_complete()

    def shutdown(self) -> None:
        """End once what was begun is answered."""
        self._let_go()
        super().shutdown()

    def _may_be_answered_at_once(self) -> bool:
        idle = self.cycle is None or self.cycle.response_complete
        return (
            self._at_once is not None
            and idle
            and self._at_once.may_answer(self.url, self.headers)
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.flow.write_paused
        )

    def _let_go(self) -> None:
        """Have a request that is held back take the way of all others."""
        body = self._body
        self._stop_holding()
        if body is not None:
            super().on_headers_complete()
            if body:
                super().on_body(body)

    def _stop_holding(self) -> None:
        self._body = None
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None

    def send_400_response(self, msg: str) -> None:
        """Say that the request cannot be read, in the form of all errors."""
        self.transport.write(_UNREADABLE)
        self.transport.close()

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
