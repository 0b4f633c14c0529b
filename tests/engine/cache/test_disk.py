from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from diskcache import UNKNOWN, Cache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgtool.engine.cache.disk import JsonDisk, RefusedRow

PLAIN = st.one_of(st.binary(), st.text(), st.integers(-(2**63), 2**63 - 1))


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return open, (str(self.path), "w")


@given(keys=st.lists(PLAIN, min_size=1, max_size=5, unique=True), value=PLAIN)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_plain_things_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, keys: list[bytes | str | int], value: bytes | str | int
) -> None:
    with Cache(tmp_path_factory.mktemp("c"), disk=JsonDisk) as cache:
        for key in keys:
            cache[key] = value
        assert [(type(cache[key]), cache[key]) for key in keys] == [(type(value), value)] * len(keys)
        assert set(map(repr, cache)) == set(map(repr, keys))


def test_a_large_value_makes_no_file(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", disk=JsonDisk) as cache:
        cache["k"] = b"x" * 1_000_000
        assert cache["k"] == b"x" * 1_000_000
    assert [path.name for path in (tmp_path / "c").rglob("*")] == ["cache.db"]


@pytest.mark.parametrize("thing", [1.5, None, [1], {"a": 1}, (1, 2), True, 2**63, object()])
def test_what_would_need_a_pickle_is_refused(tmp_path: Path, thing: object) -> None:
    with Cache(tmp_path, disk=JsonDisk) as cache:
        with pytest.raises(TypeError, match="neither bytes nor text"):
            cache["key"] = thing
        with pytest.raises(TypeError, match="neither bytes nor text"):
            cache[thing] = b"value"
        assert len(cache) == 0


def test_a_value_is_not_taken_from_a_stream(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", disk=JsonDisk) as cache, open(__file__, "rb") as stream, pytest.raises(TypeError):
        cache.set("key", stream, read=True)


@pytest.mark.parametrize("size", [1, 100_000])
def test_pickled_values_are_refused_and_not_run(tmp_path: Path, size: int) -> None:
    canary = tmp_path / "canary"
    with Cache(tmp_path / "c") as pickling:
        pickling["key"] = (Bomb(canary), "x" * size)
    with Cache(tmp_path / "c", disk=JsonDisk) as cache, pytest.raises(RefusedRow):
        cache.get("key")
    assert not canary.exists()
    with Cache(tmp_path / "c") as pickling:
        pickling.get("key")[0].close()
    assert canary.exists(), "the canary must be able to sing"


def test_pickled_keys_are_refused_and_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with Cache(tmp_path / "c") as pickling:
        pickling[Bomb(canary)] = 1
    with Cache(tmp_path / "c", disk=JsonDisk) as cache, pytest.raises(RefusedRow):
        list(cache)
    assert not canary.exists()


@pytest.mark.parametrize("mode", [0, 2, 3, 4, 5, None, "1"])
def test_only_raw_rows_are_read(tmp_path: Path, mode: object) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(RefusedRow):
        JsonDisk(str(tmp_path)).fetch(mode, "secret", pickle.dumps("x"), False)
    with pytest.raises(RefusedRow):
        JsonDisk(str(tmp_path)).fetch(1, "secret", None, False)


def test_only_own_value_files_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    name = "ab/cd/" + "e" * 28 + ".val"
    (folder / "ab" / "cd").mkdir(parents=True)
    (folder / name).write_text("old")
    outside = tmp_path / "precious"
    outside.write_text("precious")
    disk = JsonDisk(str(folder))
    for path in (str(outside), "../precious", "cache.db", None, 5):
        disk.remove(path)
    (folder / "ff").symlink_to(tmp_path)
    (tmp_path / "ee").mkdir()
    linked = tmp_path / "ee" / ("e" * 28 + ".val")
    linked.write_text("precious")
    disk.remove("ff/ee/" + linked.name)
    assert outside.exists() and linked.exists()
    disk.remove(name)
    assert not (folder / name).exists()


def test_settings_in_the_database_do_not_matter(tmp_path: Path) -> None:
    disk = JsonDisk(str(tmp_path), min_file_size=0, pickle_protocol=5, compress_level=9)
    assert disk.store(b"x" * 100, False, UNKNOWN)[:3] == (0, 1, None)
