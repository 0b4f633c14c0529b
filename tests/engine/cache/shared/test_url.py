"""What names a shared cache, and that no message repeats a password."""

from __future__ import annotations

import sys
import tomllib

import pytest

from imgtool.engine.cache.shared import url as module
from imgtool.engine.cache.shared.url import SharedCacheUrlProblem, check_url, without_password
from imgtool.errors import MissingExtra
from tests.conftest import ROOT

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://host:6379/2", "redis://host:6379/2"),
        (f"redis://:{SECRET}@host/0", "redis://host/0"),
        (f"rediss://user:{SECRET}%40x@host:1/0?ssl_ca_certs=/etc/ca.pem", "rediss://host:1/0"),
        (f"redis://host/0?password={SECRET}", "redis://host/0"),
        (f"redis://host?db=3&password={SECRET}", "redis://host"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        (f"unix://:{SECRET}@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_a_server_is_named_and_shown_without_its_password(url: str, shown: str) -> None:
    check_url(url)
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        f"http://:{SECRET}@host",
        "redis://",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}/x@host/0",
        f"redis://:{SECRET}#x@host/0",
        f"redis://:{SECRET}@host:port/0",
        f"redis://:{SECRET}@host:99999/0",
        f"redis://:{SECRET}@host:0/0",
        f"redis://:{SECRET}@host/name",
        f"redis://:{SECRET}@host/0?socket_timeout=60",
        f"redis://:{SECRET}@host/0?max_connections={SECRET}",
        f"redis://:{SECRET}@host?db={SECRET}",
        f"redis://:{SECRET}@[host/0",
        "unix://",
        f"unix://{SECRET}",
    ],
)
def test_what_names_none_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(SharedCacheUrlProblem) as refused:
        check_url(url)
    assert SECRET not in f"{refused.value} {refused.value.remedy}"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or refused.value.__suppress_context__
    assert refused.value.remedy


def test_a_missing_client_library_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as refused:
        check_url("redis://host")
    assert "redis-py" in str(refused.value)
    assert "pip install" in refused.value.remedy
    assert "[redis]" in refused.value.remedy
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [line.partition(">")[0] for line in extras["redis"]] == ["redis"]


def test_checking_imports_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "redis", raising=False)
    check_url("redis://host")
    assert "redis" not in sys.modules
