"""What every request passes first: who asks, whether that is allowed now, and what is noted about it."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from imgtool.service.keys import KeyRejected, Role
from imgtool.service.problems import ClientGone, HttpProblem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from imgtool.service.keys import KeyRing
    from imgtool.service.limits import RateLimiter

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/docs", "/openapi.json"})
"""Answered without a key and without a limit: they tell nothing about images."""

HEALTH_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked by machines every few seconds: not worth a line in the log, and answered while the service drains."""

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
GONE = 499
"""Noted for a client that left before it was answered; nobody receives it."""

_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class Caller(Struct, frozen=True):
    """Who asks: the name of the key, or the address where there are no keys."""

    name: str
    role: Role
    address: str


class Noted(Struct):
    """What is noted about a request: for the log and the metrics. Handlers add ``more``, never anything of an image's
    content."""

    request_id: str
    method: str
    path: str
    route: str = "unknown"
    status: int = 0
    seconds: float = 0.0
    received: int = 0
    sent: int = 0
    caller: str = ""
    address: str = ""
    code: str | None = None
    more: dict[str, Any] = {}


class Gate:
    """ASGI middleware around the whole service; see the module's docstring."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing | None,
        limiter: RateLimiter | None,
        local_names: frozenset[str],
        is_draining: Callable[[], bool],
        note: Callable[[Noted], None],
        report_bug: Callable[[Noted, Exception], None],
    ) -> None:
        """Where there are ``local_names``, only requests that name one of them are answered: else a stranger's page
        could reach the service through its visitor's browser, under a name of its own."""
        self._app = app
        self._keys = keys
        self._limiter = limiter
        self._local_names = local_names
        self.is_draining = is_draining
        self.note = note
        self._report_bug = report_bug
        self.active = 0
        """Requests that are being answered, but those about the health of the service."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        noted = Noted(
            request_id=request_id(headers),
            method=scope["method"],
            path=scope["path"],
            address=(scope.get("client") or ("", 0))[0],
        )
        noted.more = {}
        scope["app"] = self  # has the router raise what it does not know
        scope["state"] = {**scope.get("state", {}), "noted": noted}
        extra: dict[str, str] = {}
        is_health = noted.path in HEALTH_PATHS
        self.active += not is_health

        async def counted_receive() -> Message:
            message = await receive()
            noted.received += len(message.get("body", b""))
            return message

        async def noting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                noted.status = message["status"]
                found = MutableHeaders(scope=message)
                found["x-request-id"] = noted.request_id
                found["server-timing"] = _timing(noted, time.perf_counter() - began)
                found.setdefault("x-content-type-options", "nosniff")
                for name, value in extra.items():
                    found[name] = value
            else:
                noted.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._admit(scope, headers, noted, extra)
            await self._app(scope, counted_receive, noting_send)
        except ClientGone:
            noted.status = GONE
        except Exception as error:  # noqa: BLE001 - every request is answered
            await self._explain(error, noted, scope, receive, noting_send)
        finally:
            self.active -= not is_health
            noted.route = getattr(scope.get("route", None), "path", noted.route)
            noted.seconds = time.perf_counter() - began
            self.note(noted)

    async def _explain(self, error: Exception, noted: Noted, scope: Scope, receive: Receive, send: Send) -> None:
        if isinstance(error, HttpProblem):
            problem = error
        elif isinstance(error, HTTPException):
            problem = from_framework(error, noted)
        else:
            self._report_bug(noted, error)
            problem = HttpProblem(
                "internal", f"internal error: {type(error).__name__}", "report it with the log's line"
            )
        noted.code = problem.code
        if noted.status == 0:  # else it has begun, and breaking off is all that is left
            await problem.response(noted.request_id)(scope, receive, send)

    async def _admit(self, scope: Scope, headers: Headers, noted: Noted, extra: dict[str, str]) -> None:
        """Find out who asks, and whether they may.

        Raises:
            HttpProblem: they may not.
        """
        caller = self.identify(headers, noted.path, scope["query_string"], noted.address)
        noted.caller = caller.name
        scope["state"]["caller"] = caller
        if self._limiter is not None and noted.path not in OPEN_PATHS | HEALTH_PATHS:
            if self.limits_elsewhere:
                await asyncio.to_thread(self.limit, caller, extra)
            else:
                self.limit(caller, extra)
        if self.is_draining() and noted.path not in OPEN_PATHS | HEALTH_PATHS:
            raise draining()

    @property
    def limits_elsewhere(self) -> bool:
        """Whether :meth:`limit` waits for another machine, and so belongs into a thread."""
        return self._limiter is not None and self._limiter.blocks

    def identify(self, headers: Headers, path: str, query: bytes, address: str) -> Caller:
        """Who asks.

        Raises:
            HttpProblem: nobody who may.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._local_names and host_name(host) not in self._local_names:
            text = f"this service answers on this machine only, and not under the name {host!r}"
            raise HttpProblem("forbidden", text, "ask http://127.0.0.1, or start it with --host and --api-keys")
        if origin is not None and origin != "null" and urlsplit(origin).netloc != host:
            raise HttpProblem("forbidden", f"pages of {origin} may not use this service", "use a page of this service")
        if self._keys is None or path in OPEN_PATHS:
            return Caller(address, Role.USER, address)
        name, role = self._identify(headers, query)
        return Caller(name, role, address)

    def limit(self, caller: Caller, extra: dict[str, str]) -> None:
        """Count a request of this caller, and say in the headers ``extra`` how many more they may send.

        Raises:
            HttpProblem: it is one too many.
        """
        if self._limiter is None:
            return
        allowed, left, seconds = self._limiter.hit(caller.name)
        extra["ratelimit-policy"] = self._limiter.policy
        extra["ratelimit"] = f'"default";r={left};t={seconds}'
        if not allowed:
            raise HttpProblem(
                "rate_limited",
                f"too many requests from {caller.name}",
                f"wait {seconds} s",
                headers={"retry-after": str(seconds)},
            )

    def _identify(self, headers: Headers, query: bytes) -> tuple[str, Role]:
        assert self._keys is not None
        kind, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        challenge = {"www-authenticate": 'Bearer realm="imgtool"'}
        if not secret:
            in_query = b"key=" in query or b"token=" in query
            why = "; keys in the address are not read, because addresses are logged" if in_query else ""
            remedy = "send Authorization: Bearer KEY, or X-API-Key: KEY"
            raise HttpProblem("key_missing", f"this needs an API key{why}", remedy, headers=challenge)
        try:
            key = self._keys.find(secret)
        except KeyRejected as error:
            remedy = "ask who runs the service for a key: imgtool serve keys add NAME"
            raise HttpProblem(error.code, str(error), remedy, headers=challenge) from error
        return key.name, key.role


def require(caller: Caller, role: Role, what: str) -> None:
    """Let only callers with ``role`` do ``what``.

    Raises:
        HttpProblem: this one may not.
    """
    if not caller.role.includes(role):
        remedy = f"use a key with the role {role}: imgtool serve keys add NAME --role {role}, and serve --api-keys FILE"
        raise HttpProblem("forbidden", f"{what} needs a key with the role {role}", remedy)


def draining() -> HttpProblem:
    """The answer to new work once the service is about to stop."""
    return HttpProblem(
        "draining",
        "the service is about to stop",
        "ask another one, or the same again later",
        headers={"retry-after": "5", "connection": "close"},
    )


def from_framework(error: HTTPException, noted: Noted) -> HttpProblem:
    """What the router says of an address or a method that it does not know."""
    if error.status_code == 404:
        return HttpProblem("not_found", f"there is nothing at {noted.path}", "see /docs, or /openapi.json")
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        text = f"{noted.method} is not allowed at {noted.path}"
        return HttpProblem("method_not_allowed", text, "see /docs, or /openapi.json", headers=allowed)
    return HttpProblem("bad_request", str(error.detail), status=error.status_code)


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without the port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def request_id(headers: Headers) -> str:
    """The id that the client has given its request, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _timing(noted: Noted, seconds: float) -> str:
    parts = {**noted.more.get("timing", {}), "total": seconds}
    return ", ".join(f"{name};dur={1000 * value:.1f}" for name, value in parts.items())
