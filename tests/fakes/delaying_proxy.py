"""A TCP proxy that hands on what a server says late, slowly, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType


class DelayingProxy:
    """Stands before the server at ``port`` of this machine.

    ``delay`` gives the seconds that each piece of an answer is held back, ``bytes_at_once`` how long pieces are;
    connections that were made are counted.
    """

    def __init__(self, port: int, delay: Callable[[], float] = lambda: 0.0, bytes_at_once: int = 65536) -> None:
        self.delay = delay
        self.bytes_at_once = bytes_at_once
        self.connections = 0
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Of the server, by way of this."""
        return f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"

    def __enter__(self) -> DelayingProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self.connections += 1
            self._sockets += [near, far]
            threading.Thread(target=self._pass_on, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, late: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                step = self.bytes_at_once if late else len(data)
                for start in range(0, len(data), step):
                    if late:
                        time.sleep(self.delay())
                    target.sendall(data[start : start + step])
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
