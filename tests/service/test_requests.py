"""What clients get wrong, or do on purpose: the status, the problem document, and a service that goes on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.test_bad_input import png_header_only
from tests.service.running import PLANTED, Running, png, problem, running

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    cache = tmp_path_factory.mktemp("cache")
    with running(*PLANTED, "--cache-dir", cache, "--max-body", "64KiB", "--max-pixels", "100000") as found:
        yield found
        assert found.get("/livez").text == "ok\n"
        assert "Traceback" not in found.log


def answered(data: bytes) -> tuple[int, dict[str, object]]:
    """Status and problem document of one raw answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, data
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("length", "sent", "status", "code"),
    [
        (b"Content-Length: 99999999999999999999999", b"", 400, "bad_request"),
        (b"Content-Length: 100000000000", b"x" * 100, 413, "body_too_large"),
        (b"Content-Length: -5", b"", 400, "bad_request"),
        (b"Content-Length: five", b"", 400, "bad_request"),
        (b"Content-Length: 5\r\nContent-Length: 6", b"12345", 400, "bad_request"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"12345", 400, "bad_request"),
        (b"X: y", b"", 422, "empty_file"),
        (b"Content-Length: 0", b"", 422, "empty_file"),
        (b"Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n1\r\nx\r\n", 413, "body_too_large"),
        (b"Transfer-Encoding: chunked", b"zz\r\n", 400, "bad_request"),
    ],
    ids=["absurd", "huge", "negative", "word", "two", "smuggling", "missing", "none", "chunked", "bad chunk"],
)
def test_what_is_wrong_with_the_length(service: Running, length: bytes, sent: bytes, status: int, code: str) -> None:
    found = answered(service.raw(HEAD + b"Connection: close\r\n" + length + b"\r\n\r\n" + sent))
    assert (found[0], found[1]["code"]) == (status, code)
    assert found[1]["remedy"]


def test_a_length_that_is_too_small_breaks_off_and_nothing_of_it_is_taken_for_a_request(service: Running) -> None:
    body = png((6, 6, 6))
    length = b"Content-Length: %d\r\n\r\n" % (len(body) - 10)
    found = service.raw(HEAD + length + body)
    assert found.count(b"HTTP/1.1") == 1
    assert answered(found)[0] == 400


def test_a_head_without_end_is_cut_off(service: Running) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(100))
    assert answered(service.raw(HEAD + headers))[0] == 431


def test_what_is_no_http_is_told_so(service: Running) -> None:
    assert answered(service.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))[0] == 400


def test_clients_that_send_a_byte_a_second_cost_a_connection_for_a_moment(tmp_path: Path) -> None:
    # The limits are those of the module: shortened here, in the process that serves.
    code = """
import sys
from imgtool.cli.main import main
from imgtool.service import bodies
from imgtool.service.connections import protocol
bodies.BodyReader.__init__.__kwdefaults__["seconds"] = protocol.HEAD_SECONDS = 1.0
main()
"""
    with running(*PLANTED, "--cache-dir", tmp_path, program=code) as service:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as in_body:
            in_body.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as in_head:
                with suppress(OSError):  # they are broken off, sooner or later
                    for letter in b"GET /livez":
                        in_head.sendall(bytes([letter]))
                        time.sleep(0.15)
                        in_body.sendall(b"x")
                with suppress(ConnectionError):
                    assert in_head.recv(100) == b""
            status, document = answered(in_body.recv(4096))
            assert (status, document["code"]) == (408, "body_timeout")
        assert time.monotonic() - began < 15
        assert service.predict(png()).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json", ""])
def test_other_bodies_are_told_what_is_taken(service: Running, kind: str) -> None:
    answer = service.post("/v1/predict", content=png(), headers={"content-type": kind})
    assert "multipart/form-data" in problem(answer, 415, "unsupported_media_type")["remedy"]


def multipart(*parts: bytes, end: bytes = b"--x--\r\n") -> dict[str, object]:
    body = b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end
    return {"content": body, "headers": {"content-type": "multipart/form-data; boundary=x"}}


FILE = b'Content-Disposition: form-data; name="file"; filename="a.png"\r\n'


@pytest.mark.parametrize(
    "parts",
    [
        multipart(FILE + b"X:y\r\n" * 10_000 + b"\r\nxxx"),
        multipart(FILE + b"X: " + b"y" * 10_000 + b"\r\n\r\nxxx"),
        multipart(b'Content-Disposition: form-data; name="tasks"\r\n\r\ncaption'),
        multipart(b'Content-Disposition: form-data; name="file"\r\n\r\nxxx'),
        multipart(*[FILE + b"\r\nx"] * 40),
        multipart(*[b'Content-Disposition: form-data; name="f%d"\r\n\r\nx' % n for n in range(100)]),
        multipart(FILE + b"\r\nx", end=b""),
        multipart(b"\r\nx"),
        {"content": b"no parts", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"--x--", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=" + "x" * 1000}},
    ],
    ids=[
        *("10,000 headers", "long header", "no file", "no file name", "40 files", "100 fields", "no end", "no name"),
        *("no parts", "no boundary", "long boundary"),
    ],
)
def test_multipart_bodies_that_are_none(service: Running, parts: dict[str, object]) -> None:
    began = time.monotonic()
    assert problem(service.post("/v1/predict", **parts), 400, "bad_request")["remedy"]
    assert time.monotonic() - began < 5


def truncated(path: Path) -> bytes:
    Image.effect_noise((200, 200), 50).convert("RGB").save(path, "JPEG")
    return path.read_bytes()[:2000]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty", "empty_file"),
        ("text", "not_an_image"),
        ("truncated", "truncated"),
        ("garbage", "damaged"),
        ("bomb", "too_many_pixels"),
        ("bomb of zlib", "too_many_pixels"),
        ("html", "not_an_image"),
    ],
)
def test_images_that_cannot_be_decoded_say_why(service: Running, tmp_path: Path, name: str, code: str) -> None:
    content = {
        "empty": b"",
        "text": b"not a picture at all\n" * 5,
        "truncated": truncated(tmp_path / "a.jpg"),
        "garbage": b"\x89PNG\r\n\x1a\n garbage",
        "bomb": png_header_only(tmp_path / "bomb.png", 60_000, 60_000).read_bytes(),
        "bomb of zlib": png((0, 0, 0), (2000, 2000)),
        "html": b"<!doctype html><title>x</title>",
    }[name]
    document = problem(service.predict(content), 422, code)
    assert document["remedy"]
    assert document["result"]["status"] == "failed"


def test_addresses_and_methods_that_do_not_exist(service: Running) -> None:
    problem(service.get("/v1/nothing"), 404, "not_found")
    assert problem(service.get("/v1/predict"), 405, "method_not_allowed")
    assert "DELETE" in service.put("/v1/cache").headers["allow"]
    problem(service.get("/v1/events/none"), 404, "not_found")


def test_a_page_of_a_stranger_reaches_nothing(service: Running) -> None:
    problem(service.get("/v1/stats", headers={"host": "evil.example:80"}), 403, "forbidden")
    problem(service.predict(png(), headers={"origin": "https://evil.example"}), 403, "forbidden")
    own = {"origin": service.address, "host": service.address.removeprefix("http://")}
    assert service.predict(png(), headers=own).status_code == 200
    assert service.get("/livez", headers={"host": "[::1]:99"}).status_code == 200


def test_forwarded_headers_are_believed_from_trusted_proxies_alone(service: Running, tmp_path: Path) -> None:
    headers = {"x-forwarded-for": "203.0.113.9, 10.0.0.1", "x-forwarded-proto": "https"}
    service.get("/v1/stats", headers=headers)
    time.sleep(0.1)
    assert "203.0.113.9" not in service.log
    trusted = ("--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8")
    with running(*PLANTED, "--cache-dir", tmp_path, *trusted, ready=False) as other:
        other.get("/v1/stats", headers=headers)
        time.sleep(0.1)
        assert "203.0.113.9" in other.log


def test_the_log_holds_nothing_of_an_image(tmp_path: Path) -> None:
    with running(*PLANTED, "--cache-dir", tmp_path, "--log-format", "json") as service:
        answer = service.predict(png((12, 13, 14)), params={"name": "private.png"}, headers={"x-request-id": "r-1"})
        assert "colour (12, 13, 14)" in answer.text
        problem(service.get("/v1/nothing"), 404, "not_found")
        time.sleep(0.1)
        lines = [json.loads(line) for line in service.log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["request_id"], line["status"], line["route"]) for line in requests][:1] == [
        ("r-1", 200, "/v1/predict")
    ]
    assert requests[0]["images"] == 1
    assert requests[1]["code"] == "not_found"
    assert "colour" not in str(lines) and "private" not in str(lines)
