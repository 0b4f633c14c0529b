"""Runs the service in one process: uvicorn, its limits on slow clients, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from imgtool.errors import ExitCode, UsageProblem

if TYPE_CHECKING:
    from imgtool.options import ServiceOptions
    from imgtool.service.app import Service

HEAD_SECONDS = 10.0
"""How long the head of a request may take, from its first byte or from the connection on."""

HEAD_BYTES = 64 * 1024
KEEP_ALIVE_SECONDS = 65
"""Longer than the idle time of common load balancers, which else send into a closed connection."""

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


class AddressUnusable(UsageProblem):
    """The address cannot be listened at."""


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not begin in time, or whose head is too long."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
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
        super().data_received(data)
        if self.cycle is not former:
            self._disarm()
            self._head_bytes = 0
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
        super().connection_lost(exc)

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


class _Server(uvicorn.Server):
    """uvicorn without its own idea of signals: it would stop listening before it has drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        AddressUnusable: the address is taken, or not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        text = f"the service cannot listen at {host}:{port}: {error.strerror or error}"
        raise AddressUnusable(text, "choose another --port (0: any that is free) or --host") from error
    return listening


def serve(
    service: Service,
    options: ServiceOptions,
    listening: socket.socket,
    *,
    say: Callable[[str], None],
    on_start: Callable[[], None] = lambda: None,
) -> ExitCode:
    """Answer requests until a signal comes and everything that was begun is answered, or ``grace`` is over.

    A second signal ends at once.
    """
    return asyncio.run(_serve(service, options, listening, say, on_start))


async def _serve(
    service: Service,
    options: ServiceOptions,
    listening: socket.socket,
    say: Callable[[str], None],
    on_start: Callable[[], None],
) -> ExitCode:
    config = uvicorn.Config(
        service.app,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="critical",
        server_header=False,
        proxy_headers=bool(options.trusted_proxy),
        forwarded_allow_ips=",".join(options.trusted_proxy) or "127.0.0.1",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    draining: asyncio.Task[None] | None = None

    def on_signal() -> None:
        nonlocal draining
        if draining is not None:
            say("a second signal: ending at once")
            # What is open is lost, and what is kept is on the disk: workers end when their pipes are closed.
            os._exit(ExitCode.INTERRUPTED)
        service.draining = True
        say(f"stopping: what was begun is answered, for at most {options.grace:g} s; a second signal ends at once")
        draining = loop.create_task(_drain(service, server, options.grace))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    await service.start()
    # What is there now stays: without this, looking for garbage takes a third of the time of an answer from the cache.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    # Each call to a socket lets go of the interpreter, and a thread of the engine takes it for this long.
    sys.setswitchinterval(0.0005)
    on_start()
    try:
        await server.serve(sockets=[listening])
    finally:
        await service.close()
    return ExitCode.OK


async def _drain(service: Service, server: uvicorn.Server, grace: float) -> None:
    deadline = time.monotonic() + grace
    await service.drain()
    await asyncio.sleep(0.05)  # what came with the signal, or just before it
    while service.busy and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    server.should_exit = True
