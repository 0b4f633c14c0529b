"""Server-sent events: their order, their ids, going on after a break, and readers that are too slow."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imgtool.service.events import EventResponse, EventStream
from imgtool.service.problems import ClientGone
from tests import planted
from tests.service.running import Running, png, problem, running

SIDE_BY_SIDE = (
    *("-t", "caption,text", "--caption-engine", "tests.planted:Slow", "--text-engine", "tests.planted:SlowText"),
    *("--workers", "1"),
)
EVENTS = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(*SIDE_BY_SIDE, "--cache-dir", tmp_path_factory.mktemp("cache")) as found:
        yield found


def read(text: str) -> list[tuple[int, str, Any]]:
    """The events of a stream: number, name and data."""
    found = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_each_part_comes_as_it_is_ready_in_order(service: Running) -> None:
    began = time.monotonic()
    with service.stream(
        "POST", "/v1/predict", content=png((1, 1, 1)), headers={**EVENTS, "content-type": "image/png"}
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        chunks = answer.iter_text()
        text = next(chunks)
        assert time.monotonic() - began < 5
        text += "".join(chunks)
    events = read(text)
    assert [number for number, *_ in events] == [1, 2, 3, 4]
    assert [name for _, name, _ in events] == ["start", "ready", "ready", "complete"]
    assert events[0][2] == {"tasks": ["caption", "text"]}
    assert {data["task"]: data["value"] for _, name, data in events if name == "ready"} == {
        "caption": "slow",
        "text": [],
    }
    assert all(data["from_cache"] is False and data["seconds"] > 0.09 for _, name, data in events if name == "ready")
    done = events[-1][2]
    assert done["counts"] == {"answered": 2, "failed": 0, "from_cache": 0}
    assert done["parallel_efficiency"] > 0.6


def test_the_order_holds_for_many_at_once(service: Running) -> None:
    def ask(number: int) -> list[str]:
        answer = service.predict(png((number % 20, 2, 2)), headers=EVENTS)
        events = read(answer.text)
        assert [n for n, *_ in events] == list(range(1, len(events) + 1))
        return [name for _, name, _ in events]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(100)))
    assert found == [["start", "ready", "ready", "complete"]] * 100


def test_a_broken_connection_is_gone_on_with(service: Running) -> None:
    content = png((3, 1, 1))
    head = "Host: localhost\r\nAccept: text/event-stream\r\nContent-Type: image/png\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        request = f"POST /v1/predict HTTP/1.1\r\n{head}Content-Length: {len(content)}\r\n\r\n"
        connection.sendall(request.encode() + content)
        seen = connection.recv(4096).decode()
        while "event: start" not in seen:
            seen += connection.recv(4096).decode()
    address = next(line.split(": ")[1] for line in seen.splitlines() if line.lower().startswith("content-location"))
    rest = read(service.get(address, headers={"last-event-id": "1"}).text)
    assert [(number, name) for number, name, _ in rest] == [(2, "ready"), (3, "ready"), (4, "complete")]
    again = read(service.get(address, headers={"last-event-id": "3"}).text)
    assert [number for number, *_ in again] == [4]
    assert [number for number, *_ in read(service.get(address).text)] == [1, 2, 3, 4]
    problem(service.get(address, headers={"last-event-id": "many"}), 400, "bad_request")


def test_one_part_that_fails_does_not_fail_the_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    both = ("-t", "caption,text", "--caption-engine", "tests.planted:Hazard", "--text-engine", "tests.planted:Fine")
    with running(*both, "--cache-dir", tmp_path_factory.mktemp("cache")) as service:
        events = read(service.predict(png(planted.RED), headers=EVENTS).text)
        names = [name for _, name, _ in events]
        assert (names[0], sorted(names[1:3]), names[3]) == ("start", ["error", "ready"], "complete")
        failed = next(data for _, name, data in events if name == "error")
        assert (failed["task"], failed["problem"]["code"]) == ("caption", "worker_crashed")
        assert events[-1][2]["counts"] == {"answered": 1, "failed": 1, "from_cache": 0}
        broken = read(service.predict(b"\x89PNG\r\n\x1a\n garbage", headers=EVENTS).text)
        assert [name for _, name, _ in broken] == ["start", "error", "error", "complete"]


def test_with_codes_the_events_have_the_documents_names(tmp_path_factory: pytest.TempPathFactory) -> None:
    codes = ("-t", "text,codes", "--text-engine", "tests.planted:Fine", "--cache-dir", tmp_path_factory.mktemp("cache"))
    with running(*codes) as service:
        names = [name for _, name, _ in read(service.predict(png(), headers=EVENTS).text)]
        assert names[0] == "detail_page_buttons_start"
        assert names[1:3] == ["detail_page_button_ready"] * 2
        assert names[3] == "detail_page_buttons_complete"
        plain = read(service.predict(png(), headers=EVENTS, params={"tasks": "text"}).text)
        assert [name for _, name, _ in plain] == ["start", "ready", "complete"]


# -- in this process


async def collect(response: EventResponse, receive: Any = None, stuck: bool = False) -> bytes:
    """What an answer sends to a reader, who is ``stuck`` after the head or takes everything."""
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))
        if stuck and len(sent) > 1:
            await asyncio.sleep(3600)

    async def wait() -> dict[str, str]:
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    await response({"type": "http"}, receive or wait, send)  # type: ignore[arg-type]
    return b"".join(sent)


def test_a_comment_is_sent_where_nothing_happens() -> None:
    async def run() -> bytes:
        stream = EventStream("anna")
        asyncio.get_running_loop().call_later(0.2, stream.end)
        return await collect(EventResponse(stream, comment_seconds=0.05))

    assert asyncio.run(run()).count(b": still here") >= 2


def test_a_reader_who_takes_nothing_is_cut_off() -> None:
    async def run() -> None:
        stream = EventStream("anna")
        stream.send("start", {})
        with pytest.raises(ClientGone):
            await collect(EventResponse(stream, slow_seconds=0.05), stuck=True)
        assert stream.readers == 0

    asyncio.run(run())


def test_what_is_kept_is_bounded_and_who_comes_too_late_is_told_by_the_end() -> None:
    async def run() -> None:
        stream = EventStream("anna", most=10)
        for number in range(100):
            stream.send("progress", number)
        assert stream.after(50) is None
        kept = stream.after(90)
        assert kept is not None and [event.number for event in kept] == list(range(91, 101))
        assert b"progress" not in await collect(EventResponse(stream, after=50))
        wide = EventStream("anna", most_bytes=1000)
        for _ in range(10):
            wide.send("ready", "x" * 400)
        assert wide.size <= 1000

    asyncio.run(run())


def test_who_leaves_is_noticed_at_once() -> None:
    async def gone() -> dict[str, str]:
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def run() -> list[str]:
        left: list[str] = []
        with pytest.raises(ClientGone):
            await collect(EventResponse(EventStream("anna"), on_left=lambda: left.append("left")), gone)
        return left

    assert asyncio.run(run()) == ["left"]
