"""The short way of a request whose answer is at hand: no task, no router, and the same checks as on the long way.

Whatever is unusual about a request, or wrong with it, is the matter of the long way.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from imgtool.service.bodies import GZIP_BYTES
from imgtool.service.gate import Noted, request_id, require
from imgtool.service.keys import Role
from imgtool.service.problems import HttpProblem
from imgtool.service.recent_answers import Question
from imgtool.service.status import LIVE_TEXT

if TYPE_CHECKING:
    from imgtool.service.gate import Gate
    from imgtool.service.recent_answers import RecentAnswer, RecentAnswers
    from imgtool.types import ImageResult

_LIVE = b"/livez"
_LIVE_HEADERS = b"content-type: text/plain; charset=utf-8\r\n"
_RECENT_HEADERS = b"content-type: application/json\r\n"
_UNUSUAL = frozenset({b"expect", b"if-none-match", b"range", b"upgrade"})

HeaderLines = Sequence[tuple[bytes, bytes]]


class AtOnce:
    """Answers from memory, and ``/livez``. ``on_result`` hears of every result that is given out."""

    def __init__(self, gate: Gate, recent: RecentAnswers, on_result: Callable[[ImageResult], None]) -> None:
        self._gate = gate
        self._recent = recent
        self._on_result = on_result

    def may_answer(self, target: bytes, headers: HeaderLines) -> bool:
        """Whether it is worth waiting for the body of a request."""
        known = target == _LIVE or self._recent.may_answer(target)
        return known and not any(name in _UNUSUAL for name, _ in headers)

    def answer(
        self,
        method: bytes,
        target: bytes,
        headers: HeaderLines,
        body: bytes,
        *,
        address: str,
        began: float,
        first_headers: HeaderLines,
    ) -> bytes | None:
        """Everything that is sent, or ``None`` where this request takes the long way. ``began`` is when it came, on the
        clock of ``perf_counter``; ``first_headers`` stand in every answer."""
        found = dict(headers)
        if len(found) != len(headers) or method not in (b"GET", b"POST"):
            return None
        path, _, query = target.partition(b"?")
        seen = Headers(raw=list(headers))
        noted = Noted(
            request_id=request_id(seen),
            method=method.decode("ascii"),
            path=path.decode("ascii"),
            status=200,
            received=len(body),
            address=address,
        )
        extra: dict[str, str] = {}
        recent = None
        if target != _LIVE and (recent := self._find(method, target, found, body)) is None:
            return None
        try:
            caller = self._gate.identify(seen, noted.path, query, address)
            if recent is not None:
                require(caller, Role.USER, "asking about images")
                self._gate.limit(caller, extra)
        except HttpProblem:
            return None
        seconds = time.perf_counter() - began
        if recent is None:
            if method != b"GET":
                return None
            noted.route, content, lines = noted.path, LIVE_TEXT.encode(), _LIVE_HEADERS
        else:
            noted.route, lines = recent.route, recent.headers + _RECENT_HEADERS
            content = b"%s%.3f%s" % (recent.before, 1000 * seconds, recent.after)
            noted.more = {} if method == b"GET" else {"images": 1, "from_cache": True}
            if recent.length >= GZIP_BYTES:
                lines += b"vary: Accept-Encoding\r\n"
            self._on_result(recent.result)
        parts = [b"HTTP/1.1 200 OK\r\n", *(b"%s: %s\r\n" % header for header in first_headers), lines]
        parts += [f"{name}: {value}\r\n".encode() for name, value in extra.items()]
        parts.append(
            b"content-length: %d\r\nx-request-id: %s\r\nserver-timing: total;dur=%.1f\r\n"
            b"x-content-type-options: nosniff\r\n\r\n"
            % (len(content), noted.request_id.encode("ascii"), 1000 * seconds)
        )
        parts.append(content)
        noted.caller, noted.sent, noted.seconds = caller.name, len(content), time.perf_counter() - began
        self._gate.note(noted)
        return b"".join(parts)

    def _find(self, method: bytes, target: bytes, headers: Mapping[bytes, bytes], body: bytes) -> RecentAnswer | None:
        """The answer in memory that may be given to such a request."""
        if self._gate.limits_elsewhere or self._gate.is_draining():
            return None
        if method == b"GET":
            recent = self._recent.find(Question(target))
        elif b"text/event-stream" in headers.get(b"accept", b""):
            return None
        else:
            kind = headers.get(b"content-type", b"")
            recent = self._recent.find(Question(target, kind, hashlib.sha256(body).hexdigest()))
        if recent is not None and recent.length >= GZIP_BYTES and b"gzip" in headers.get(b"accept-encoding", b""):
            return None  # it is to be compressed
        return recent
