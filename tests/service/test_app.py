"""The application in this process: what needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from imgtool import Engine
from imgtool.errors import EngineClosed, ImgtoolError, NotKept, QueueFull, UsageProblem
from imgtool.options import ServiceOptions
from imgtool.service.app import Service
from imgtool.service.bodies import BodyReader, clean_name
from imgtool.service.gate import Noted, from_framework
from imgtool.service.jobs.endpoints import JobRequest
from imgtool.service.jobs.paths import Root
from imgtool.service.problems import STATUSES, HttpProblem, from_error, of_result
from imgtool.service.status import Readiness
from tests import pictures
from tests.service.running import png, problem

PLANTED = {"tasks": ["caption"], "caption_engine": "tests.planted:Hazard"}


def asked(tmp_path: Path, work: Callable[[httpx.AsyncClient, Service], Awaitable[Any]], **options: Any) -> list[Noted]:
    """Run ``work`` with a client of a service in this process; what was noted about its requests."""
    noted: list[Noted] = []

    async def run() -> None:
        with Engine(**PLANTED, cache_dir=tmp_path / "cache") as engine:
            service = Service(engine, ServiceOptions(**options), log=noted.append)
            transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
            await service.start()
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                await work(client, service)
            await service.close()

    asyncio.run(run())
    return noted


def test_a_request_is_noted_once_with_what_it_was(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        sent = {"content": png((1, 2, 3)), "headers": {"content-type": "image/png", "x-request-id": "r1"}}
        assert (await client.post("/v1/predict", **sent)).status_code == 200
        assert not service.busy and service.bodies.held == 0
        problem(await client.get("/nowhere"), 404, "not_found")

    first, second = asked(tmp_path, work)
    assert (first.request_id, first.route, first.status, first.received) == (
        "r1",
        "/v1/predict",
        200,
        len(png((1, 2, 3))),
    )
    assert first.more["images"] == 1 and first.seconds > 0 and first.sent > 100
    assert (second.code, second.status, second.route) == ("not_found", 404, "unknown")


def test_a_bug_of_ours_is_an_answer_and_is_reported(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        def broken() -> Readiness:
            raise ZeroDivisionError("planted")

        service.status.readiness = broken  # type: ignore[method-assign]
        document = problem(await client.get("/readyz"), 500, "internal")
        assert "planted" not in document["detail"]

    (noted,) = asked(tmp_path, work)
    assert noted.code == "internal"


def test_a_service_that_drains_refuses_work_and_says_so(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        await service.drain()
        refused = await client.post("/v1/predict", content=png(), headers={"content-type": "image/png"})
        problem(refused, 503, "draining")
        assert refused.headers["retry-after"] == "5"
        assert (await client.get("/readyz")).json()["draining"] is True
        assert (await client.get("/livez")).status_code == 200

    asked(tmp_path, work)


def request_of(*chunks: bytes, headers: dict[str, str] | None = None, wait: float = 0) -> Request:
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(wait)
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left)}

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw, "query_string": b"", "path": "/"}, receive)


def read(reader: BodyReader, request: Request) -> bytes:
    async def run() -> bytes:
        async with reader.read(request) as body:
            assert reader.held == len(body)
            return body

    return asyncio.run(run())


def test_bodies_are_read_within_their_limits() -> None:
    reader = BodyReader(10, seconds=0.2)
    assert read(reader, request_of(b"12345", b"67890")) == b"1234567890"
    assert reader.held == 0
    for request, code in (
        (request_of(b"12345", b"678901"), "body_too_large"),
        (request_of(b"1", headers={"content-length": "11"}), "body_too_large"),
        (request_of(b"1", b"2", b"3", wait=0.15), "body_timeout"),
    ):
        with pytest.raises(HttpProblem) as caught:
            read(reader, request)
        assert caught.value.code == code and caught.value.remedy
        assert reader.held == 0
    full = BodyReader(10, budget=10)
    full.held = 8
    with pytest.raises(HttpProblem) as caught:
        read(full, request_of(b"12345"))
    assert caught.value.code == "queue_full"
    assert full.held == 8


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a.png", "a.png"), ("../../a.png", "a.png"), ("C:\\x\\a.png", "a.png"), ("a\r\nb\x1b[31m", "ab[31m"), (None, "")],
)
def test_names_of_files_do_no_harm(given: str | None, expected: str) -> None:
    assert clean_name(given) == expected


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueueFull("full"), 429, "queue_full"),
        (NotKept("none"), 404, "not_kept"),
        (EngineClosed("closed"), 503, "draining"),
        (UsageProblem("odd"), 400, "bad_parameter"),
        (ImgtoolError("other"), 500, "internal"),
    ],
)
def test_what_the_engine_raises_has_a_status(error: ImgtoolError, status: int, code: str) -> None:
    found = from_error(error, 7.4)
    assert (found.status, found.code) == (status, code)
    assert found.headers.get("retry-after") in {None, "5", "7"}


def test_every_code_has_a_status_and_a_meaning() -> None:
    for status, meaning in STATUSES.values():
        assert 400 <= status < 600 and meaning[0].isupper()


def test_only_results_without_any_answer_are_problems(tmp_path: Path) -> None:
    with Engine(**PLANTED, cache=False) as engine:
        assert of_result(engine.submit(png()).result(60)) is None
        found = of_result(engine.submit(b"no image at all").result(60))
    assert found is not None and (found.status, found.code) == (422, "not_an_image")


def test_what_the_router_says_becomes_a_problem() -> None:
    from starlette.exceptions import HTTPException

    noted = Noted(request_id="r", method="PUT", path="/x")
    assert from_framework(HTTPException(404), noted).code == "not_found"
    assert from_framework(HTTPException(405, headers={"allow": "GET"}), noted).headers == {"allow": "GET"}
    assert from_framework(HTTPException(418, "teapot"), noted).status == 418


def test_files_below_the_root_and_no_others(tmp_path: Path) -> None:
    from imgtool.engine.files.discover import Rules

    inside = pictures.folder(tmp_path / "root" / "a", [(1, 1, 1)] * 2).parent
    (tmp_path / "outside.png").write_bytes(b"")
    (inside / "link.png").symlink_to(tmp_path / "outside.png")
    root = Root(inside, Rules())
    assert (
        root.check("a") == "a" and root.check(str(inside / "a" / "000.png")) == "a/000.png" and root.check(".") == "."
    )
    assert list(root.find(("a",))) == ["a/000.png", "a/001.png"]
    assert root.resolve("a/000.png") == str(inside / "a" / "000.png")
    for out in ("..", "a/../..", "/", "link.png", str(tmp_path / "outside.png")):
        with pytest.raises(HttpProblem) as caught:
            root.check(out)
        assert caught.value.code == "outside_root"
    moved = root.resolve("link.png")
    assert not isinstance(moved, str) and moved.code == "outside_root"
    assert JobRequest(paths=["a"]).tasks is None
