"""Runs the service in one process: uvicorn, how it begins and how it ends."""

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
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from imgtool.errors import ExitCode, UsageProblem
from imgtool.service.connections.protocol import GuardedProtocol

if TYPE_CHECKING:
    from imgtool.options import ServiceOptions
    from imgtool.service.app import Service

KEEP_ALIVE_SECONDS = 65
"""Longer than the idle time of common load balancers, which else send into a closed connection."""


class AddressUnusable(UsageProblem):
    """The address cannot be listened at."""


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
    at_once = None if options.trusted_proxy else service.at_once  # a proxy's word for who asks is read further in
    config = uvicorn.Config(
        service.app,
        http=partial(GuardedProtocol, at_once=at_once),  # type: ignore[arg-type]
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
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_serve(service, options, _Server(config), listening, say, on_start))


async def _serve(
    service: Service,
    options: ServiceOptions,
    server: _Server,
    listening: socket.socket,
    say: Callable[[str], None],
    on_start: Callable[[], None],
) -> ExitCode:
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
