"""Services that share a Redis server: what its figures say, and what removing results means."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from imgtool.service.keys import Role, add_key
from tests.redis_servers import RedisServer
from tests.service.running import Running, png, problem, running

NUMBERED = ("-t", "caption", "--caption-engine", "tests.planted:Numbered")


@pytest.fixture
def services(redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Two services, each with a cache of its own, and with the same Redis server."""
    keys = tmp_path / "keys.json"
    secret = add_key(keys, "admin", Role.ADMIN, None)
    options = (*NUMBERED, "--api-keys", keys, "--shared-cache", redis_server.url)
    with (
        running(*options, "--cache-dir", tmp_path / "one") as one,
        running(*options, "--cache-dir", tmp_path / "two") as two,
    ):
        for service in (one, two):
            service.client.headers["x-api-key"] = secret
        yield one, two


def looked_up(service: Running) -> dict[str, float]:
    """Images by tier and outcome."""
    families = text_string_to_metric_families(service.get("/metrics").text)
    return {
        f"{sample.labels['tier']} {sample.labels['outcome']}": sample.value
        for family in families
        for sample in family.samples
        if sample.name == "imgtool_cache_requests_total"
    }


def figure(service: Running, name: str) -> float:
    families = text_string_to_metric_families(service.get("/metrics").text)
    return next(sample.value for family in families for sample in family.samples if sample.name == name)


def until_written(service: Running, answers: int) -> None:
    deadline = time.monotonic() + 10
    while figure(service, "imgtool_shared_cache_written_total") < answers:
        assert time.monotonic() < deadline, "not written"
        time.sleep(0.02)


def from_cache(service: Running, content: bytes) -> bool:
    answer: httpx.Response = service.predict(content)
    found: bool = answer.json()["from_cache"]
    return found


def test_the_shared_tier_is_counted_and_cleared_for_all(
    services: tuple[Running, Running], redis_server: RedisServer
) -> None:
    one, two = services
    first, second, third = (png((0, number, 0)) for number in range(3))

    # Each tier is counted: the shared one with what the local one lacks.
    assert [from_cache(one, content) for content in (first, second, first)] == [False, False, True]
    assert looked_up(one) == {"local hit": 1, "local miss": 2, "shared hit": 0, "shared miss": 2}
    until_written(one, 2)
    assert [from_cache(two, first), from_cache(two, first)] == [True, True]
    assert looked_up(two) == {"local hit": 1, "local miss": 1, "shared hit": 1, "shared miss": 0}
    assert figure(two, "imgtool_shared_cache_failures_total") == 0

    # One image that is removed does not come back from the shared tier; the others stay.
    assert one.delete(f"/v1/cache/{hashlib.sha256(first).hexdigest()}").json() == {"removed": 1}
    assert [from_cache(one, first), from_cache(one, second)] == [False, True]
    until_written(one, 3)

    # All that is removed is gone for all machines; what they have themselves is theirs.
    assert one.delete("/v1/cache").json() == {"removed": 2}
    assert [from_cache(two, first), from_cache(two, second), from_cache(one, first)] == [True, False, False]

    # Where the server cannot be asked nothing is removed, and that is said.
    assert from_cache(one, third) is False
    redis_server.kill()
    document = problem(one.delete("/v1/cache"), 503, "shared_cache_failed")
    assert "nothing was removed" in document["detail"] and redis_server.url not in str(document)
    assert from_cache(one, third) is True
    assert from_cache(one, png((0, 9, 0))) is False
    assert figure(one, "imgtool_shared_cache_failures_total") >= 1
