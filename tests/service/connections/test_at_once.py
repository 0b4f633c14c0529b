"""Which requests are answered at once, and which take the long way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from imgtool import Engine
from imgtool.options import ServiceOptions
from imgtool.service.app import Service
from imgtool.service.connections.at_once import AtOnce, HeaderLines
from imgtool.service.connections.protocol import GuardedProtocol
from imgtool.service.gate import Noted
from tests.service.running import png

TARGET = b"/v1/predict"
HEADERS = [(b"host", b"localhost"), (b"content-type", b"image/png")]


def with_service(tmp_path: Path, check: Callable[[Service, list[Noted]], None], **options: Any) -> None:
    """Run ``check`` with a service that has the answer to one image in memory."""
    noted: list[Noted] = []

    async def run() -> None:
        with Engine(tasks=["caption"], caption_engine="tests.planted:Numbered", cache_dir=tmp_path) as engine:
            service = Service(engine, ServiceOptions(**options), log=noted.append)
            await service.start()
            transport = httpx.ASGITransport(service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                deadline = time.monotonic() + 30
                while answer(service.at_once) is None:
                    found = await client.post("/v1/predict", content=png(), headers={"content-type": "image/png"})
                    assert found.status_code == 200 and time.monotonic() < deadline
                    await asyncio.sleep(0.02)
            noted.clear()
            check(service, noted)
            await service.close()

    asyncio.run(run())


def answer(
    at_once: AtOnce,
    target: bytes = TARGET,
    *more: tuple[bytes, bytes],
    method: bytes = b"POST",
    headers: HeaderLines = HEADERS,
    body: bytes = png(),
) -> bytes | None:
    return at_once.answer(
        method,
        target,
        [*headers, *more],
        body,
        address="127.0.0.1",
        began=time.perf_counter(),
        first_headers=[(b"date", b"today")],
    )


def test_what_is_unusual_takes_the_long_way(tmp_path: Path) -> None:
    def check(service: Service, noted: list[Noted]) -> None:
        at_once = service.at_once
        found = answer(at_once)
        assert found is not None
        head, _, body = found.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\n")
        assert json.loads(body)["from_cache"] is True
        assert [(each.route, each.status, each.sent, each.caller) for each in noted] == [
            ("/v1/predict", 200, len(body), "127.0.0.1")
        ]
        noted.clear()
        assert answer(at_once, b"/v1/predict?page=0") is None
        assert answer(at_once, body=png((9, 9, 9))) is None
        assert answer(at_once, headers=[(b"host", b"localhost"), (b"content-type", b"image/jpeg")]) is None
        assert answer(at_once, headers=[(b"host", b"evil.example"), HEADERS[1]]) is None
        assert answer(at_once, TARGET, (b"host", b"localhost")) is None, "a header that comes twice"
        assert answer(at_once, TARGET, (b"origin", b"http://evil.example")) is None
        assert answer(at_once, TARGET, (b"accept", b"text/event-stream")) is None
        assert answer(at_once, method=b"PUT") is None and answer(at_once, method=b"GET") is None
        assert noted == []
        for unusual in (b"expect", b"range", b"if-none-match", b"upgrade"):
            assert not at_once.may_answer(TARGET, [*HEADERS, (unusual, b"x")])
        assert at_once.may_answer(TARGET, HEADERS) and at_once.may_answer(b"/livez", HEADERS)
        assert not at_once.may_answer(b"/v1/stats", HEADERS)
        live = answer(at_once, b"/livez", method=b"GET")
        assert live is not None and live.endswith(b"\r\n\r\nok\n")
        service.draining = True
        assert answer(at_once) is None
        assert answer(at_once, b"/livez", method=b"GET") is not None

    with_service(tmp_path, check)


def test_a_client_s_limit_holds(tmp_path: Path) -> None:
    def check(service: Service, _: list[Noted]) -> None:
        found = [answer(service.at_once) for _ in range(120)]
        allowed = [each for each in found if each is not None]
        assert 50 < len(allowed) < 100
        assert b"ratelimit: " in allowed[0] and b"ratelimit-policy: " in allowed[0]

    with_service(tmp_path, check, rate_limit="100/hour")


class Transport(asyncio.Transport):
    """Takes what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_an_answer_at_once_is_one_write_and_no_task(tmp_path: Path) -> None:
    import uvicorn
    from uvicorn.server import ServerState

    def check(service: Service, _: list[Noted]) -> None:
        config = uvicorn.Config(service.app, lifespan="off", log_config=None, proxy_headers=False)
        state = ServerState()
        protocol = GuardedProtocol(config, state, {}, asyncio.get_running_loop(), at_once=service.at_once)
        transport = Transport()
        protocol.connection_made(transport)
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: "
        request = head + b"%d\r\n\r\n" % len(png()) + png()
        for piece in (request, request[:50], request[50:-9], request[-9:], request + request):
            protocol.data_received(piece)
        assert [written[:15] for written in transport.written] == [b"HTTP/1.1 200 OK"] * 4
        assert not state.tasks and state.total_requests == 4
        protocol.connection_lost(None)

    with_service(tmp_path, check)
