from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imgtool.engine.files.discover import ImageRef
from imgtool.engine.files.identity import FileChanged, Identity
from tests.caches import LONG_AGO, NOW_ISH, SHA, finish, listing, ref, run, start
from tests.command import obey_permissions


def ref_of(path: Path) -> ImageRef:
    found = path.stat()
    return ImageRef(str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)


def just_written(path: Path) -> ImageRef:
    """The same after it was hashed within two seconds of its writing."""
    return replace(ref_of(path), is_settled=False)


class Opened:
    """An index and the warnings it gave."""

    def __init__(self, root: Path, rehash: bool = False) -> None:
        self.warnings: list[str] = []
        self.identity = Identity(root, rehash=rehash, warn=self.warnings.append)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.identity.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files that a test has just written count as old: the margin is two seconds otherwise."""
    monkeypatch.setattr("imgtool.engine.files.identity._MARGIN_NS", -60_000_000_000)
    yield


# -- reading


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_the_sha_is_that_of_the_bytes(root: Path, tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(os.urandom(size))
    with Opened(root) as it:
        assert it.identity.identify(ref_of(file)) == (hashlib.sha256(file.read_bytes()).hexdigest(), just_written(file))


def test_the_ref_is_refreshed(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"before")
    before = ref_of(file)
    file.write_bytes(b"afterwards")
    with Opened(root) as it:
        sha256, fresh = it.identity.identify(before)
    assert sha256 == hashlib.sha256(b"afterwards").hexdigest()
    assert fresh == just_written(file) != before


def test_errors_of_the_file_come_as_they_are(root: Path, tmp_path: Path) -> None:
    with Opened(root) as it:
        with pytest.raises(FileNotFoundError):
            it.identity.identify(ref())
        with pytest.raises(OSError, match="not a regular file") as caught:
            it.identity.identify(replace(ref(), path=str(tmp_path)))
        assert caught.value.filename == str(tmp_path)


def test_a_pipe_is_not_waited_for(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with Opened(root) as it, pytest.raises(OSError, match="not a regular file"):
        it.identity.identify(replace(ref(), path=str(tmp_path / "a.jpg")))


def test_a_file_without_permission(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")
    file.chmod(0)
    code = """
    identity = Identity(root, rehash=False, warn=print)
    try:
        identity.identify(ImageRef(sys.argv[2], 1, 1, 1, 1, 1))
    except PermissionError:
        print("denied")
    """
    assert run(code, root, file, prepare=obey_permissions) == "denied\n"


def test_a_link_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    with Opened(root) as it:
        assert it.identity.identify(ref_of(tmp_path / "b.jpg"))[0] == SHA


def test_a_file_that_never_holds_still(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.touch()
    os.truncate(file, 50_000_000)
    code = """
    with open(sys.argv[2], "ab", buffering=0) as stream:
        print("writing", flush=True)
        while True:
            stream.write(b"x")
            time.sleep(0.001)
    """
    writer = start(code, root, file)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    with Opened(root) as it:
        try:
            with pytest.raises(FileChanged):
                it.identity.identify(ref_of(file))
        finally:
            writer.kill()
            writer.communicate()
        assert it.identity.identify(ref_of(file))[0] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_changed_once_is_read_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"before")
    real_fstat, calls = os.fstat, []

    def fstat(handle: int) -> os.stat_result:
        found = real_fstat(handle)
        if not calls:
            file.write_bytes(b"afterwards")
        calls.append(handle)
        return found

    with Opened(root) as it:
        monkeypatch.setattr(os, "fstat", fstat)
        sha256, fresh = it.identity.identify(ref_of(file))
        monkeypatch.undo()
    assert sha256 == hashlib.sha256(b"afterwards").hexdigest()
    assert fresh == just_written(file)


# -- trusting


def test_an_unchanged_file_is_not_read_again(root: Path, tmp_path: Path, settled: None) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")
    with Opened(root) as it:
        assert it.identity.lookup(ref_of(file)) is None
        assert not it.identity.is_known_image(file.stat())
        it.identity.identify(ref_of(file))
        assert it.identity.lookup(ref_of(file)) == SHA
    with Opened(root) as it:
        file.chmod(0o200)  # A change of permissions changes the ctime.
        assert it.identity.lookup(ref_of(file)) is None
    with Opened(root) as it:
        it.identity.identify(ref_of(file))
    with Opened(root) as it:
        assert it.identity.lookup(ref_of(file)) == SHA
        assert it.identity.is_known_image(file.stat())
        assert it.warnings == []


def test_a_file_that_was_just_written_is_not_trusted_yet(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")
    with Opened(root) as it:
        it.identity.identify(ref_of(file))
        assert it.identity.lookup(ref_of(file)) is None
        assert not it.identity.is_known_image(file.stat())
        time.sleep(max(0.0, 2.05 - (time.time() - file.stat().st_ctime)))
        assert it.identity.lookup(ref_of(file)) is None
        it.identity.identify(ref_of(file))
        assert it.identity.lookup(ref_of(file)) == SHA


def test_a_change_that_its_times_do_not_show_is_seen(root: Path, tmp_path: Path) -> None:
    # The racily clean file: same size, and the clock of the file system has not moved on between the two writes.
    written = NOW_ISH
    with Opened(root) as it:
        for hashed_at, trusted in ((written, False), (written + 1_999_999_999, False), (written + 2 * 10**9, True)):
            found = ref(mtime_ns=written, ctime_ns=written)
            it.identity.remember(found, SHA, hashed_at)
            assert (it.identity.lookup(found) == SHA) == trusted


@pytest.mark.parametrize("newer", ["mtime_ns", "ctime_ns"])
def test_both_times_must_be_old(root: Path, newer: str) -> None:
    with Opened(root) as it:
        found = ref(**{newer: NOW_ISH + 1})
        it.identity.remember(found, SHA, NOW_ISH)
        assert it.identity.lookup(found) is None


@pytest.mark.parametrize("change", ["size", "mtime_ns", "ctime_ns", "device", "inode"])
@pytest.mark.parametrize("flushed", [False, True])
def test_any_change_makes_it_unknown(root: Path, change: str, flushed: bool) -> None:
    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
        if flushed:
            it.identity.flush()
        assert it.identity.lookup(ref()) == SHA
        for step in (1, -1):
            assert it.identity.lookup(replace(ref(), **{change: getattr(ref(), change) + step})) is None
        assert it.identity.lookup(ref()) == SHA


def test_the_path_does_not_matter(root: Path) -> None:
    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
        assert it.identity.lookup(replace(ref(), path="moved/y.png")) == SHA


def test_rehash_trusts_nothing_and_remembers_all(root: Path) -> None:
    with Opened(root, rehash=True) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
        it.identity.flush()
        assert it.identity.lookup(ref()) is None
        found = SimpleNamespace(st_size=1, st_mtime_ns=LONG_AGO, st_ctime_ns=LONG_AGO, st_dev=3, st_ino=7)
        assert not it.identity.is_known_image(found)  # type: ignore[arg-type]
    with Opened(root) as it:
        assert it.identity.lookup(ref()) == SHA
        assert it.identity.is_known_image(found)  # type: ignore[arg-type]


NUMBERS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1]))


@given(device=NUMBERS, inode=NUMBERS, size=st.integers(0, 2**63 - 1), mtime_ns=st.integers(-(2**62), LONG_AGO))
@settings(max_examples=25, deadline=None)
def test_any_numbers_of_a_stat_are_kept(
    tmp_path_factory: pytest.TempPathFactory, device: int, inode: int, size: int, mtime_ns: int
) -> None:
    root = tmp_path_factory.mktemp("c")
    found = ImageRef("x", size, mtime_ns, LONG_AGO, device, inode)
    with Opened(root) as it:
        it.identity.remember(found, SHA, NOW_ISH)
        it.identity.flush()
        assert it.identity.lookup(found) == SHA
        assert it.identity.lookup(replace(found, inode=inode ^ 1)) is None
        assert it.warnings == []


def test_a_file_from_the_far_future_does_no_harm(root: Path) -> None:
    with Opened(root) as it:
        found = ref(mtime_ns=2**63 + 5)
        it.identity.remember(found, SHA, NOW_ISH)
        it.identity.flush()
        assert it.identity.lookup(found) is None
        assert it.warnings == []


# -- keeping


def count(root: Path) -> int:
    connection = sqlite3.connect(root / "stat" / "index.db")
    ((number,),) = connection.execute("SELECT COUNT(*) FROM files").fetchall()
    connection.close()
    return int(number)


def test_much_is_written_in_between_so_that_a_killed_run_was_not_for_nothing(root: Path) -> None:
    code = """
    identity = Identity(root, rehash=False, warn=print)
    for inode in range(1000):
        identity.remember(ImageRef("x", 1, 1, 1, 1, inode), "ab" * 32, 17 * 10**17)
    os.kill(os.getpid(), 9)
    """
    process = start(code, root)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert count(root) >= 700
    with Opened(root) as it:
        assert it.identity.lookup(ImageRef("y", 1, 1, 1, 1, 3)) == "ab" * 32
        assert it.warnings == []


def test_being_looked_up_is_noted_once_a_week(root: Path) -> None:
    def seen() -> int:
        connection = sqlite3.connect(root / "stat" / "index.db")
        ((at,),) = connection.execute("SELECT seen_at FROM files").fetchall()
        connection.close()
        return int(at)

    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
    now = seen()
    assert abs(now - time.time()) < 60
    for days, noted in ((6, False), (8, True)):
        connection = sqlite3.connect(root / "stat" / "index.db")
        connection.execute("UPDATE files SET seen_at = ?", (now - days * 86400,))
        connection.commit()
        connection.close()
        with Opened(root) as it:
            assert it.identity.lookup(ref()) == SHA
        assert (seen() >= now) == noted


def test_threads_and_processes_share_it(root: Path, tmp_path: Path, settled: None) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(60)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 300_000)
    expected = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    code = """
    identity = Identity(root, rehash=False, warn=print)
    for inode in range(2000):
        identity.remember(ImageRef("x", 1, 1, 1, int(sys.argv[2]), inode), "ab" * 32, 17 * 10**17)
    identity.close()
    """
    others = [start(code, root, device) for device in (100, 200)]
    with Opened(root) as it, ThreadPoolExecutor(8) as threads:
        assert [sha for sha, _ in threads.map(it.identity.identify, map(ref_of, files))] == expected
        assert list(threads.map(it.identity.lookup, map(ref_of, files))) == expected
    assert [finish(other) for other in others] == ["", ""]
    assert it.warnings == []
    assert count(root) == 60 + 4000


def test_a_layout_of_another_version_is_begun_anew(root: Path) -> None:
    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
    connection = sqlite3.connect(root / "stat" / "index.db")
    connection.execute("ALTER TABLE files RENAME COLUMN sha256 TO sha512")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with Opened(root) as it:
        assert it.identity.lookup(ref()) is None
        it.identity.remember(ref(), SHA, NOW_ISH)
        it.identity.flush()
        assert it.identity.lookup(ref()) == SHA
        assert it.warnings == []


# -- reading ahead


@pytest.mark.parametrize(("step", "most"), [(1, 16), (1000, 1000)])
def test_files_that_follow_each_other_are_asked_about_together(root: Path, step: int, most: int) -> None:
    with Opened(root) as it:
        for inode in range(1000):
            it.identity.remember(ref(inode), SHA, NOW_ISH)
    asked: list[str] = []
    with Opened(root) as it:
        assert it.identity._connection is not None
        it.identity._connection.set_trace_callback(asked.append)
        for inode in range(1000):
            # A step that shares no divisor with 1001 meets every inode, out of order.
            assert it.identity.lookup(ref((inode + 1) * step % 1001 - 1)) == SHA
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= most


def test_what_was_read_ahead_does_not_hide_what_is_remembered_since(root: Path) -> None:
    with Opened(root) as it:
        for inode in range(64):
            it.identity.remember(ref(inode), SHA, NOW_ISH)
    other = "0" * 64
    with Opened(root) as it:
        assert [it.identity.lookup(ref(inode)) for inode in range(32)] == [SHA] * 32
        for inode in range(32, 64):
            it.identity.remember(ref(inode), other, NOW_ISH)
        it.identity.flush()
        assert [it.identity.lookup(ref(inode)) for inode in range(32, 64)] == [other] * 32


# -- trouble


def test_the_folder_is_for_its_owner_alone(root: Path) -> None:
    with Opened(root):
        assert (root / "stat").stat().st_mode & 0o777 == 0o700


def test_a_closed_index_knows_nothing(root: Path, tmp_path: Path) -> None:
    it = Opened(root)
    it.identity.close()
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert it.identity.identify(ref_of(tmp_path / "a.jpg"))[0] == SHA
    assert it.identity.lookup(ref()) is None
    it.identity.close()
    assert it.warnings == []


@pytest.mark.parametrize("value", ["text", 5, None, b"short"])
def test_a_row_that_holds_no_sha_is_not_trusted(root: Path, value: object) -> None:
    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
    connection = sqlite3.connect(root / "stat" / "index.db")
    connection.execute("UPDATE files SET sha256 = ?", (value,))
    connection.commit()
    connection.close()
    with Opened(root) as it:
        assert it.identity.lookup(ref()) is None
        it.identity.remember(ref(), SHA, NOW_ISH)
        assert it.identity.lookup(ref()) == SHA


def test_other_garbage_in_a_row_is_not_trusted(root: Path) -> None:
    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
    connection = sqlite3.connect(root / "stat" / "index.db")
    connection.execute("UPDATE files SET hashed_at_ns = 'yesterday', seen_at = CAST(x'ff' AS TEXT)")
    connection.commit()
    connection.close()
    with Opened(root) as it:
        assert it.identity.lookup(ref()) is None
        it.identity.remember(ref(), SHA, NOW_ISH)
        assert it.identity.lookup(ref()) == SHA
        assert it.warnings == []


@pytest.mark.parametrize("how", ["text", "pages"])
def test_a_damaged_index_is_set_aside(root: Path, how: str) -> None:
    with Opened(root) as it:
        for inode in range(3000):
            it.identity.remember(ref(inode), SHA, NOW_ISH)
    database = root / "stat" / "index.db"
    data = database.read_bytes()
    database.write_bytes(b"no database " * 1000 if how == "text" else data[:4096] + b"\xa5" * (len(data) - 4096))
    with Opened(root) as it:
        assert it.identity.lookup(ref()) is None
        it.identity.remember(ref(), SHA, NOW_ISH)
        it.identity.flush()
        assert it.identity.lookup(ref()) == SHA
        (warning,) = it.warnings
    (aside,) = root.glob("stat.corrupt-*")
    assert "damaged" in warning and aside.name in warning


LOOK = """
warnings = []
identity = Identity(root, rehash=False, warn=warnings.append)
known = ImageRef("x", 1, 1, 1, 1, 1)
print(identity.lookup(known))
for inode in (1, 2):
    identity.remember(ImageRef("x", 1, 1, 1, 1, inode), "cd" * 32, 17 * 10**17)
    identity.flush()
print(identity.lookup(ImageRef("x", 1, 1, 1, 1, 2)))
identity.close()
print(*warnings, sep="\\n")
"""


def test_a_read_only_index_still_serves(root: Path) -> None:
    with Opened(root) as it:
        it.identity.remember(ImageRef("x", 1, 1, 1, 1, 1), "ab" * 32, NOW_ISH)
    (root / "stat" / "index.db").chmod(0o400)
    (root / "stat").chmod(0o500)
    before = listing(root)
    known, new, warning = run(LOOK, root, prepare=obey_permissions).strip().split("\n")
    assert (known, new) == ("ab" * 32, "None")
    assert "read-only" in warning and "known files are spared" in warning
    assert listing(root) == before


def test_no_place_for_an_index(root: Path) -> None:
    root.mkdir()
    root.chmod(0o500)
    known, new, warning = run(LOOK, root, prepare=obey_permissions).strip().split("\n")
    assert (known, new) == ("None", "None")
    assert "permission is denied" in warning and "no file is spared" in warning


def test_a_full_disk(root: Path) -> None:
    with Opened(root) as it:
        it.identity.remember(ImageRef("x", 1, 1, 1, 1, 1), "ab" * 32, NOW_ISH)
    code = """
    import resource
    warnings = []
    identity = Identity(root, rehash=False, warn=warnings.append)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    for inode in range(5000):
        identity.remember(ImageRef("x", 1, 1, 1, 2, inode), "cd" * 32, 17 * 10**17)
        assert identity.lookup(ImageRef("x", 1, 1, 1, 1, 1)) == "ab" * 32
    identity.close()
    print(*warnings, sep="\\n")
    """
    (warning,) = run(code, root).strip().split("\n")
    assert "writing the disk failed" in warning
    with Opened(root) as it:
        assert it.identity.lookup(ImageRef("x", 1, 1, 1, 1, 1)) == "ab" * 32
        assert it.warnings == []


def test_a_locked_index_is_not_waited_for_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.engine.cache.sqlite.TIMEOUT_SECONDS", 0.2)
    with Opened(root) as it:
        it.identity.remember(ref(), SHA, NOW_ISH)
        it.identity.flush()
        holder = sqlite3.connect(root / "stat" / "index.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for inode in range(30):
            it.identity.remember(ref(100 + inode), SHA, NOW_ISH)
            it.identity.flush()
        assert time.monotonic() - began < 2
        (warning,) = it.warnings
        assert "locked" in warning
        holder.execute("ROLLBACK")
        holder.close()
