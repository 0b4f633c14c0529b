"""Answers about images over HTTP, from a real service."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from imgtool.service.predict import Pace, parallel_efficiency
from tests import planted
from tests.fakes.clock import FakeClock
from tests.service.running import PLANTED, Running, png, problem, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(*PLANTED, "--cache-dir", tmp_path_factory.mktemp("cache"), "--max-body", "1MiB") as found:
        yield found


def test_a_raw_body_is_answered_and_then_comes_from_the_cache(service: Running) -> None:
    content = png((1, 2, 3))
    first = service.predict(content, params={"name": "../photo.png"})
    assert first.status_code == 200
    result = first.json()
    assert (result["path"], result["status"], result["from_cache"]) == ("photo.png", "ok", False)
    assert result["tasks"]["caption"]["value"] == "colour (1, 2, 3)"
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    assert "total;dur=" in first.headers["server-timing"]
    again = service.predict(content).json()
    assert again["from_cache"] is True


def test_tasks_are_chosen_and_a_multipart_body_may_hold_several_images(service: Running) -> None:
    files = [("file", (f"{n}.png", png((n, 9, 9)))) for n in range(3)]
    results = service.post("/v1/predict", files=files, data={"tasks": "caption"}).json()["results"]
    assert [(r["path"], r["tasks"]["caption"]["value"]) for r in results] == [
        (f"{n}.png", f"colour ({n}, 9, 9)") for n in range(3)
    ]
    assert all(list(result["tasks"]) == ["caption"] for result in results)


def test_the_documents_own_addresses_have_the_documents_fields(service: Running) -> None:
    answer = service.post("/predict", files={"file": ("a.png", png((5, 5, 5)))}).json()
    assert answer["success"] is True
    assert answer["predictions"] == {"caption": "colour (5, 5, 5)", "text": []}
    assert set(answer["metadata"]) == {
        *("processing_time_ms", "image_size", "filename", "model_version", "cache_enabled", "from_cache")
    }
    assert (answer["metadata"]["image_size"], answer["metadata"]["filename"]) == ([8, 6], "a.png")
    figures = service.get("/model/stats").json()
    assert figures["total_predictions"] >= 1
    assert figures["warmup_completed"] is True
    assert service.get("/model/cache").json()["entries"] >= 1


def test_who_knows_the_hash_uploads_nothing(service: Running) -> None:
    content = png((77, 2, 3))
    address = f"/v1/results/{hashlib.sha256(content).hexdigest()}"
    problem(service.get(address), 404, "not_kept")
    sent = service.predict(content).json()
    kept = service.get(address)
    assert kept.json()["tasks"]["caption"]["value"] == sent["tasks"]["caption"]["value"]
    assert kept.json()["file_size"] == len(content)
    for given in (kept.headers["etag"], '"other", ' + kept.headers["etag"].removeprefix("W/"), "*"):
        unchanged = service.get(address, headers={"if-none-match": given})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert service.get(address, headers={"if-none-match": '"other"'}).status_code == 200
    assert service.get(address, params={"tasks": "text"}).headers["etag"] != kept.headers["etag"]
    problem(service.get("/v1/results/abc"), 400, "bad_parameter")


def test_a_crash_costs_one_answer_and_one_task_of_it(service: Running) -> None:
    results = service.post(
        "/v1/predict", files=[("f", ("a.png", png((3, 3, 3)))), ("f", ("red.png", png(planted.RED)))]
    ).json()["results"]
    assert [result["status"] for result in results] == ["ok", "partial"]
    assert results[1]["tasks"]["caption"]["error"]["code"] == "worker_crashed"
    document = problem(service.predict(png(planted.RED), params={"tasks": "caption"}), 422, "worker_crashed")
    assert document["result"]["sha256"] == hashlib.sha256(png(planted.RED)).hexdigest()


def test_two_uploads_of_one_image_at_once_are_one_computation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = ("-t", "caption", "--caption-engine", "tests.planted:Slow", "--cache-dir", tmp_path / "cache")
    with running(*arguments, PLANTED_LOG=str(log)) as service, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: service.predict(png((8, 8, 8))), range(8)))
        assert {answer.status_code for answer in answers} == {200}
    assert log.read_text().count("slow") == 1


def test_a_long_answer_is_compressed_and_a_short_one_is_not(service: Running) -> None:
    files = [("file", (f"{n}.png", png((n, 9, 9)))) for n in range(3)]
    long = service.post("/v1/predict", files=files)
    assert long.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in long.headers["vary"].lower()
    assert "content-encoding" not in service.predict(png((5, 5, 5))).headers
    events = service.post("/v1/predict", files={"f": ("a.png", png())}, headers={"accept": "text/event-stream"})
    assert "content-encoding" not in events.headers


def test_the_id_of_a_request_is_the_client_s_where_that_is_one(service: Running) -> None:
    assert service.get("/livez", headers={"x-request-id": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    for odd in ("a b", "x" * 200, "é"):
        found = service.get("/livez", headers={"x-request-id": odd.encode()}).headers["x-request-id"]
        assert len(found) == 32 and found != odd


def test_the_parameters_of_a_form_and_of_the_address_are_checked_alike(service: Running) -> None:
    content = png()
    for params, word in (
        ({"taks": "caption"}, "'tasks'"),
        ({"tasks": "captoin"}, "'caption'"),
        ({"tasks": "labels"}, "caption, text"),
        ({"tasks": " , "}, "caption"),
        ({"page": "two"}, ""),
        ({"page": "-1"}, ""),
        ({"page": "9" * 400}, ""),
        ({"deadline": "nan"}, ""),
        ({"deadline": "61"}, ""),
        ({"languages": "xx"}, "ko, en"),
    ):
        found = problem(service.predict(content, params=params), 400, "bad_parameter")
        assert word in found["remedy"], found
        form = service.post("/v1/predict", files={"file": ("a.png", content)}, data=params)
        problem(form, 400, "bad_parameter")
    assert service.predict(content, params={"languages": "en"}).status_code == 200


def test_the_deadline_is_kept_and_what_was_answered_by_then_is_given(tmp_path: Path) -> None:
    with running(*PLANTED, "--cache-dir", tmp_path, "--timeout", "1s") as service:
        late = service.predict(png(planted.GREEN), params={"deadline": "0.3", "tasks": "caption"})
        problem(late, 504, "deadline_exceeded")
        in_part = service.predict(png(planted.GREEN, (9, 9)), params={"deadline": "20"}).json()
        assert in_part["status"] == "partial"
        assert in_part["tasks"]["caption"]["error"]["code"] == "timeout"
        problem(service.predict(png(planted.GREEN, (7, 7)), params={"tasks": "caption"}), 504, "timeout")


SLOW = ("-t", "caption", "--caption-engine", "tests.planted:Slow", "--workers", "1")


def test_a_full_queue_is_said_at_once_with_when_to_come_again(tmp_path: Path) -> None:
    with running(*SLOW, "--cache-dir", tmp_path, "--queue", "2") as service, ThreadPoolExecutor(40) as threads:
        known = png((200, 1, 1))
        assert service.predict(known).status_code == 200
        sent = [threads.submit(service.predict, png((n, 1, 1))) for n in range(40)]
        time.sleep(0.3)
        began = time.monotonic()
        assert service.predict(known).json()["from_cache"] is True  # costs no place in the queue
        assert service.get("/livez").text == "ok\n"
        assert time.monotonic() - began < 1
        answers = [each.result() for each in sent]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 0 < len(refused) < 40
        for answer in refused:
            problem(answer, 429, "queue_full")
            assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_clients_that_leave_while_queued_cost_nothing_and_in_hand_the_answer_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(*SLOW, "--cache-dir", tmp_path / "cache", PLANTED_LOG=str(log)) as service:
        before = log.read_text().count("slow")
        connections = []
        for number in range(30):
            body = png((number, 7, 7))
            connection = socket.create_connection(("127.0.0.1", service.port))
            head = f"Host: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\n" + head.encode() + body)
            connections.append(connection)
        deadline = time.monotonic() + 30
        while log.read_text().count("slow") - before < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for connection in connections:
            connection.close()
        assert service.predict(png((99, 1, 1))).status_code == 200
        computed = log.read_text().count("slow") - before
        assert computed < 20, "those that waited were computed although nobody was there"
        hashes = [hashlib.sha256(png((number, 7, 7))).hexdigest() for number in range(30)]
        kept = sum(service.get(f"/v1/results/{sha256}").status_code == 200 for sha256 in hashes)
        assert kept >= 2
    assert " 499 " in service.log


def test_results_are_removed_by_an_admin_alone(tmp_path: Path) -> None:
    from imgtool.service.keys import Role, add_key

    keys = tmp_path / "keys.json"
    user, admin = (add_key(keys, role.value, role, None) for role in (Role.USER, Role.ADMIN))
    with running(*PLANTED, "--cache-dir", tmp_path / "cache", "--api-keys", keys) as service:
        as_user, as_admin = ({"authorization": f"Bearer {key}"} for key in (user, admin))
        hashes = [service.predict(png((n, 0, 0)), headers=as_user).json()["sha256"] for n in range(3)]
        address = f"/v1/cache/{hashes[0]}"
        problem(service.delete(address, headers=as_user), 403, "forbidden")
        assert service.delete(address, headers=as_admin).json() == {"removed": 1}
        problem(service.delete(address, headers=as_admin), 404, "not_kept")
        problem(service.get(f"/v1/results/{hashes[0]}", headers=as_user), 404, "not_kept")
        assert service.get(f"/v1/results/{hashes[1]}", headers=as_user).status_code == 200
        assert service.delete("/model/cache", headers=as_admin).json() == {"removed": 2}
        problem(service.get(f"/v1/results/{hashes[1]}", headers=as_user), 404, "not_kept")


def test_the_page_of_a_document_is_chosen(service: Running, tmp_path: Path) -> None:
    from PIL import Image

    pages = [Image.new("RGB", (10, 10), (n, 0, 0)) for n in range(2)]
    path = tmp_path / "two.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    headers = {"content-type": "image/tiff"}
    found = service.predict(path.read_bytes(), params={"page": "1"}, headers=headers).json()
    assert (found["page"], found["pages"], found["tasks"]["caption"]["value"]) == (1, 2, "colour (1, 0, 0)")
    problem(service.predict(path.read_bytes(), params={"page": "2"}, headers=headers), 422, "no_such_page")


def test_the_rate_of_the_last_minute_says_when_to_come_again() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    assert (pace.per_second, pace.seconds_for(10)) == (None, 1.0)
    for _ in range(20):
        pace.note()
        clock.now += 0.5
    assert pace.per_second == pytest.approx(2.0)
    assert pace.seconds_for(10) == pytest.approx(5.0)
    assert (pace.seconds_for(1000), pace.seconds_for(0)) == (60.0, 1.0)
    clock.now += 100
    assert pace.per_second is None


def test_the_efficiency_of_parts_that_run_side_by_side() -> None:
    assert parallel_efficiency([]) is None
    assert parallel_efficiency([(0.0, 1.0)]) is None
    assert parallel_efficiency([(0.0, 1.0), (0.0, 1.0)]) == 1.0
    assert parallel_efficiency([(0.0, 1.0), (1.0, 2.0)]) == 0.5
    assert parallel_efficiency([(0.0, 1.0), (0.0, 0.5)]) == 0.75


def test_a_result_is_the_one_of_the_schema(service: Running) -> None:
    from imgtool.types import ImageResult

    answer: httpx.Response = service.predict(png((4, 4, 4)))
    assert json.loads(ImageResult.from_json(answer.content).to_json()) == answer.json()
