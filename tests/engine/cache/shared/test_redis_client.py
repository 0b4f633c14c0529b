"""A client of a real server: what it keeps, how it is cleared, and what becomes of every kind of trouble."""

from __future__ import annotations

import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("redis")

from imgtool.engine.cache.shared.redis_client import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    RedisClient,
    SharedCacheFailure,
    Trouble,
)
from tests.conftest import ROOT
from tests.fakes.delaying_proxy import DelayingProxy
from tests.redis_servers import RedisServer, free_port

EPOCH = "imgtool:1:epoch"
HOUR = 3_600_000
BOUND_SECONDS = 1.0
"""Much more than a failure takes, on a machine that is busy with other tests."""


@contextmanager
def fails(trouble: Trouble) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(SharedCacheFailure) as failed:
        yield
    assert failed.value.trouble is trouble, str(failed.value)
    assert failed.value.remedy
    assert time.monotonic() - began < BOUND_SECONDS


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[RedisClient]:
    client = RedisClient(redis_server.url)
    yield client
    client.close()


def calls(server: RedisServer) -> dict[str, int]:
    """How often the server was asked what."""
    return {name: each["calls"] for name, each in server.client().info("commandstats").items()}


def test_what_is_stored_is_found_by_others(redis_server: RedisServer, client: RedisClient) -> None:
    assert client.store([("a", b"1", HOUR), ("b", b"2", HOUR)]) == (2, None)
    other = RedisClient(redis_server.socket_url)
    assert other.fetch(["a", "b", "c"]) == {"a": b"1", "b": b"2"}
    other.close()


def test_an_answer_expires(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", 60), ("b", b"2", HOUR)])
    (key,) = redis_server.client().keys("*:b")
    assert HOUR - 10_000 < redis_server.client().pttl(key) <= HOUR
    time.sleep(0.1)
    assert client.fetch(["a", "b"]) == {"b": b"2"}


def test_a_window_of_images_costs_one_round_trip(redis_server: RedisServer, client: RedisClient) -> None:
    client.fetch(["first"])
    own, before = calls(redis_server), calls(redis_server)
    client.fetch([f"name {number}" for number in range(500)])
    asked = {name: count - before.get(name, 0) for name, count in calls(redis_server).items()}
    of_the_test = {name: count - own.get(name, 0) for name, count in before.items()}
    assert {name: count - of_the_test[name] for name, count in asked.items() if count > of_the_test[name]} == {
        "cmdstat_mget": 1
    }


def test_the_epoch_is_asked_once_a_connection(redis_server: RedisServer, client: RedisClient) -> None:
    for _ in range(5):
        client.fetch(["a"])
        client.store([("a", b"1", HOUR)])
    assert calls(redis_server)["cmdstat_get"] == 1


def test_clearing_is_seen_by_all_at_their_next_look_up(redis_server: RedisServer, client: RedisClient) -> None:
    other = RedisClient(redis_server.url)
    client.store([("a", b"1", HOUR)])
    assert other.fetch(["a"]) == {"a": b"1"}
    client.clear()
    assert other.fetch(["a"]) == {}
    assert client.fetch(["a"]) == {}
    other.store([("a", b"2", HOUR)])
    assert client.fetch(["a"]) == {"a": b"2"}
    other.close()


def test_what_was_cleared_stays_so_when_the_epoch_is_lost(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", HOUR)])
    client.clear()
    client.store([("a", b"2", HOUR)])
    redis_server.client().delete(EPOCH)
    assert client.fetch(["a"]) == {}
    before = int(redis_server.client().get(EPOCH))
    client.clear()
    assert int(redis_server.client().get(EPOCH)) > before


@pytest.mark.parametrize("epoch", ["", "abc", "-1", "1.5", "9" * 30, "٣"])
def test_foreign_bytes_for_an_epoch_are_a_trouble_that_clearing_mends(
    redis_server: RedisServer, client: RedisClient, epoch: str
) -> None:
    redis_server.client().set(EPOCH, epoch)
    with fails(Trouble.EPOCH):
        client.fetch(["a"])
    with fails(Trouble.EPOCH):
        client.store([("a", b"1", HOUR)])
    client.clear()
    assert client.fetch(["a"]) == {}


def test_values_of_other_types_are_absent(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", HOUR), ("b", b"2", HOUR)])
    it = redis_server.client()
    (key,) = it.keys("*:a")
    it.delete(key)
    it.rpush(key, "x")
    assert client.fetch(["a", "b"]) == {"b": b"2"}
    it.delete(EPOCH)
    it.rpush(EPOCH, "x")
    with fails(Trouble.EPOCH):
        client.fetch(["a"])
    client.clear()
    client.fetch(["a"])


def test_nobody_is_there() -> None:
    client = RedisClient(f"redis://127.0.0.1:{free_port()}/0")
    for _ in range(3):
        with fails(Trouble.AWAY):
            client.fetch(["a"])
    client.close()
    with fails(Trouble.AWAY):
        RedisClient("unix:///nowhere/redis.sock").begin()


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(SharedCacheFailure) as failed:
        RedisClient("redis://nowhere.invalid:6379/0").begin()
    assert failed.value.trouble in (Trouble.AWAY, Trouble.SLOW)


def test_a_host_that_drops_what_it_is_sent() -> None:
    # A full backlog: the system answers no more connections.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        with fails(Trouble.SLOW):
            RedisClient(f"redis://127.0.0.1:{port}/0").begin()
        for each in waiting:
            each.close()


def test_a_server_that_hangs_costs_its_time_limit_and_is_asked_anew_afterwards(
    redis_server: RedisServer, client: RedisClient
) -> None:
    client.store([("a", b"1", HOUR)])
    redis_server.pause()
    began = time.monotonic()
    with fails(Trouble.SLOW):
        client.fetch(["a"])
    assert time.monotonic() - began > ANSWER_SECONDS * 0.9
    with fails(Trouble.SLOW):
        client.store([("a", b"x" * 1_000_000, HOUR)] * 10)
    redis_server.go_on()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert client.fetch(["a"]) == {"a": b"1"}
            break
        except SharedCacheFailure:  # it still reads the ten megabytes
            time.sleep(0.05)
    assert client.fetch(["b"]) == {}


def test_a_late_reply_is_never_read_as_the_reply_to_what_is_asked_later(redis_server: RedisServer) -> None:
    direct = RedisClient(redis_server.url)
    direct.store([(f"name {number}", b"%d" % number, HOUR) for number in range(200)])
    random_ = random.Random(7)
    wrong, found, failed = 0, 0, 0
    with DelayingProxy(redis_server.port, lambda: random_.choice([0, 0, 0, 0, 0.001, 0.02, 0.11, 0.2])) as proxy:
        client = RedisClient(proxy.url)
        for number in range(60):
            try:
                answers = client.fetch([f"name {number}"])
            except SharedCacheFailure:
                failed += 1
            else:
                found += 1
                wrong += answers != {f"name {number}": b"%d" % number}
        client.close()
        assert proxy.connections >= failed
    direct.close()
    assert wrong == 0
    assert found > 10
    assert failed > 10


def test_a_restarted_server_is_found_again(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", HOUR)])
    redis_server.kill()
    with fails(Trouble.AWAY):
        client.fetch(["a"])
    redis_server.start()
    assert client.fetch(["a"]) == {}
    assert client.store([("a", b"1", HOUR)]) == (1, None)


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(
    redis_server: RedisServer, client: RedisClient
) -> None:
    client.store([("a", b"1", HOUR)])
    redis_server.client().client_kill_filter(_type="normal", skipme=True)
    time.sleep(0.05)
    assert client.fetch(["a"]) == {"a": b"1"}


def test_a_full_server_still_answers(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", HOUR)])
    redis_server.client().config_set("maxmemory", "1")
    written, failure = client.store([("b", b"2", HOUR), ("c", b"3", HOUR)])
    assert written == 0
    assert isinstance(failure, SharedCacheFailure)
    assert failure.trouble is Trouble.FULL
    assert client.fetch(["a", "b"]) == {"a": b"1"}


def test_a_full_server_without_an_epoch(redis_server: RedisServer, client: RedisClient) -> None:
    redis_server.client().config_set("maxmemory", "1")
    with fails(Trouble.FULL):
        client.fetch(["a"])


def test_a_replica_answers_and_takes_nothing(redis_server: RedisServer) -> None:
    replica = RedisServer()
    redis_server.client().config_set("repl-diskless-sync-delay", "0")
    try:
        first = RedisClient(redis_server.url)
        first.store([("a", b"1", HOUR)])
        first.close()
        replica.start(replicaof=f"127.0.0.1 {redis_server.port}")
        deadline = time.monotonic() + 20
        while replica.client().info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        client = RedisClient(replica.url)
        assert client.fetch(["a"]) == {"a": b"1"}
        written, failure = client.store([("b", b"2", HOUR)])
        client.close()
    finally:
        replica.remove()
    assert written == 0
    assert isinstance(failure, SharedCacheFailure)
    assert failure.trouble is Trouble.NO_WRITES


def test_a_wrong_password_or_none_is_refused_and_not_repeated(redis_server: RedisServer) -> None:
    redis_server.client().config_set("requirepass", "right")
    for user in ("", ":s3cret@", "s3cret:s3cret@"):
        with pytest.raises(SharedCacheFailure) as failed:
            RedisClient(redis_server.url.replace("//", f"//{user}")).fetch(["a"])
        assert failed.value.trouble is Trouble.REFUSED
        assert "s3cret" not in repr(failed.value) + str(failed.value) + failed.value.remedy
        assert failed.value.__cause__ is None
        assert failed.value.__suppress_context__
    right = RedisClient(redis_server.url.replace("//", "//:right@"))
    assert right.fetch(["a"]) == {}
    right.close()


def test_a_user_that_may_only_read(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", HOUR)])
    redis_server.client().acl_setuser(
        "reader", enabled=True, passwords=["+p"], keys=["imgtool:*"], categories=["+@read", "+@connection"]
    )
    reader = RedisClient(redis_server.url.replace("//", "//reader:p@"))
    assert reader.fetch(["a"]) == {"a": b"1"}
    written, failure = reader.store([("b", b"2", HOUR)])
    assert written == 0
    assert isinstance(failure, SharedCacheFailure)
    assert failure.trouble is Trouble.NO_WRITES
    reader.close()


def test_a_user_needs_no_more_rights_than_are_documented(redis_server: RedisServer) -> None:
    page = (ROOT / "docs" / "shared-cache.md").read_text(encoding="utf-8")
    rights = re.findall(r"[+~][\w:*]+", " ".join(re.findall(r"`([+~][^`]*)`", page)))
    it = redis_server.client()
    assert it.execute_command("ACL", "SETUSER", "imgtool", "on", ">p", *rights) == b"OK"
    client = RedisClient(redis_server.url.replace("//", "//imgtool:p@").replace("/0", "/1"))
    assert client.store([("a", b"1", HOUR)]) == (1, None)
    assert client.fetch(["a"]) == {"a": b"1"}
    assert client.figures().keys == 2
    client.clear()
    assert client.fetch(["a"]) == {}
    client.close()


@contextmanager
def says(reply: bytes) -> Iterator[str]:
    """The URL of something that says the same to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                    with connection:
                        while data := connection.recv(65536):
                            # As often as there are commands.
                            connection.sendall(reply * len(re.findall(rb"(?m)^\*", data)))
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Trouble.FOREIGN),
        (b"\x16\x03\x01\x02\x00garbage\r\n" * 10, Trouble.FOREIGN),
        (b"-LOADING Redis is loading the dataset in memory\r\n", Trouble.BUSY),
        (b"-ERR something of its own\r\n", Trouble.OTHER),
        (b"$-5\r\n", None),
        (b"$9999999999999\r\nx", Trouble.SLOW),
        (b"*9999999\r\n", Trouble.SLOW),
        (b"+OK\r\n", Trouble.EPOCH),
        (b"", Trouble.SLOW),
    ],
)
def test_whoever_answers_something_else_is_a_trouble(reply: bytes, trouble: Trouble | None) -> None:
    with says(reply) as url:
        client = RedisClient(url)
        with pytest.raises(SharedCacheFailure) as failed:
            client.fetch(["a"])
        client.close()
    assert trouble in (None, failed.value.trouble), str(failed.value)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl that makes a certificate")
    made, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    return made, key


def test_tls_works_with_the_right_certificate_alone(certificate: tuple[Path, Path]) -> None:
    made, key = certificate
    server, port = RedisServer(), free_port()
    try:
        tls = {"tls_cert_file": str(made), "tls_key_file": str(key), "tls_auth_clients": "no"}
        try:
            server.start(tls_port=str(port), **tls)
        except AssertionError as error:
            pytest.skip(f"this Redis has no TLS ({error})")
        url = f"rediss://127.0.0.1:{port}/0"
        with fails(Trouble.TLS):
            RedisClient(url).fetch(["a"])
        with pytest.raises(SharedCacheFailure):  # it waits for the end of a line
            RedisClient(server.url.replace("redis:", "rediss:")).fetch(["a"])
        with pytest.raises(SharedCacheFailure):
            RedisClient(f"redis://127.0.0.1:{port}/0").fetch(["a"])
        good = RedisClient(f"{url}?ssl_ca_certs={made}", connect_seconds=5, answer_seconds=5)
        assert good.store([("a", b"1", HOUR)]) == (1, None)
        assert good.fetch(["a"]) == {"a": b"1"}
        good.close()
    finally:
        server.remove()


def test_the_time_limits_are_those_that_are_documented() -> None:
    assert (CONNECT_SECONDS, ANSWER_SECONDS) == (0.05, 0.1)


def test_figures(redis_server: RedisServer, client: RedisClient) -> None:
    client.store([("a", b"1", HOUR)])
    redis_server.client().config_set("maxmemory", "100mb")
    found = client.figures()
    assert (found.keys, found.limit_bytes) == (2, 100 * 2**20)
    assert found.bytes is not None and found.bytes > 1000
    assert abs(found.epoch / 1000 - time.time()) < 60
