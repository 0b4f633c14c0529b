"""A model hub on this machine: a real HTTP server that speaks what huggingface_hub and EasyOCR's downloads need.

Small files are answered at once, large ones (weights) by a redirect to a second server, as a hub sends its clients to
a content network. Faults are switched on for requests that match a pattern: see :class:`Fault`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_LARGE = (".safetensors", ".bin", ".pth")
_PIECE = 4096


@dataclass
class Fault:
    """Something that goes wrong with requests whose ``"METHOD /path"`` matches ``pattern``, ``times`` times.

    Exactly one of these: ``status`` (with ``headers``), ``cut_after`` (bytes of the body, then the connection is
    closed), ``replaced`` (another body of any length), ``flipped`` (one byte of the body changed), ``html`` (a proxy's
    login page), ``bytes_per_second`` (a slow server).
    """

    pattern: str
    times: int | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    replaced: bytes | None = None
    flipped: bool = False
    html: bool = False
    bytes_per_second: float | None = None


@dataclass(frozen=True)
class Seen:
    """A request as it came: ``range`` is its Range header or empty, ``status`` what was answered."""

    method: str
    path: str
    range: str
    status: int


@dataclass(frozen=True)
class Stored:
    """A file of a repository, with what a hub says about it."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob


@dataclass
class FakeHub:
    """What is on the server. ``seen`` is every request so far; ``url`` is the hub's address, ``cdn`` the second's."""

    url: str = ""
    cdn: str = ""
    repositories: dict[str, dict[str, dict[str, Stored]]] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    archives: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, repository: str, files: Mapping[str, bytes | Path], revision: str = "main") -> str:
        """Commit ``files`` (the whole of the new version) to ``repository``; returns the commit, made of content."""
        stored = {
            name: Stored(content.read_bytes() if isinstance(content, Path) else content, name.endswith(_LARGE))
            for name, content in files.items()
        }
        digest = hashlib.sha1(repository.encode())
        for name, file in sorted(stored.items()):
            digest.update(f"{name}\0{file.sha256}\0".encode())
        commit = digest.hexdigest()
        self.repositories.setdefault(repository, {})[commit] = stored
        self.branches[repository, revision] = commit
        return commit

    def add_folder(self, repository: str, folder: Path, revision: str = "main") -> str:
        """Commit every file directly in ``folder``; returns the commit."""
        return self.add(repository, {path.name: path for path in folder.iterdir() if path.is_file()}, revision)

    def add_archive(self, path: str, files: Mapping[str, bytes | Path]) -> bytes:
        """Serve a zip of ``files`` at ``path`` (with a leading slash); the same files give the same bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in sorted(files.items()):
                data = content.read_bytes() if isinstance(content, Path) else content
                archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
        self.archives[path] = buffer.getvalue()
        return self.archives[path]

    def fail(self, pattern: str, **what: Any) -> Fault:
        """Switch a :class:`Fault` on; remove it from ``faults`` to switch it off."""
        fault = Fault(pattern, **what)
        self.faults.append(fault)
        return fault

    def requests(self, pattern: str) -> list[Seen]:
        """The requests so far whose ``"METHOD /path"`` matches."""
        with self.lock:
            return [one for one in self.seen if re.search(pattern, f"{one.method} {one.path}")]

    def environment(self, home: Path) -> dict[str, str]:
        """The variables that send huggingface_hub, EasyOCR and imgtool here, with caches of their own in ``home``."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_CACHE": str(home / "hf" / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "EASYOCR_MODULE_PATH": str(home / "easyocr"),
            "IMGTOOL_EASYOCR_ENDPOINT": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def fault_for(self, request: str, kinds: tuple[str, ...]) -> Fault | None:
        """The first fault of one of ``kinds`` that matches ``request``; one that is limited is used up by it."""
        with self.lock:
            for fault in self.faults:
                wanted = any(getattr(fault, kind) not in (None, False) for kind in kinds)
                if wanted and fault.times != 0 and re.search(fault.pattern, request):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub that listens on two free ports of the loopback interface until the block is left."""
    hub = FakeHub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) for _ in range(2)]
    hub.url, hub.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.daemon_threads = True
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def safetensors(size: int, seed: int = 0) -> bytes:
    """A safetensors file of one tensor of ``size`` bytes, the same for the same ``seed``."""
    header = json.dumps({"weights": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + noise(size, seed)


def noise(size: int, seed: int = 0) -> bytes:
    """``size`` bytes that do not compress, the same for the same ``seed``."""
    return hashlib.shake_128(f"noise {seed}".encode()).digest(size)


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Bound(_Handler):
        pass

    Bound.hub = hub
    return Bound


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.request_line = f"{self.command} {path}"
        try:
            if (fault := self.hub.fault_for(self.request_line, ("status", "html"))) is not None:
                if fault.html:
                    self._send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
                else:
                    self._send(fault.status or 500, b"", fault.headers)
            else:
                self._route(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client is gone: killed, or it had enough

    def _route(self, path: str) -> None:
        if path in self.hub.archives:
            content = self.hub.archives[path]
            etag = hashlib.sha256(content).hexdigest()
            self._send_content(content, {"ETag": f'"{etag}"', "Content-Type": "application/octet-stream"})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._describe(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            self._list(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*match.groups())
        elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            stored = self.hub.repositories[match[1]][match[2]][match[3]]
            self._send_content(stored.content, {"ETag": f'"{stored.etag}"'})
        else:
            self._refuse(404, "")

    def _version(self, repository: str, revision: str) -> tuple[str, dict[str, Stored]] | None:
        if repository in self.hub.gated and "Authorization" not in self.headers:
            self._refuse(403 if self.command == "HEAD" else 401, "GatedRepo")
            return None
        versions = self.hub.repositories.get(repository)
        if versions is None:
            self._refuse(404, "RepoNotFound")
            return None
        commit = self.hub.branches.get((repository, revision), revision)
        if commit not in versions:
            self._refuse(404, "RevisionNotFound")
            return None
        return commit, versions[commit]

    def _describe(self, repository: str, revision: str) -> None:
        if (version := self._version(repository, revision)) is None:
            return
        commit, files = version
        siblings = [_sibling(name, stored) for name, stored in sorted(files.items())]
        body = {"id": repository, "modelId": repository, "sha": commit, "private": False, "siblings": siblings}
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _list(self, repository: str, revision: str) -> None:
        if (version := self._version(repository, revision)) is not None:
            entries = [_tree_entry(name, stored) for name, stored in sorted(version[1].items())]
            self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        if (version := self._version(repository, revision)) is None:
            return
        commit, files = version
        if name not in files:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
            return
        stored = files[name]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{stored.etag}"'}
        if stored.large:
            headers |= {
                "X-Linked-Etag": f'"{stored.etag}"',
                "X-Linked-Size": str(len(stored.content)),
                "Location": f"{self.hub.cdn}/cdn/{repository}/{commit}/{name}",
            }
            self._send(302, b"", headers)
        else:
            self._send_content(stored.content, headers)

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        named = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        self._send(status, b"", {**named, **(headers or {})})

    def _send_content(self, content: bytes, headers: Mapping[str, str]) -> None:
        start, fresh = _range_start(self.headers.get("Range", "")), self.headers.get("If-Range")
        if start is None or (fresh is not None and fresh != headers.get("ETag")):
            self._send(200, content, headers)
        elif start >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        else:
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self._send(206, content[start:], headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        with self.hub.lock:
            self.hub.seen.append(Seen(*self.request_line.split(" ", 1), self.headers.get("Range", ""), status))
        fault = self._body_fault(status)
        body = _spoilt(body, fault)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = fault.cut_after if fault is not None else None
        self._write(body if cut is None else body[:cut], fault.bytes_per_second if fault else None)
        if cut is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _body_fault(self, status: int) -> Fault | None:
        if self.command != "GET" or status not in (200, 206):
            return None
        return self.hub.fault_for(self.request_line, ("cut_after", "replaced", "flipped", "bytes_per_second"))

    def _write(self, body: bytes, bytes_per_second: float | None) -> None:
        if bytes_per_second is None:
            self.wfile.write(body)
            return
        for start in range(0, len(body), _PIECE):
            piece = body[start : start + _PIECE]
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(len(piece) / bytes_per_second)


def _sibling(name: str, stored: Stored) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": name, "size": len(stored.content), "blobId": stored.blob}
    if stored.large:
        entry["lfs"] = {"sha256": stored.sha256, "size": len(stored.content), "pointerSize": 134}
    return entry


def _tree_entry(name: str, stored: Stored) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(stored.content), "oid": stored.blob}
    if stored.large:
        entry["lfs"] = {"oid": stored.sha256, "size": len(stored.content), "pointerSize": 134}
    return entry


def _range_start(header: str) -> int | None:
    match = re.fullmatch(r"bytes=(\d+)-", header.strip())
    return int(match[1]) if match else None


def _spoilt(body: bytes, fault: Fault | None) -> bytes:
    if fault is None:
        return body
    if fault.replaced is not None:
        return fault.replaced
    if fault.flipped and body:
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    return body
