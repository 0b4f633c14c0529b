from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.engine.cache.records import DECODE_FAILURE, Record, Update, decode, encode, merged
from imgtool.engine.cache.store import FOLDER
from imgtool.types import Problem
from tests.caches import BROKEN, FACTS, KEY, Opened, answer, finish, listing, plant, run, start, update
from tests.command import obey_permissions

NAMES = st.text("abcdef-0123456789", min_size=1, max_size=6)
FAILURES = st.dictionaries(NAMES, st.builds(Problem, st.text(), st.text(), st.text()), max_size=3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# -- what is kept


def test_an_answer_comes_back(root: Path) -> None:
    with Opened(root) as it:
        given_answer = answer([{"text": "Straße 서울", "box": [[0.5, 1]]}])
        it.store.merge([Update(KEY, FACTS, {"f": given_answer}, {})])
        record = it.store.get(KEY)
    assert record == Record(1, FACTS, {"f": given_answer})
    with Opened(root) as it:
        assert it.store.get(KEY) == record
        assert it.store.get("another") is None
        assert it.store.entries() == 1
        assert it.store.bytes() == (root / "results" / "cache.db").stat().st_size
        assert it.warnings == []


@given(key=st.text(st.characters(exclude_categories=["Cs"])), other=st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=25, deadline=None)
def test_any_text_is_a_key(tmp_path_factory: pytest.TempPathFactory, key: str, other: str) -> None:
    with Opened(tmp_path_factory.mktemp("c")) as it:
        it.store.merge([update(key, "f")])
        assert it.fingerprints(key) == {"f"}
        assert (it.store.get(other) is not None) == (key == other)


def test_pages_and_thumbnails_have_records_of_their_own(root: Path) -> None:
    keys = [KEY, f"{KEY}#1", f"{KEY}#11", f"{KEY}/thumbnail"]
    with Opened(root) as it:
        it.store.merge([update(key, key) for key in keys])
        assert [it.fingerprints(key) for key in keys] == [{key} for key in keys]


def test_merging_nothing_writes_nothing(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    before = listing(root)
    with Opened(root) as it:
        stamp = (root / "results" / "cache.db").stat().st_mtime_ns
        it.store.merge(iter(()))
        assert it.store.get(KEY) is not None
        assert (root / "results" / "cache.db").stat().st_mtime_ns == stamp
    assert set(before) == set(listing(root))


def test_later_facts_and_answers_are_added_to_earlier_ones(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([Update(KEY, None, {"a": answer("old")}, {})])
        it.store.merge([update(KEY, "b")])
        it.store.merge([Update(KEY, None, {"a": answer("new")}, {})])
        record = it.store.get(KEY)
    assert record is not None
    assert record.image == FACTS
    assert {key: msgspec.json.decode(a.value) for key, a in record.answers.items()} == {"a": "new", "b": "b"}


def test_an_answer_clears_its_failure_and_a_failure_no_answer() -> None:
    failed = merged(None, update(KEY, failures={"a": BROKEN, "b": BROKEN, DECODE_FAILURE: BROKEN}))
    assert set(failed.failures) == {"a", "b", DECODE_FAILURE}
    answered = merged(failed, update(KEY, "a"))
    assert set(answered.failures) == {"b"}
    assert set(merged(answered, update(KEY, failures={"a": BROKEN})).failures) == {"b"}
    assert set(merged(answered, update(KEY, failures={DECODE_FAILURE: BROKEN})).failures) == {"b", DECODE_FAILURE}


@given(
    parts=st.lists(st.sets(NAMES, max_size=4), max_size=5),
    failures=st.lists(FAILURES, min_size=5, max_size=5),
    seed=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_the_order_of_disjoint_merges_does_not_matter(
    parts: list[set[str]], failures: list[dict[str, Problem]], seed: random.Random
) -> None:
    answers = {name: answer(name) for names in parts for name in names}
    updates = [
        Update(
            KEY,
            FACTS,
            {f"{number}{name}": answers[name] for name in names},
            {f"{number}{name}": problem for name, problem in failed.items()},
        )
        for number, (names, failed) in enumerate(zip(parts, failures, strict=False))
    ]
    shuffled = seed.sample(updates, len(updates))
    results = []
    for order in (updates, shuffled):
        record: Record | None = None
        for one in order:
            record = merged(record, one)
        results.append(record and msgspec.json.encode(record, order="deterministic"))
    assert results[0] == results[1]
    if updates:
        assert record is not None and len(record.answers) == sum(map(len, parts))


@given(first=st.sets(NAMES, max_size=3), failed=st.sets(NAMES, max_size=3))
@settings(deadline=None)
def test_no_record_holds_a_failure_beside_its_answer(first: set[str], failed: set[str]) -> None:
    one, other = update(KEY, *first), update(KEY, failures=dict.fromkeys(failed, BROKEN))
    for record in (merged(merged(None, one), other), merged(merged(None, other), one)):
        assert not set(record.answers) & set(record.failures)
        assert set(record.answers) == first
        assert set(record.failures) == failed - first
        assert decode(encode(record)) == record


# -- age and size


def test_answers_past_their_time_are_misses(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([Update(KEY, FACTS, {"old": answer(age=100), "new": answer(age=10)}, {"x": BROKEN})])
    with Opened(root, ttl=50) as it:
        record = it.store.get(KEY)
        assert record is not None
        assert set(record.answers) == {"new"}
        assert record.image == FACTS and set(record.failures) == {"x"}
    with Opened(root, ttl=5) as it:
        assert it.fingerprints() == set()
    with Opened(root) as it:
        assert it.fingerprints() == {"old", "new"}


def test_the_ttl_of_one_run_does_not_bind_those_that_say_never(root: Path) -> None:
    with Opened(root, ttl=0.05) as it:
        it.store.merge([update(KEY, "a")])
        assert it.fingerprints() == {"a"}
        time.sleep(0.1)
        assert it.fingerprints() == set()
    with Opened(root) as it:
        assert it.fingerprints() == {"a"}
        it.store.merge([update(KEY, "b")])
        assert it.fingerprints() == {"a", "b"}


def test_rows_that_an_earlier_version_let_expire_are_served_and_kept(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "a"), update("other", "a")])
    plant(root, "UPDATE Cache SET expire_time = ?", time.time() - 3600)
    with Opened(root, size_limit=1) as it:
        assert it.fingerprints() == {"a"}
        assert it.warnings == []
    with Opened(root) as it:
        it.store.merge([update(KEY, "b")])
        assert it.fingerprints() == {"a", "b"}
        assert it.fingerprints("other") == {"a"}
        assert it.store.entries() == 2


def test_a_window_of_images_is_looked_up_at_once(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(f"k{number}", str(number)) for number in range(0, 3000, 2)])
        found = it.store.get_many([f"k{number}" for number in range(1200)])
        assert set(found) == {f"k{number}" for number in range(0, 1200, 2)}
        assert set(found["k40"].answers) == {"40"}
        assert it.store.get_many([]) == {}


def test_the_size_limit_holds_and_the_newest_stay(root: Path) -> None:
    limit, big = 1_000_000, "x" * 20_000
    with Opened(root, size_limit=limit) as it:
        for start_at in range(0, 200, 20):
            it.store.merge([Update(f"k{n}", FACTS, {"f": answer(big)}, {}) for n in range(start_at, start_at + 20)])
            assert it.store.bytes() <= limit
        kept = [n for n in range(200) if it.store.get(f"k{n}") is not None]
    assert kept == list(range(200 - len(kept), 200))
    # Not culled further than the limit asks for: a record takes six pages of 4,096 bytes.
    assert len(kept) >= 0.7 * limit / 24_576
    assert sum(size for size, _ in listing(root).values()) <= limit


def test_a_lower_limit_takes_effect_at_the_next_write(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([Update(f"k{n}", FACTS, {"f": answer("x" * 20_000)}, {}) for n in range(100)])
        assert it.store.bytes() > 2_000_000
    with Opened(root, size_limit=500_000) as it:
        it.store.merge([update(KEY, "f")])
        assert it.store.bytes() <= 500_000
        assert it.fingerprints() == {"f"}


def test_looking_up_does_not_write(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
        before = listing(root)
        for _ in range(20):
            assert it.fingerprints() == {"f"}
            it.store.get("absent")
        assert listing(root) == before


# -- what others left


@pytest.mark.parametrize(
    "left", ['{"version":2,"image":"other"}', '{"version":0,"image":null,"answers":{}}', '{"version":99}']
)
def test_a_record_of_another_version_is_a_quiet_miss_and_is_replaced(root: Path, left: str) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    plant(root, "UPDATE Cache SET value = ?", left.encode())
    with Opened(root) as it:
        assert it.store.get(KEY) is None
        assert it.warnings == []
        it.store.merge([update(KEY, "g")])
        assert it.fingerprints() == {"g"}


@pytest.mark.parametrize("left", [b"", b"\xff\xfe\x00", b'{"version":1}', b"[1]", b"[" * 5000, "text", 17, None])
def test_garbage_is_a_miss_said_once_and_is_replaced(root: Path, left: object) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f"), update("other", "f")])
    plant(root, "UPDATE Cache SET value = ? WHERE key = ?", left, KEY)
    with Opened(root) as it:
        assert it.store.get(KEY) is None
        assert it.store.get(KEY) is None
        assert it.fingerprints("other") == {"f"}
        assert len(it.warnings) == 1
        it.store.merge([update(KEY, "g")])
        assert it.fingerprints() == {"g"}


def test_a_pickled_row_is_not_run_but_removed(root: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "canary",)

    with Opened(root) as it:
        it.store.merge([update(KEY, "f"), update("second", "f"), update("third", "f")])
    plant(root, "UPDATE Cache SET mode = 4, value = ? WHERE key != 'third'", pickle.dumps(Bomb()))
    with Opened(root) as it:
        assert it.store.get(KEY) is None
        it.store.merge([update("second", "g")])
        assert it.fingerprints("second") == {"g"}
        assert it.fingerprints("third") == {"f"}
        assert it.store.entries() == 2
        (warning,) = it.warnings
    assert "rows that imgtool never writes" in warning and "cache verify" in warning
    assert not (tmp_path / "canary").exists()


def test_a_row_with_its_value_in_a_file_is_refused_and_the_file_elsewhere_stays(root: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(encode(Record(1, FACTS, {"f": answer()})))
    with Opened(root) as it:
        it.store.merge([update(KEY, "f"), update("gone", "f")])
    plant(root, "UPDATE Cache SET mode = 2, value = NULL, filename = ? WHERE key = ?", str(precious), KEY)
    plant(root, "UPDATE Cache SET mode = 2, value = NULL, filename = 'aa/bb/none.val' WHERE key = 'gone'")
    with Opened(root) as it:
        assert it.store.get(KEY) is None
        assert it.store.get("gone") is None
        assert it.store.entries() == 0
        assert len(it.warnings) == 1
    assert precious.exists()


def test_settings_left_in_the_database_do_not_rule(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    plant(root, "UPDATE Settings SET value = 1 WHERE key = 'statistics'")
    plant(root, "UPDATE Settings SET value = 'none' WHERE key = 'eviction_policy'")
    plant(root, "INSERT INTO Settings VALUES ('disk_unheard_of', 3)")
    with Opened(root, size_limit=1) as it:
        before = listing(root)
        assert it.fingerprints() == {"f"}
        assert listing(root) == before
        it.store.merge([update("other", "f")])
        assert it.store.entries() == 0
        assert it.warnings == []


# -- folders


def test_folders_are_for_their_owner_alone(root: Path) -> None:
    with Opened(root):
        assert root.stat().st_mode & 0o777 == 0o700
        assert (root / "results").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o570, 0o500)])
def test_an_open_folder_is_closed_but_one_that_exists_around_it_is_not(root: Path, before: int, after: int) -> None:
    (root / "results").mkdir(parents=True)
    root.chmod(0o755)
    (root / "results").chmod(before)
    with Opened(root):
        assert (root / "results").stat().st_mode & 0o777 == after
        assert root.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "name", ["with space", "q?mode=ro", "ha#sh", "per%20cent", "서울", "~", "a$", os.fsdecode(b"\xff")]
)
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    with Opened(tmp_path / name) as it:
        it.store.merge([update(KEY, "f")])
        assert it.fingerprints() == {"f"}
        assert it.warnings == []
    assert (tmp_path / name / "results" / "cache.db").is_file()


def test_a_variable_in_the_name_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSEWHERE", "elsewhere")
    with Opened(tmp_path / "$ELSEWHERE") as it:
        it.store.merge([update(KEY, "f")])
        assert not it.store.enabled
        (warning,) = it.warnings
    assert "$VARIABLE" in warning
    assert not (tmp_path / "elsewhere").exists()


# -- trouble


def is_off(it: Opened) -> bool:
    """Whether a store takes everything quietly and knows nothing."""
    it.store.merge([update("new", "f")])
    return not it.store.enabled and it.store.get("new") is None and it.store.entries() == it.store.bytes() == 0


def test_a_closed_store_knows_nothing(root: Path) -> None:
    it = Opened(root)
    it.store.close()
    assert is_off(it)
    it.store.close()
    assert it.warnings == []


@pytest.mark.parametrize("place", ["cache", "cache/results", "cache/results/cache.db"])
def test_something_else_of_that_name_is_said_and_left(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith(".db"):
        path.mkdir()
    else:
        path.write_text("mine")
    with Opened(tmp_path / "cache") as it:
        assert is_off(it)
        assert len(it.warnings) == 1
        assert str(tmp_path / "cache" / "results") in it.warnings[0]
    assert path.exists()


def damage(database: Path, how: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    data = bytearray(database.read_bytes())
    if how == "text":
        database.write_text("this is no database, and long enough to be told from one. " * 100)
    elif how == "cut":
        database.write_bytes(data[: len(data) // 2 // 4096 * 4096])
    elif how == "pages":
        data[4096:] = b"\xa5" * (len(data) - 4096)
        database.write_bytes(data)


@pytest.mark.parametrize("how", ["text", "cut", "pages"])
def test_a_damaged_database_is_set_aside(root: Path, how: str) -> None:
    with Opened(root) as it:
        it.store.merge([Update(f"k{n}", FACTS, {"f": answer("x" * 1000)}, {}) for n in range(200)])
    damage(root / "results" / "cache.db", how)
    with Opened(root) as it:
        for number in range(200):
            it.store.get(f"k{number}")
        it.store.merge([update(KEY, "f")])
        # The run that met the damage may lose the one write that met it, and nothing after.
        it.store.merge([update(KEY, "f")])
        assert it.fingerprints() == {"f"}
        (warning,) = it.warnings
    (aside,) = root.glob("results.corrupt-*")
    assert "damaged" in warning and aside.name in warning
    assert (aside / "cache.db").exists()
    with Opened(root) as it:
        assert it.fingerprints() == {"f"}
        assert it.warnings == []


def test_damage_in_mid_run_is_met_the_same_way(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([Update(f"k{n}", FACTS, {"f": answer("x" * 1000)}, {}) for n in range(200)])
    with Opened(root) as it:
        assert it.fingerprints("k0") == {"f"}
        damage(root / "results" / "cache.db", "pages")
        for number in range(200):
            it.store.get(f"k{number}")
        it.store.merge([update(KEY, "f")])
        it.store.merge([update(KEY, "f")])
        assert it.fingerprints() == {"f"}
        assert len(it.warnings) == 1


def test_damage_that_another_process_has_dealt_with_is_not_dealt_with_again(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([Update(f"k{n}", FACTS, {"f": answer("x" * 1000)}, {}) for n in range(200)])
    with Opened(root) as first, Opened(root) as second:
        damage(root / "results" / "cache.db", "pages")
        for it in (first, second):
            for number in range(200):
                it.store.get(f"k{number}")
            it.store.merge([update(KEY, "f")])
            it.store.merge([update(KEY, "f")])
        assert first.fingerprints() == second.fingerprints() == {"f"}
    assert len(list(root.glob("results.corrupt-*"))) == 1
    assert "another process set it aside" in second.warnings[0]


def test_damage_again_and_again_ends_the_use_of_the_cache(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    damage(root / "results" / "cache.db", "text")
    with Opened(root) as it:
        for _ in range(5):
            it.store.merge([Update(f"k{n}", FACTS, {"f": answer("x" * 1000)}, {}) for n in range(200)])
            damage(root / "results" / "cache.db", "pages")
            for number in range(200):
                it.store.get(f"k{number}")
        assert is_off(it)
        assert len(it.warnings) == 1
    assert len(list(root.glob("results.corrupt-*"))) == 1


LOOK = """
with Opened(root) as it:
    print(it.fingerprints(), it.store.enabled, it.store.entries())
    it.store.merge([update("new", "f")])
    it.store.merge([update("new", "f")])
    print(it.fingerprints("new"))
print(*it.warnings, sep="\\n")
"""


def lines(text: str) -> list[str]:
    return text.strip().split("\n")


def test_a_read_only_cache_still_serves(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    (root / "results" / "cache.db").chmod(0o400)
    (root / "results").chmod(0o500)
    before = listing(root)
    known, new, warning = lines(run(LOOK, root, prepare=obey_permissions))
    assert (known, new) == ("{'f'} True 1", "None")
    assert "read-only" in warning and "known answers are used" in warning
    assert listing(root) == before
    assert (root / "results").stat().st_mode & 0o777 == 0o500


def test_a_read_only_cache_with_a_log_is_read_with_it(root: Path) -> None:
    run("it = Opened(root); it.store.merge([update(KEY, 'f')]); os._exit(0)", root)
    folder = root / "results"
    assert (folder / "cache.db-wal").stat().st_size > 0
    for path in (*folder.iterdir(), folder):
        path.chmod(0o500)
    known, new, warning = lines(run(LOOK, root, prepare=obey_permissions))
    assert (known, new) == ("{'f'} True 1", "None")
    assert "read-only" in warning


def test_a_read_only_folder_without_a_cache_is_a_miss(root: Path) -> None:
    root.mkdir()
    root.chmod(0o500)
    known, new, warning = lines(run(LOOK, root, prepare=obey_permissions))
    assert (known, new) == ("None False 0", "None")
    assert "permission is denied" in warning


def test_a_cache_that_vanishes_in_mid_run(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
        shutil.rmtree(root)
        for _ in range(3):
            it.store.merge([update("new", "f")])
            it.store.get("new")
        assert it.warnings == []
    with Opened(root) as it:
        assert it.fingerprints("new") == {"f"}, "a process that goes on for weeks keeps what it finds from then on"


def test_a_cache_that_another_process_has_begun_anew_is_shared_with_it(root: Path) -> None:
    with Opened(root) as first:
        first.store.merge([update(KEY, "f")])
        shutil.rmtree(root)
        with Opened(root) as second:
            second.store.merge([update("theirs", "f")])
            first.store.merge([update("ours", "f")])
            assert second.fingerprints("ours") == first.fingerprints("theirs") == {"f"}
    with Opened(root) as it:
        assert it.fingerprints("ours") == it.fingerprints("theirs") == {"f"}
        assert it.warnings == first.warnings == second.warnings == []


def test_a_cache_that_vanishes_and_cannot_be_begun_anew_is_said_once(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
        shutil.rmtree(root)
        root.write_text("something else")
        for _ in range(3):
            it.store.merge([update("new", "f")])
            it.store.get("new")
        assert len(it.warnings) == 1
        assert "not kept" in it.warnings[0]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_cache_of_another_user(shared: Path, mode: int) -> None:
    root = shared / "cache"
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    for folder in (root, root / "results"):
        folder.chmod(mode)
    readable = mode == 0o755
    # What is imported later could not be read any more where Python lives in root's home.
    code = "import urllib.parse; os.setgid(65534); os.setuid(65534)\n" + LOOK
    known, new, warning = lines(run(code, root))
    assert (known, new) == ("{'f'} True 1" if readable else "None False 0", "None")
    assert ("read-only" if readable else "permission is denied") in warning
    assert (root / "results").stat().st_mode & 0o777 == mode


def test_a_full_disk_loses_writes_and_nothing_else(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    code = """
    import resource
    with Opened(root) as it:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        for number in range(50):
            it.store.merge([Update(f"k{number}", FACTS, {"f": answer("x" * 20_000)}, {})])
            assert it.fingerprints() == {"f"}
        print(it.store.enabled)
    print(*it.warnings, sep="\\n")
    """
    enabled, warning = lines(run(code, root))
    assert enabled == "True"
    assert "writing the disk failed" in warning and "are not kept" in warning
    with Opened(root) as it:
        assert it.fingerprints() == {"f"}
        assert 1 < it.store.entries() < 51
        it.store.merge([update("after", "f")])
        assert it.fingerprints("after") == {"f"}
        assert it.warnings == []


def test_no_room_for_a_new_cache(root: Path) -> None:
    code = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    known, new, warning = lines(run(code + LOOK, root))
    assert (known, new) == ("None False 0", "None")
    assert "writing the disk failed" in warning and "goes on without it" in warning


HOLD = """
import sqlite3
connection = sqlite3.connect(root / "results" / "cache.db", isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.engine.cache.sqlite.TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr("imgtool.engine.cache.store.TIMEOUT_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
def test_a_locked_cache_is_read_and_not_waited_for_again(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
        holder = start(HOLD, root, "BEGIN IMMEDIATE")
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        began = time.monotonic()
        for number in range(20):
            it.store.merge([update(f"k{number}", "f")])
            assert it.fingerprints() == {"f"}
        assert time.monotonic() - began < 3
        finish(holder)
        (warning,) = it.warnings
        assert "locked by another process" in warning


@pytest.mark.usefixtures("impatient")
def test_a_cache_that_was_locked_at_first_is_written_later(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    holder = start(HOLD, root, "BEGIN IMMEDIATE")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    monkeypatch.setattr("imgtool.engine.cache.sqlite._REST_SECONDS", 0.2)
    with Opened(root) as it:
        assert it.fingerprints() == {"f"}
        it.store.merge([update("lost", "f")])
        finish(holder)
        time.sleep(0.3)
        it.store.merge([update("kept", "f")])
        assert it.store.get("lost") is None
        assert it.fingerprints("kept") == {"f"}
        assert len(it.warnings) == 1


@pytest.mark.usefixtures("impatient")
def test_a_cache_locked_for_readers_too_is_off(root: Path) -> None:
    with Opened(root) as it:
        it.store.merge([update(KEY, "f")])
    holder = start(HOLD, root, "PRAGMA locking_mode = exclusive", "BEGIN EXCLUSIVE")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with Opened(root) as it:
        assert it.store.get(KEY) is None
        assert len(it.warnings) == 1
    finish(holder)


# -- processes


MERGE = """
me, answers = sys.argv[2], int(sys.argv[3])
sys.stdin.readline()
with Opened(root) as it:
    for first in range(0, 500, 10):
        it.store.merge([update(f"k{n}", "shared", f"{me}-{n % answers}") for n in range(first, first + 10)])
    print(*it.warnings)
"""


def test_four_processes_lose_nothing(root: Path) -> None:
    processes = [start(MERGE, root, me, 7) for me in "abcd"]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [finish(process).strip() for process in processes] == [""] * 4
    with Opened(root) as it:
        assert it.store.entries() == 500
        for number in range(500):
            assert it.fingerprints(f"k{number}") == {"shared", *(f"{me}-{number % 7}" for me in "abcd")}


def test_a_process_killed_in_mid_merge_leaves_whole_records(root: Path) -> None:
    code = """
    it = Opened(root)
    for number in range(10**6):
        it.store.merge([update(f"k{number}", "a", "b"), update(f"l{number}", "a", "b")])
        print(number, flush=True)
    """
    for wait in (0, 7, 31):
        process = start(code, root)
        assert process.stdout is not None
        done = [int(process.stdout.readline()) for _ in range(wait + 1)][-1]
        process.kill()
        process.communicate()
        with Opened(root) as it:
            for number in range(done + 1):
                assert it.fingerprints(f"k{number}") == it.fingerprints(f"l{number}") == {"a", "b"}
            assert it.store.entries() % 2 == 0
            it.store.merge([update("after", "f")])
            assert it.fingerprints("after") == {"f"}
            it.store.merge([])
            assert it.warnings == []
        connection = sqlite3.connect(root / FOLDER / "cache.db")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("DELETE FROM Cache")
        connection.commit()
        connection.close()


def test_the_store_imports_nothing_heavy() -> None:
    code = "print([name for name in ('numpy', 'PIL', 'onnxruntime', 'cv2', 'asyncio') if name in sys.modules])"
    assert run("import imgtool.engine.cache.store, imgtool.engine.files.identity\n" + code, "unused").strip() == "[]"
