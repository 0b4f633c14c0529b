"""The shared cache on the command line: options, messages, statistics, and what ``imgtool cache`` says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from tests import pictures
from tests.command import analyze, imgtool
from tests.redis_servers import RedisServer, free_port

pytest.importorskip("redis")

HAZARD = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")
SECRET = "s3cret"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return pictures.folder(tmp_path / "photos", pictures.greys(4))


@pytest.fixture
def secured(redis_server: RedisServer) -> str:
    """The URL of a server that wants a password, with that password."""
    it = redis_server.client()
    it.acl_setuser("imgtool", enabled=True, passwords=[f"+{SECRET}"], keys=["imgtool:*"], categories=["+@all"])
    it.close()
    return redis_server.url.replace("//", f"//imgtool:{SECRET}@")


def test_two_machines_share_by_flag_environment_and_file(tmp_path: Path, photos: Path, secured: str) -> None:
    stats = tmp_path / "stats.json"
    one = analyze(photos, *HAZARD, "--cache-dir", tmp_path / "1", "--shared-cache", secured, "--stats", stats, "-v")
    assert one.code is ExitCode.OK, one.err
    assert "option shared_cache comes from flag" in one.err
    figures = one.stats(stats)
    shared = figures["cache"]["shared"]
    assert (shared["hits"], shared["misses"], shared["written"] + shared["waiting"]) == (0, 4, 4)
    two = analyze(photos, *HAZARD, "--cache-dir", tmp_path / "2", "--stats", "-", IMGTOOL_SHARED_CACHE=secured)
    assert "4 from cache (100 %, 4 of them shared)" in two.err
    assert '"hits_shared": 4' in two.err
    (tmp_path / "imgtool.toml").write_text(f'shared_cache = "{secured}"\nshared_ttl = "5m"\n')
    three = imgtool(
        "analyze", photos, *HAZARD, "--cache-dir", tmp_path / "3", "-f", "jsonl", "--stats", stats, cwd=tmp_path
    )
    assert three.stats(stats)["hits_shared"] == 4
    assert [result["from_cache"] for result in three.results] == [True] * 4
    off = imgtool("analyze", photos, *HAZARD, "--cache-dir", tmp_path / "4", "--shared-cache", "off", cwd=tmp_path)
    assert "from cache" not in off.err
    for outcome in (one, two, three, off):
        assert SECRET not in outcome.out + outcome.err
    assert SECRET not in stats.read_text()


@pytest.mark.parametrize("verbose", [(), ("--verbose",)])
def test_a_server_that_is_away_costs_a_notice(tmp_path: Path, photos: Path, verbose: tuple[str, ...]) -> None:
    url = f"redis://user:{SECRET}@127.0.0.1:{free_port()}/0"
    done = analyze(photos, *HAZARD, "--shared-cache", url, *verbose)
    assert done.code is ExitCode.OK
    assert len(done.results) == 4
    assert done.err.count("shared cache redis://127.0.0.1") == 1
    assert "Traceback" not in done.err
    assert SECRET not in done.out + done.err
    assert "shared cache" not in analyze(photos, *HAZARD, "--shared-cache", url, *verbose).err, "all is known here"


@pytest.mark.parametrize("url", [f"http://:{SECRET}@host", f"redis://:{SECRET}/@host/0", f"redis://{SECRET}@host/name"])
def test_a_url_that_names_no_server_is_refused(photos: Path, url: str) -> None:
    for done in (
        analyze(photos, *HAZARD, "--shared-cache", url, "--verbose"),
        analyze(photos, *HAZARD, IMGTOOL_SHARED_CACHE=url),
        imgtool("cache", "stats", "--shared-cache", url),
        imgtool("cache", "clear", "--shared", IMGTOOL_SHARED_CACHE=url),
    ):
        assert done.code is ExitCode.USAGE
        assert "the URL of the shared cache" in done.err
        assert "redis://host" in done.err or "write .../0" in done.err
        assert SECRET not in done.out + done.err


@pytest.mark.parametrize("ttl", ["0s", "-5s", "0.1s", "never", "20000d"])
def test_a_ttl_that_redis_cannot_keep_is_refused(photos: Path, ttl: str) -> None:
    done = analyze(photos, *HAZARD, "--shared-cache", "redis://127.0.0.1:1/0", "--shared-ttl", ttl)
    assert done.code is ExitCode.USAGE
    assert "--shared-ttl" in done.err


def test_stats_show_the_server_and_clear_forgets_its_answers(
    tmp_path: Path, photos: Path, redis_server: RedisServer, secured: str
) -> None:
    environ = {"IMGTOOL_SHARED_CACHE": secured}
    assert analyze(photos, *HAZARD, **environ).code is ExitCode.OK
    found = json.loads(imgtool("cache", "stats", "--json", **environ).out)["shared"]
    assert (found["server"], found["keys"], found["trouble"]) == (redis_server.url, 5, None)
    assert f"{redis_server.url}: 5 keys" in imgtool("cache", "stats", "--shared-cache", secured).out
    assert "would be ignored" in imgtool("cache", "clear", "--shared", "--dry-run", **environ).out
    there = analyze(photos, *HAZARD, "--cache-dir", tmp_path / "2", **environ).results
    assert all(result["from_cache"] for result in there)
    cleared = imgtool("cache", "clear", "--shared", **environ)
    assert cleared.code is ExitCode.OK, cleared.err
    assert "ignored from now on" in cleared.out
    gone = analyze(photos, *HAZARD, "--cache-dir", tmp_path / "3", **environ).results
    assert not any(result["from_cache"] for result in gone)
    assert all(result["from_cache"] for result in analyze(photos, *HAZARD).results), "this machine's own are kept"
    newer = json.loads(imgtool("cache", "stats", "--json", **environ).out)["shared"]
    assert newer["epoch"] > found["epoch"]


def test_stats_without_a_server_and_with_one_that_is_away() -> None:
    assert json.loads(imgtool("cache", "stats", "--json").out)["shared"] is None
    assert "shared" not in imgtool("cache", "stats").out
    url = f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"
    done = imgtool("cache", "stats", "--shared-cache", url)
    assert done.code is ExitCode.OK
    assert "cannot be reached" in done.out
    assert SECRET not in done.out + done.err


def test_clearing_a_server_that_is_away_or_none_fails() -> None:
    url = f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"
    done = imgtool("cache", "clear", "--shared", "--shared-cache", url)
    assert done.code is ExitCode.NOT_WRITABLE
    assert "cannot be reached" in done.err
    assert SECRET not in done.out + done.err
    for environ in ({}, {"IMGTOOL_SHARED_CACHE": "off"}):
        none = imgtool("cache", "clear", "--shared", **environ)
        assert none.code is ExitCode.USAGE
        assert "no shared cache is configured" in none.err


def test_the_worker_does_not_start_ahead_of_a_look_into_the_shared_cache(
    tmp_path: Path, photos: Path, redis_server: RedisServer
) -> None:
    url = ("--shared-cache", redis_server.url)
    assert analyze(photos, *HAZARD, "--cache-dir", tmp_path / "1", *url).code is ExitCode.OK
    stats = tmp_path / "stats.json"
    done = analyze(photos, *HAZARD, "--cache-dir", tmp_path / "2", *url, "--stats", stats)
    assert done.stats(stats)["workers"]["started"] == 0
