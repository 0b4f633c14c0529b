"""The short way of a request whose answer is in memory: no task, no router, and the same checks as on the long way.

Whatever is unusual about a request, or wrong with it, is the matter of the long way.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from imgtool.service.bodies import GZIP_BYTES
from imgtool.service.gate import Noted, request_id, require
from imgtool.service.keys import Role
from imgtool.service.problems import HttpProblem
from imgtool.service.recent_answers import Question

if TYPE_CHECKING:
    from imgtool.service.gate import Gate
    from imgtool.service.recent_answers import RecentAnswers
    from imgtool.types import ImageResult

_UNUSUAL = frozenset({b"expect", b"if-none-match", b"range", b"upgrade"})

HeaderLines = Sequence[tuple[bytes, bytes]]


class AtOnce:
    """Answers from memory. ``on_result`` hears of every result that is given out."""

    def __init__(self, gate: Gate, recent: RecentAnswers, on_result: Callable[[ImageResult], None]) -> None:
        self._gate = gate
        self._recent = recent
        self._on_result = on_result

    def may_answer(self, target: bytes, headers: HeaderLines) -> bool:
        """Whether it is worth waiting for the body of a request."""
        return self._recent.may_answer(target) and not any(name in _UNUSUAL for name, _ in headers)

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
        by_hash = method == b"GET"
        if not by_hash and (method != b"POST" or b"text/event-stream" in found.get(b"accept", b"")):
            return None
        if by_hash:
            question = Question(target)
        else:
            question = Question(target, found.get(b"content-type", b""), hashlib.sha256(body).hexdigest())
        recent = self._recent.find(question)
        if recent is None or len(found) != len(headers):
            return None
        if recent.length >= GZIP_BYTES and b"gzip" in found.get(b"accept-encoding", b""):
            return None
        if self._gate.limits_elsewhere or self._gate.is_draining():
            return None
        path, _, query = target.partition(b"?")
        seen = Headers(raw=list(headers))
        extra: dict[str, str] = {}
        try:
            caller = self._gate.identify(seen, path.decode("ascii"), query, address)
            require(caller, Role.USER, "asking about images")
            self._gate.limit(caller, extra)
        except HttpProblem:
            return None
        number = request_id(seen)
        seconds = time.perf_counter() - began
        content = b"%s%.3f%s" % (recent.before, 1000 * seconds, recent.after)
        lines = [b"HTTP/1.1 200 OK\r\n"]
        lines += [b"%s: %s\r\n" % header for header in first_headers]
        lines.append(recent.headers)
        lines.append(
            b"content-length: %d\r\ncontent-type: application/json\r\nx-request-id: %s\r\n"
            b"server-timing: total;dur=%.1f\r\nx-content-type-options: nosniff\r\n"
            % (len(content), number.encode(), 1000 * seconds)
        )
        if recent.length >= GZIP_BYTES:
            lines.append(b"vary: Accept-Encoding\r\n")
        lines += [f"{name}: {value}\r\n".encode() for name, value in extra.items()]
        lines += [b"\r\n", content]
        self._on_result(recent.result)
        noted = Noted(
            request_id=number,
            method=method.decode(),
            path=path.decode("ascii"),
            route=recent.route,
            status=200,
            received=len(body),
            sent=len(content),
            caller=caller.name,
            address=address,
        )
        noted.more = {} if by_hash else {"images": 1, "from_cache": True}
        noted.seconds = time.perf_counter() - began
        self._gate.note(noted)
        return b"".join(lines)
