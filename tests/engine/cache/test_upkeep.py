from __future__ import annotations

import pickle
import sqlite3
import time
from pathlib import Path

import pytest

from imgtool.engine.cache.records import DECODE_FAILURE, Update
from imgtool.engine.cache.removal import RemovalPlan, execute
from imgtool.engine.cache.upkeep import STALE_SECONDS, EngineCount, plan_clear, plan_prune, stats
from imgtool.engine.cache.verification import plan_repair, verify
from imgtool.engine.files.identity import Identity
from imgtool.errors import ExitCode, OutputNotWritable
from tests.caches import BROKEN, FACTS, NOW_ISH, SHA, Opened, answer, finish, listing, plant, ref, run, start, update
from tests.command import obey_permissions

DAY = 86400.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache with three records and two known files."""
    folder = tmp_path / "cache"
    with Opened(folder, size_limit=5_000_000) as it:
        it.store.merge(
            [
                Update("a", FACTS, {"d": answer(age=10 * DAY), "r": answer(engine="rapidocr", age=DAY)}, {}),
                Update("b", FACTS, {"d": answer(age=DAY)}, {"r": BROKEN}),
                Update("c", None, {}, {DECODE_FAILURE: BROKEN}),
            ]
        )
    identity = Identity(folder, rehash=False, warn=print)
    for inode in (1, 2):
        identity.remember(ref(inode), SHA, NOW_ISH)
    identity.close()
    return folder


def age_rows(root: Path, seconds: float, where: str = "1") -> None:
    plant(root, f"UPDATE Cache SET store_time = store_time - ? WHERE {where}", seconds)


def age_index(root: Path, seconds: float, inode: int) -> None:
    connection = sqlite3.connect(root / "stat" / "index.db")
    connection.execute("UPDATE files SET seen_at = seen_at - ? WHERE inode = ?", (seconds, inode))
    connection.commit()
    connection.close()


def contents(root: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Fingerprints of answers and failures by key."""
    found = {}
    with Opened(root) as it:
        for key in "abcd":
            if (record := it.store.get(key)) is not None:
                found[key] = (set(record.answers), set(record.failures))
        assert it.warnings == []
    return found


EVERYTHING = {"a": ({"d", "r"}, set()), "b": ({"d"}, {"r"}), "c": (set(), {DECODE_FAILURE})}


def counts(plan: RemovalPlan) -> tuple[int, int, int, int]:
    return plan.records, plan.answers, plan.failures, plan.index_entries


# -- stats


def test_stats_count_everything(root: Path) -> None:
    found = stats(root)
    assert (found.entries, found.failures, found.index_entries) == (3, 2, 2)
    assert found.answers == (
        EngineCount("describe", "model", "1", 2),
        EngineCount("rapidocr", "model", "1", 1),
    )
    assert found.limit_bytes == 5_000_000
    assert found.bytes == (root / "results" / "cache.db").stat().st_size
    assert found.index_bytes == (root / "stat" / "index.db").stat().st_size
    assert found.oldest is not None and found.newest is not None
    assert time.time() - 60 < found.oldest <= found.newest <= time.time()
    assert found.trouble is None and found.set_aside == ()


def test_of_no_cache_there_is_nothing_to_say_and_nothing_is_made(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    found = stats(root)
    assert (found.entries, found.bytes, found.index_entries, found.answers) == (0, 0, 0, ())
    assert verify(root).sound
    for plan in (plan_clear(root), plan_prune(root, 0, 0, "x", True, True), plan_repair(root)):
        assert plan.is_empty and plan.bytes == 0
        assert execute(plan) == 0
    assert not root.exists()


def test_looking_and_planning_change_nothing(root: Path) -> None:
    before = listing(root)
    stats(root)
    verify(root)
    plan_clear(root)
    plan_prune(root, older_than=0, max_size=0, failures=True, stale_index=True)
    plan_repair(root)
    assert listing(root) == before


def test_a_cache_that_may_not_be_written_is_looked_at(root: Path) -> None:
    code = """
    from imgtool.engine.cache.upkeep import *
    found = stats(root)
    print(found.entries, found.index_entries, found.trouble, verify(root).sound, plan_clear(root).records)
    try:
        execute(plan_clear(root))
    except Exception as error:
        print(type(error).__name__, error)
    """
    for folder in ("results", "stat"):
        for path in (*(root / folder).iterdir(), root / folder):
            path.chmod(0o500)
    first, second = run(code, root, prepare=obey_permissions).strip().split("\n")
    assert first == "3 2 None True 3"
    assert second.startswith("OutputNotWritable") and "read-only" in second


def test_stats_of_a_damaged_cache_say_so(root: Path) -> None:
    (root / "results" / "cache.db").write_bytes(b"no database " * 1000)
    (root / "stat.corrupt-1").mkdir()
    found = stats(root)
    assert found.trouble is not None and "damaged" in found.trouble
    assert found.bytes == 12_000
    assert found.set_aside == (root / "stat.corrupt-1",)


# -- clear


def test_clear_takes_all_and_the_files_become_small(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([Update(f"k{n}", FACTS, {"f": answer("x" * 20_000)}, {}) for n in range(700)])
    before = sum(size for size, _ in listing(root).values())
    plan = plan_clear(root)
    assert counts(plan) == (703, 0, 0, 2)
    assert plan.bytes == before
    assert plan.examples == ("a", "b", "c", "k0", "k1")
    freed = execute(plan)
    after = sum(size for size, _ in listing(root).values())
    assert freed == before - after and after < 100_000
    assert contents(root) == {}
    assert plan_clear(root).is_empty
    assert stats(root).index_entries == 0


def test_clear_under_a_running_store(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update("d", "f")])
        execute(plan_clear(root))
        assert it.store.get("d") is None
        it.store.merge([update("d", "g")])
        assert it.fingerprints("d") == {"g"}
        assert it.warnings == []
    assert contents(root) == {"d": ({"g"}, set())}


def test_what_is_written_after_the_plan_stays(root: Path) -> None:
    plans = [plan_clear(root), plan_prune(root, engine="rapidocr"), plan_prune(root, max_size=0)]
    with Opened(root) as it:
        it.store.merge([Update("a", None, {"x": answer()}, {}), update("d", "f")])
    for plan in plans:
        execute(plan)
    assert contents(root) == {"a": ({"d", "r", "x"}, set()), "d": ({"f"}, set())}


def test_clear_removes_what_cannot_be_read_and_what_was_set_aside(root: Path) -> None:
    (root / "results" / "cache.db").write_bytes(b"no database " * 1000)
    (root / "stat" / "index.db").write_bytes(b"no database " * 1000)
    (root / "results.corrupt-1").mkdir()
    (root / "results.corrupt-1" / "cache.db").write_text("x")
    (root / "mine.txt").write_text("mine")
    plan = plan_clear(root)
    assert set(plan.paths) == {root / "results", root / "stat", root / "results.corrupt-1"}
    assert plan.bytes == execute(plan) == 24_001
    assert [path.name for path in root.iterdir()] == ["mine.txt"]
    assert contents(root) == {}


# -- prune


def test_prune_without_a_choice_takes_nothing(root: Path) -> None:
    plan = plan_prune(root)
    assert plan.is_empty and plan.bytes == 0 and plan.examples == ()
    execute(plan)
    assert contents(root) == EVERYTHING


def test_prune_by_age_takes_answers_and_then_records(root: Path) -> None:
    plan = plan_prune(root, older_than=5 * DAY)
    assert counts(plan) == (0, 1, 0, 0)
    assert plan.examples == ("a part of a",)
    execute(plan)
    assert contents(root) == {**EVERYTHING, "a": ({"r"}, set())}
    age_rows(root, 9 * DAY, "key IN ('b', 'c')")
    plan = plan_prune(root, older_than=5 * DAY)
    assert counts(plan) == (1, 0, 1, 0)
    execute(plan)
    assert contents(root) == {"a": ({"r"}, set()), "b": ({"d"}, set())}
    execute(plan_prune(root, older_than=0.5 * DAY))
    assert contents(root) == {}


def test_prune_by_engine(root: Path) -> None:
    plan = plan_prune(root, engine="describe")
    assert counts(plan) == (0, 2, 0, 0)
    execute(plan)
    assert contents(root) == {"a": ({"r"}, set()), "b": (set(), {"r"}), "c": (set(), {DECODE_FAILURE})}
    execute(plan_prune(root, engine="rapidocr"))
    assert set(contents(root)) == {"b", "c"}
    assert plan_prune(root, engine="unheard-of").is_empty


def test_prune_by_engine_and_age_takes_what_is_both(root: Path) -> None:
    age_rows(root, 50 * DAY)
    execute(plan_prune(root, engine="describe", older_than=5 * DAY))
    assert contents(root) == {**EVERYTHING, "a": ({"r"}, set())}


def test_prune_failures(root: Path) -> None:
    plan = plan_prune(root, failures=True)
    assert counts(plan) == (1, 0, 1, 0)
    execute(plan)
    assert contents(root) == {"a": ({"d", "r"}, set()), "b": ({"d"}, set())}


def test_prune_to_a_size_takes_the_oldest(root: Path) -> None:
    with Opened(root) as it:
        for number in range(50):
            it.store.merge([Update(f"k{number}", FACTS, {"f": answer("x" * 20_000)}, {})])
    plan = plan_prune(root, max_size=500_000)
    assert plan.examples[:3] == ("a", "b", "c")
    freed = execute(plan)
    assert stats(root).bytes <= 550_000
    assert 0.6 * freed < plan.bytes < 1.4 * freed
    with Opened(root) as it:
        kept = [number for number in range(50) if it.store.get(f"k{number}") is not None]
        assert kept == list(range(50 - len(kept), 50))
        assert len(kept) >= 15
    assert plan_prune(root, max_size=10**9).is_empty


def test_prune_takes_a_record_once_even_if_chosen_twice(root: Path) -> None:
    plan = plan_prune(root, engine="describe", failures=True, max_size=0)
    assert counts(plan) == (3, 0, 0, 0)
    execute(plan)
    assert contents(root) == {}


def test_prune_leaves_what_an_earlier_version_let_expire(root: Path) -> None:
    plant(root, "UPDATE Cache SET expire_time = ? WHERE key = 'a'", time.time() - 1)
    assert plan_prune(root).is_empty


def test_prune_files_not_seen_for_long(root: Path) -> None:
    age_index(root, STALE_SECONDS - 60, inode=1)
    assert plan_prune(root, stale_index=True).is_empty
    age_index(root, 120, inode=1)
    assert plan_prune(root).is_empty
    plan = plan_prune(root, stale_index=True)
    assert counts(plan) == (0, 0, 0, 1)
    execute(plan)
    identity = Identity(root, rehash=False, warn=print)
    assert identity.lookup(ref(1)) is None
    assert identity.lookup(ref(2)) == SHA
    identity.close()


def test_prune_of_a_damaged_cache_is_an_error_with_a_remedy(root: Path) -> None:
    (root / "results" / "cache.db").write_bytes(b"no database " * 1000)
    with pytest.raises(OutputNotWritable, match="damaged") as caught:
        plan_prune(root, max_size=0)
    assert caught.value.exit_code is ExitCode.NOT_WRITABLE
    assert "cache clear" in caught.value.remedy


def test_a_locked_cache_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.engine.cache.sqlite.TIMEOUT_SECONDS", 0.2)
    holder = sqlite3.connect(root / "results" / "cache.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    plan = plan_clear(root)
    with pytest.raises(OutputNotWritable, match="locked by another process"):
        execute(plan)
    holder.close()
    assert contents(root) == EVERYTHING


def test_prune_while_others_write(root: Path) -> None:
    code = """
    for number in range(80):
        with Opened(root) as it:
            it.store.merge([update(f"k{number % 50}", f"f{number}")])
            assert it.warnings == [], it.warnings
    """
    process = start(code, root)
    while process.poll() is None:
        execute(plan_prune(root, engine="rapidocr"))
        execute(plan_prune(root, max_size=100_000))
    finish(process)
    assert verify(root).sound


# -- verify


def test_a_good_cache_is_sound(root: Path) -> None:
    report = verify(root)
    assert report.sound
    assert (report.records, report.outdated) == (3, 0)
    assert plan_repair(root, report).is_empty


def test_an_outdated_record_is_no_defect(root: Path) -> None:
    plant(root, """UPDATE Cache SET value = '{"version":0}' WHERE key = 'a'""")
    report = verify(root)
    assert report.sound
    assert (report.records, report.outdated) == (2, 1)


def plant_everything(root: Path, canary: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (canary,)

    with Opened(root) as it:
        it.store.merge(
            [update(key, "f") for key in ("pickled", "pickled-key", "garbage", "in-file", "no-file", "good")]
        )
    bomb = pickle.dumps(Bomb())
    plant(root, "UPDATE Cache SET mode = 4, value = ? WHERE key = 'pickled'", bomb)
    plant(root, "UPDATE Cache SET raw = 0, key = ? WHERE key = 'pickled-key'", bomb)
    plant(root, "UPDATE Cache SET value = ? WHERE key = 'garbage'", b"\xff garbage")
    for key, name in (("in-file", "aa/bb/there.val"), ("no-file", "aa/bb/none.val")):
        plant(root, "UPDATE Cache SET mode = 4, value = NULL, filename = ? WHERE key = ?", name, key)
    (root / "results" / "aa" / "bb").mkdir(parents=True)
    (root / "results" / "aa" / "bb" / "there.val").write_bytes(bomb)
    (root / "results" / "aa" / "orphan.val").write_bytes(bomb)


def test_verify_finds_what_is_wrong_and_repair_removes_it(root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    plant_everything(root, canary)
    report = verify(root)
    assert not report.sound
    assert report.records == 4
    assert report.unreadable == ("garbage",)
    assert {name for name in report.refused if not name.startswith("row ")} == {"pickled", "in-file", "no-file"}
    assert len(report.refused) == 4
    assert report.missing_files == ("no-file",)
    folder = root / "results" / "aa"
    assert report.orphan_files == (folder / "bb" / "there.val", folder / "orphan.val")
    before = listing(root)
    plan = plan_repair(root)
    assert listing(root) == before
    assert counts(plan) == (5, 0, 0, 0)
    execute(plan)
    assert verify(root).sound
    assert contents(root) == EVERYTHING
    assert not canary.exists()


def test_clear_takes_foreign_rows_and_files_too(root: Path, tmp_path: Path) -> None:
    plant_everything(root, tmp_path / "canary")
    stats(root)
    plan_prune(root, older_than=0, max_size=0, engine="describe", failures=True)
    execute(plan_clear(root))
    report = verify(root)
    assert report.sound and report.records == 0
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("which", ["results/cache.db", "stat/index.db"])
@pytest.mark.parametrize("how", ["text", "page"])
def test_verify_of_a_damaged_database(root: Path, which: str, how: str) -> None:
    data = (root / which).read_bytes()
    (root / which).write_bytes(b"no database " * 1000 if how == "text" else data[:4096] + b"\xa5" * (len(data) - 4096))
    report = verify(root)
    assert not report.sound
    assert bool(report.database) == which.startswith("results")
    assert bool(report.index) == which.startswith("stat")
    plan = plan_repair(root, report)
    assert plan.paths == ((root / which).parent,)
    assert execute(plan) > 0
    assert verify(root).sound
    assert contents(root) == (EVERYTHING if which.startswith("stat") else {})


def test_an_index_row_without_a_sha_is_a_defect(root: Path) -> None:
    connection = sqlite3.connect(root / "stat" / "index.db")
    connection.execute("UPDATE files SET sha256 = 'text' WHERE inode = 1")
    connection.commit()
    connection.close()
    assert verify(root).index == ("files without a SHA-256: 1",)
    execute(plan_repair(root))
    assert verify(root).sound


def test_what_was_set_aside_is_named_and_goes_with_a_repair(root: Path) -> None:
    aside = root / "results.corrupt-20260101T000000"
    aside.mkdir()
    (aside / "cache.db").write_bytes(b"x" * 5000)
    report = verify(root)
    assert report.sound and report.set_aside == (aside,)
    plan = plan_repair(root, report)
    assert (plan.paths, plan.bytes) == ((aside,), 5000)
    assert execute(plan) == 5000
    assert contents(root) == EVERYTHING
