"""A real service in a process of its own, on loopback, with planted analyzers; and images to send to it."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.command import heed_signals
from tests.conftest import ROOT

PLANTED = ("-t", "caption,text", "--caption-engine", "tests.planted:Hazard", "--text-engine", "tests.planted:Fine")


class Running:
    """A service that runs. ``log`` is what it has written to stderr up to now."""

    def __init__(self, process: subprocess.Popen[str], address: str, lines: list[str]) -> None:
        self.process = process
        self.address = address
        self.port = int(address.rpartition(":")[2])
        self._lines = lines
        self.client = httpx.Client(base_url=address, timeout=60)

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def __getattr__(self, name: str) -> Any:
        if name not in ("get", "post", "delete", "request", "stream", "put", "head"):
            raise AttributeError(name)
        return getattr(self.client, name)

    def predict(self, content: bytes, path: str = "/v1/predict", **more: Any) -> httpx.Response:
        headers = {"content-type": "image/png", **more.pop("headers", {})}
        return self.client.post(path, content=content, headers=headers, **more)

    def until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline, self.client.get("/readyz").text
            time.sleep(0.05)

    def raw(self, data: bytes, *, timeout: float = 30) -> bytes:
        """Everything that comes back for these bytes, until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            found = b""
            while chunk := connection.recv(65536):
                found += chunk
        return found

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def workers(self) -> list[int]:
        """The processes that it has started."""
        import psutil

        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


@contextmanager
def running(
    *arguments: str | Path, ready: bool = True, program: str | None = None, **environ: str
) -> Iterator[Running]:
    """``python -m imgtool serve`` with these arguments; ended at the end of the block, if it has not ended before.

    ``program`` is code that is run instead of the command, with the same arguments.
    """
    start = ["-m", "imgtool"] if program is None else ["-c", program]
    process = subprocess.Popen(
        [sys.executable, *start, "serve", "--port", "0", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        preexec_fn=heed_signals,
    )
    assert process.stderr is not None
    lines: list[str] = []
    found = None
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"serving at (http://[\d.:]+)", line):
            break
    assert found, "".join(lines)
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    service = Running(process, found[1], lines)
    try:
        if ready:
            service.until_ready()
        yield service
    finally:
        service.client.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(10)
        process.stderr.close()


def png(colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (8, 6)) -> bytes:
    """An image of one colour as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, which must have this status and code, and a remedy."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["type"] == f"urn:imgtool:problem:{code}"
    assert document["detail"] and document["title"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document
