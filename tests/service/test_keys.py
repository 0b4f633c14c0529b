"""API keys: made, listed, removed, refused; roles; and rate limits by key and by address."""

from __future__ import annotations

import json
import shutil
import socket
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from imgtool.errors import ConfigProblem, ExitCode, UsageProblem
from imgtool.service.gate import host_name
from imgtool.service.keys import KeyRejected, KeyRing, Role, add_key, parse_role, read_keys, remove_key
from imgtool.service.limits import RateLimiter
from tests.command import imgtool
from tests.fakes.clock import FakeClock
from tests.service.running import PLANTED, png, problem, running


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    done = imgtool("serve", "keys", "add", "anna", "--api-keys", path, "--role", "admin", "--expires", "90d")
    assert done.code is ExitCode.OK
    secret = done.out.strip()
    assert secret.startswith("imgtool_") and len(secret) > 40
    assert secret not in path.read_text() + done.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    imgtool("serve", "keys", "add", "ben", "--api-keys", path)
    listed = imgtool("serve", "keys", "list", "--api-keys", path).out
    assert "anna" in listed and "admin" in listed and "ben" in listed and "never" in listed
    assert imgtool("serve", "keys", "remove", "anna", "--api-keys", path).code is ExitCode.OK
    assert [key.name for key in read_keys(path)] == ["ben"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("add", "anna"), "serve keys remove anna"),
        (("add", "a b"), "letters"),
        (("add", "ben", "--role", "amdin"), "'admin'"),
        (("add", "ben", "--expires", "soon"), "--expires"),
        (("remove", "ana"), "'anna'"),
    ],
)
def test_mistakes_with_keys_are_told(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    add_key(tmp_path / "keys.json", "anna", Role.USER, None)
    done = imgtool("serve", "keys", *words, "--api-keys", tmp_path / "keys.json")
    assert done.code is ExitCode.USAGE
    assert expected in done.err


@pytest.mark.parametrize("content", ["", "{}", '{"keys": 5}', '{"keys": [], "version": 99}', "\x00"])
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ConfigProblem) as caught:
        read_keys(tmp_path / "keys.json")
    assert caught.value.remedy
    with pytest.raises(ConfigProblem):
        read_keys(tmp_path / "none.json")


def test_a_running_service_follows_its_file_and_fails_closed(tmp_path: Path) -> None:
    path, clock, warned = tmp_path / "keys.json", FakeClock(time.time()), list[str]()
    first = add_key(path, "anna", Role.USER, 100)
    ring = KeyRing(path, warned.append, clock)
    assert ring.find(first).name == "anna"
    for wrong in ("", "imgtool_", first[:-1], first + "x", "é\ud800"):
        with pytest.raises(KeyRejected) as caught:
            ring.find(wrong)
        assert caught.value.code == "key_wrong"
    second = add_key(path, "ben", Role.ADMIN, None)
    clock.advance(2)
    assert ring.find(second).role is Role.ADMIN
    clock.advance(100)
    with pytest.raises(KeyRejected, match="expired"):
        ring.find(first)
    remove_key(path, "ben")
    clock.advance(2)
    with pytest.raises(KeyRejected):
        ring.find(second)
    path.unlink()
    clock.advance(2)
    with pytest.raises(KeyRejected):
        ring.find(first)
    assert len(warned) == 1


def test_roles() -> None:
    assert parse_role("user") is Role.USER
    with pytest.raises(UsageProblem):
        parse_role("root")
    assert Role.ADMIN.includes(Role.USER) and Role.USER.includes(Role.USER) and not Role.MONITOR.includes(Role.USER)


def test_who_may_do_what_over_http(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {role: add_key(path, role.value, role, None) for role in Role}
    old = add_key(path, "old", Role.USER, 0.001)
    with running(*PLANTED, "--cache-dir", tmp_path / "cache", "--api-keys", path) as service:
        for open_to_all in ("/livez", "/readyz"):
            assert service.get(open_to_all).status_code == 200
        missing = service.get("/v1/stats")
        problem(missing, 401, "key_missing")
        assert missing.headers["www-authenticate"].startswith("Bearer")
        in_query = service.get("/v1/stats", params={"api_key": keys[Role.USER]})
        assert "logged" in problem(in_query, 401, "key_missing")["detail"]
        problem(service.get("/v1/stats", headers={"x-api-key": "imgtool_wrong"}), 401, "key_wrong")
        problem(service.get("/v1/stats", headers={"x-api-key": old}), 401, "key_expired")
        monitor = {"authorization": f"bearer {keys[Role.MONITOR]}"}
        assert service.get("/v1/stats", headers=monitor).status_code == 200
        problem(service.predict(png(), headers=monitor), 403, "forbidden")
        assert service.predict(png(), headers={"x-api-key": keys[Role.USER]}).status_code == 200
        remove_key(path, "user")
        time.sleep(1.2)
        problem(service.predict(png(), headers={"x-api-key": keys[Role.USER]}), 401, "key_wrong")
        assert keys[Role.USER] not in service.log


def test_a_client_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    anna, ben = (add_key(path, name, Role.USER, None) for name in ("anna", "ben"))
    with running(
        *PLANTED, "--cache-dir", tmp_path / "cache", "--api-keys", path, "--rate-limit", "3/minute"
    ) as service:
        answers = [service.get("/v1/capacity", headers={"x-api-key": anna}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
        assert answers[0].headers["ratelimit"].startswith('"default";r=2;t=')
        problem(answers[3], 429, "rate_limited")
        assert 1 <= int(answers[3].headers["retry-after"]) <= 61
        assert answers[3].headers["ratelimit"].startswith('"default";r=0;t=')
        assert service.get("/v1/capacity", headers={"x-api-key": ben}).status_code == 200
        assert all(service.get("/livez").status_code == 200 for _ in range(6))


def test_a_rate_that_is_none_is_refused() -> None:
    for rate, storage in (("often", None), ("5/minute", "memcached://localhost")):
        with pytest.raises(UsageProblem) as caught:
            RateLimiter(rate, storage, lambda _: None)
        assert caught.value.remedy


def test_the_name_in_a_host_header() -> None:
    assert [host_name(host) for host in ("LocalHost:80", "[::1]:80", "[::1]", "a.b", "")] == [
        *("localhost", "::1", "::1", "a.b", "")
    ]


def test_the_file_of_keys_is_json(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.json", "anna", Role.USER, None)
    found = json.loads((tmp_path / "keys.json").read_text())
    assert set(found["keys"][0]) == {"name", "role", "hash", "created", "expires"}


def test_several_services_count_in_one_redis_and_do_without_it(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    if shutil.which("redis-server") is None:
        pytest.skip("no Redis is installed")
    warned: list[str] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"redis://127.0.0.1:{port}"
    arguments = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        one, two = (RateLimiter("2/minute", address, warned.append) for _ in range(2))
        assert one.blocks
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        assert [limiter.hit("anna")[0] for limiter in (one, two, one)] == [True, True, False]
    finally:
        server.terminate()
        server.wait()
    began = time.monotonic()
    assert all(two.hit("anna")[0] for _ in range(20))
    assert time.monotonic() - began < 2
    assert len(warned) == 1 and "rate limit" in warned[0]
