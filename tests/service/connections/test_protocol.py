"""Requests whose answer is in memory: the same answer as on the long way, whatever way their bytes come."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from imgtool.service.keys import Role, add_key
from tests.command import imgtool
from tests.service.running import Running, png, problem, running

NUMBERED = ("-t", "caption", "--caption-engine", "tests.planted:Numbered")
PLAIN = {"accept-encoding": "identity"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(*NUMBERED, "--cache-dir", tmp_path_factory.mktemp("cache")) as found:
        yield found


def at_once(answer: httpx.Response) -> bool:
    """Whether it came from memory: then nothing else took time."""
    return re.fullmatch(r"total;dur=[\d.]+", answer.headers["server-timing"]) is not None


def until_at_once(service: Running, content: bytes, **more: Any) -> tuple[httpx.Response, httpx.Response]:
    """Ask until the answer comes from memory: the last answer from the store, and that one."""
    headers = {**PLAIN, **more.pop("headers", {})}
    before = service.predict(content, headers=headers, **more)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = service.predict(content, headers=headers, **more)
        assert answer.status_code == 200, answer.text
        if at_once(answer):
            return before, answer
        before = answer
        time.sleep(0.02)
    raise AssertionError("never from memory")


_OF_THE_MOMENT = ("date", "server-timing", "content-length")


def without_times(answer: httpx.Response) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name not in _OF_THE_MOMENT}
    headers["x-request-id"] = str(len(headers["x-request-id"]))
    return answer.json() | {"processing_time_ms": 0}, headers


def test_an_answer_from_memory_is_the_one_from_the_store(service: Running) -> None:
    for more in ({}, {"params": {"tasks": "caption", "name": "zoë.png"}}):
        before, answer = until_at_once(service, png((1, 1, 1)), **more)
        assert without_times(answer) == without_times(before)
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert 0 < answer.json()["processing_time_ms"] < 1000
    assert answer.json()["path"] == "zoë.png"
    given = service.predict(png((1, 1, 1)), headers={**PLAIN, "x-request-id": "mine"})
    assert given.headers["x-request-id"] == "mine"


def test_an_answer_by_hash_is_known_again_with_its_tag(service: Running) -> None:
    content = png((1, 1, 2))
    service.predict(content)
    path = f"/v1/results/{hashlib.sha256(content).hexdigest()}"
    first = service.get(path, headers=PLAIN)
    answers = []
    for _ in range(20):
        answers.append(service.get(path, headers=PLAIN))
        time.sleep(0.02)
    for answer in answers:
        assert without_times(answer) == without_times(first) and answer.headers["etag"] == first.headers["etag"]
    assert service.get(path, headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert service.get(path, headers={"host": "evil.example"}).status_code == 403


def test_another_body_type_or_query_is_another_question(service: Running) -> None:
    content = png((1, 1, 3))
    until_at_once(service, content)
    assert not at_once(service.predict(png((1, 1, 4)), headers=PLAIN))
    assert not at_once(service.predict(content, headers={**PLAIN, "content-type": "image/jpeg"}))
    problem(service.predict(content, headers={**PLAIN, "content-type": "text/plain"}), 415, "unsupported_media_type")
    problem(service.predict(content, headers=PLAIN, params={"tasks": "captoin"}), 400, "bad_parameter")
    problem(service.predict(content, headers={**PLAIN, "host": "evil.example"}), 403, "forbidden")
    problem(service.predict(content, headers={**PLAIN, "origin": "http://evil.example"}), 403, "forbidden")
    events = service.predict(content, headers={**PLAIN, "accept": "text/event-stream"})
    assert events.headers["content-type"].startswith("text/event-stream")
    assert "predictions" in service.predict(content, "/predict", headers=PLAIN).json()


def request(content: bytes, *more: str) -> bytes:
    lines = ("POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: image/png", *more)
    return "\r\n".join((*lines, f"Content-Length: {len(content)}", "", "")).encode() + content


def test_bytes_may_come_in_any_pieces_and_requests_one_after_the_other(service: Running) -> None:
    content = png((1, 1, 5))
    until_at_once(service, content)
    last = request(content, "Connection: close")
    for pieces, answers in (
        ([request(content) + request(content) + last], 3),
        ([request(content)[:-5], request(content)[-5:] + last[:40], last[40:]], 2),
        ([*(bytes((letter,)) for letter in last)], 1),
        ([request(png((1, 9, 5))) + request(content) + last], 3),
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.1 if len(pieces) < 10 else 0.001)
            found = b""
            while chunk := connection.recv(65536):
                found += chunk
        assert found.count(b"HTTP/1.1 200 OK") == answers, found
        assert found.count(b'"status":"ok"') == answers


def test_a_client_that_leaves_in_the_middle_of_its_body_costs_nothing(service: Running) -> None:
    content = png((1, 1, 6))
    until_at_once(service, content)
    for seconds in (0, 0.2):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(request(content)[:-5])
            time.sleep(seconds)
    _, answer = until_at_once(service, content)
    assert answer.json()["status"] == "ok"
    assert "Traceback" not in service.log


def test_answers_from_memory_are_counted_and_logged_like_others(service: Running) -> None:
    time.sleep(1.1)  # figures are a second old at most
    before = service.get("/v1/stats").json()
    asked = from_memory = 0
    while from_memory < 5:
        headers = {**PLAIN, "x-request-id": f"counted-{asked}"}
        from_memory += at_once(service.predict(png((1, 1, 7)), headers=headers))
        asked += 1
        assert asked < 500
    time.sleep(1.1)  # figures are a second old at most
    after = service.get("/v1/stats").json()
    for name, count in (("images", asked), ("hits", asked - 1), ("hits_local", asked - 1), ("answered", asked)):
        assert after[name] - before[name] == count, name
    assert after["tasks"]["caption"]["from_cache"] == after["hits"]
    line = r'_count{http_request_method="POST",http_response_status_code="200",http_route="/v1/predict"} (\S+)'
    counted = re.search(line, service.get("/metrics").text)
    assert counted is not None and float(counted[1]) >= asked
    assert re.search(rf"POST /v1/predict 200 .* id=counted-{asked - 1} images=1 from_cache=True", service.log)


def test_what_is_removed_is_not_answered_from_memory(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    admin = {"x-api-key": add_key(keys, "admin", Role.ADMIN, None)}
    monitor = {"x-api-key": add_key(keys, "monitor", Role.MONITOR, None)}
    content = png((1, 1, 8))
    cache = tmp_path / "cache"
    with running(*NUMBERED, "--cache-dir", cache, "--api-keys", keys, "--rate-limit", "2000/minute") as service:
        for path in ("/v1/cache", f"/v1/cache/{hashlib.sha256(content).hexdigest()}"):
            _, answer = until_at_once(service, content, headers=admin)
            assert answer.headers["ratelimit"] and answer.headers["ratelimit-policy"]
            problem(service.predict(content, headers={**PLAIN, **monitor}), 403, "forbidden")
            problem(service.predict(content, headers=PLAIN), 401, "key_missing")
            assert service.delete(path, headers=admin).status_code == 200
            assert service.predict(content, headers={**PLAIN, **admin}).json()["from_cache"] is False
        until_at_once(service, content, headers=admin)
        assert imgtool("cache", "clear", "--cache-dir", str(cache)).code == 0
        time.sleep(1.1)
        assert service.predict(content, headers={**PLAIN, **admin}).json()["from_cache"] is False


def test_livez_is_answered_as_by_the_application_and_only_to_whom_it_may(service: Running) -> None:
    answer = service.get("/livez", headers=PLAIN)
    other = service.get("/livez?", headers={**PLAIN, "x-request-id": "a"})
    assert (answer.text, answer.status_code) == (other.text, other.status_code) == ("ok\n", 200)
    assert {*answer.headers} == {*other.headers}
    problem(service.post("/livez"), 405, "method_not_allowed")
    problem(service.get("/livez", headers={"host": "evil.example"}), 403, "forbidden")
