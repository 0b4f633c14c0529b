"""EasyOCR's weights: zips from a real server, resumed, verified by EasyOCR's own table, installed by a rename."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from imgtool.distribution import install_command
from imgtool.errors import ImgtoolError
from imgtool.weights.catalogue import find
from imgtool.weights.easyocr_table import table_entry
from imgtool.weights.errors import (
    AccessDenied,
    BrokenArchive,
    DownloadFailed,
    LibraryMissing,
    ModelNotFound,
    NotInStore,
    RepositoryIncomplete,
    UnexpectedAnswer,
    WrongHash,
)
from imgtool.weights.fetching.fetch import fetch
from imgtool.weights.fetching.fetch_job import FetchOutcome
from imgtool.weights.store import ModelStore, StoredState
from tests.fakes.easyocr_table import write_easyocr
from tests.fakes.hub import FakeHub, noise
from tests.model_files import CRAFT, KOREAN, QUICK, Recorder

SPEC = find("craft")
ARCHIVE = "/releases/craft_mlt_25k.zip"
pytestmark = pytest.mark.usefixtures("easyocr")


def weights(store: ModelStore) -> Path:
    return store.places.easyocr / "craft_mlt_25k.pth"


def test_the_table_is_read_without_importing_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    # Importing the package sets it; a test before this one may have imported the real one.
    monkeypatch.delenv("LRU_CACHE_CAPACITY", raising=False)
    entry = table_entry(SPEC)
    assert (entry.filename, entry.md5) == ("craft_mlt_25k.pth", hashlib.md5(CRAFT).hexdigest())
    assert "easyocr" not in sys.modules
    assert "LRU_CACHE_CAPACITY" not in os.environ


def test_weights_are_fetched_verified_and_written_down(store: ModelStore) -> None:
    recorder = Recorder()
    for name, content in (("craft", CRAFT), ("korean_g2", KOREAN)):
        done = fetch(find(name), store, QUICK, recorder)
        assert (done.outcome, done.bytes_downloaded) == (FetchOutcome.FETCHED, len(content))
        (file,) = done.manifest.files
        assert file.md5 == hashlib.md5(content).hexdigest()
        assert (store.places.easyocr / file.path).read_bytes() == content
        assert store.status(find(name), full=True).complete
    assert recorder.steps[-1][1] == recorder.steps[-1][2] > 0
    assert {path.name for path in store.places.easyocr.iterdir()} == {"craft_mlt_25k.pth", "korean_g2.pth"}


def test_a_second_fetch_asks_nothing(hub: FakeHub, store: ModelStore) -> None:
    fetch(SPEC, store, QUICK)
    assert fetch(SPEC, store, QUICK).outcome is FetchOutcome.PRESENT
    assert len(hub.seen) == 1


def test_weights_that_are_there_already_are_adopted(hub: FakeHub, store: ModelStore) -> None:
    weights(store).parent.mkdir(parents=True)
    weights(store).write_bytes(CRAFT)
    done = fetch(SPEC, store, replace(QUICK, offline=True))
    assert done.outcome is FetchOutcome.ADOPTED
    assert not done.manifest.files[0].fetched
    assert not hub.seen


def test_damaged_weights_are_set_aside_and_fetched(store: ModelStore) -> None:
    weights(store).parent.mkdir(parents=True)
    weights(store).write_bytes(CRAFT[:-1] + b"!")
    with pytest.raises(NotInStore, match="damaged"):
        fetch(SPEC, store, replace(QUICK, offline=True))
    done = fetch(SPEC, store, QUICK)
    assert [path.read_bytes()[-1:] for path in done.set_aside] == [b"!"]
    assert weights(store).read_bytes() == CRAFT


def test_a_cut_transfer_is_resumed_where_it_ended(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /releases", cut_after=100_000, times=1)
    done = fetch(SPEC, store, QUICK)
    assert done.retries == 1
    first, second = hub.requests("GET /releases")
    assert (first.range, second.status) == ("", 206)
    assert second.range == "bytes=100000-"
    assert weights(store).read_bytes() == CRAFT


def test_a_transfer_of_an_archive_that_changed_meanwhile_starts_anew(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /releases", cut_after=100_000, times=1)
    with pytest.raises(DownloadFailed):
        fetch(SPEC, store, replace(QUICK, retry=replace(QUICK.retry, attempts=1)))
    hub.add_archive(ARCHIVE, {"craft_mlt_25k.pth": CRAFT, "notes.txt": b"packed anew"})
    fetch(SPEC, store, QUICK)
    assert hub.requests("GET /releases")[-1].status == 200
    assert weights(store).read_bytes() == CRAFT


def test_a_server_that_fails_twice_is_asked_a_third_time(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /releases", status=502, times=2)
    recorder = Recorder()
    assert fetch(SPEC, store, QUICK, recorder).retries == 2
    assert [reason for _, reason in recorder.retries] == ["the server answered 502"] * 2


def test_a_server_that_always_fails_ends_in_a_message(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /releases", status=500)
    with pytest.raises(DownloadFailed, match=r"failed 3 times"):
        fetch(SPEC, store, QUICK)
    assert store.status(SPEC).state is StoredState.NO_MANIFEST
    assert not weights(store).exists()


def test_an_archive_that_arrives_wrong_is_fetched_once_more(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /releases", flipped=True, times=1)
    fetch(SPEC, store, QUICK)
    assert len(hub.seen) == 2
    assert weights(store).read_bytes() == CRAFT


def test_other_weights_than_the_tables_are_never_installed(hub: FakeHub, store: ModelStore) -> None:
    hub.add_archive(ARCHIVE, {"craft_mlt_25k.pth": noise(1000, 5)})
    with pytest.raises(WrongHash, match="not the file that EasyOCR describes"):
        fetch(SPEC, store, QUICK)
    assert len(hub.seen) == 2
    assert not list(store.places.easyocr.iterdir())


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        ({"status": 404}, ModelNotFound, 1),
        ({"status": 403}, AccessDenied, 1),
        ({"html": True}, UnexpectedAnswer, 1),
        ({"replaced": b"no zip at all"}, BrokenArchive, 2),
    ],
)
def test_what_cannot_be_an_archive_is_a_message(
    hub: FakeHub, store: ModelStore, fault: dict[str, object], kind: type[ImgtoolError], requests: int
) -> None:
    hub.fail("GET /releases", **fault)
    with pytest.raises(kind) as caught:
        fetch(SPEC, store, QUICK)
    assert caught.value.remedy
    assert len(hub.seen) == requests


def test_an_archive_without_the_weights_says_so(hub: FakeHub, store: ModelStore) -> None:
    hub.add_archive(ARCHIVE, {"other.pth": CRAFT})
    with pytest.raises(RepositoryIncomplete, match=r"does not hold craft_mlt_25k\.pth"):
        fetch(SPEC, store, QUICK)


def test_another_table_is_another_revision(
    hub: FakeHub, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(SPEC, store, QUICK)
    newer = noise(1000, 8)
    hub.add_archive(ARCHIVE, {"craft_mlt_25k.pth": newer})
    monkeypatch.syspath_prepend(str(write_easyocr(tmp_path / "newer", newer, KOREAN)))
    assert store.status(SPEC).state is StoredState.OTHER_REVISION
    fetch(SPEC, store, QUICK)
    assert weights(store).read_bytes() == newer
    assert store.status(SPEC).complete


def test_without_easyocr_the_remedy_names_the_extra(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.weights.easyocr_table.find_spec", lambda _: None)
    with pytest.raises(LibraryMissing, match="not installed") as caught:
        fetch(SPEC, store, QUICK)
    assert install_command("torch") in caught.value.remedy


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_may_hold_the_weights_or_their_archive(
    hub: FakeHub, store: ModelStore, tmp_path: Path, packed: bool
) -> None:
    source = tmp_path / "given"
    source.mkdir()
    name = "craft_mlt_25k.zip" if packed else "craft_mlt_25k.pth"
    (source / name).write_bytes(hub.archives[ARCHIVE] if packed else CRAFT)
    done = fetch(SPEC, store, replace(QUICK, source=source, offline=True))
    assert done.outcome is FetchOutcome.IMPORTED
    assert weights(store).read_bytes() == CRAFT
    assert not hub.seen


def test_wrong_weights_in_a_folder_are_refused(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "craft_mlt_25k.pth").write_bytes(b"something else")
    with pytest.raises(WrongHash):
        fetch(SPEC, store, replace(QUICK, source=tmp_path))
    with pytest.raises(RepositoryIncomplete, match="neither"):
        fetch(find("korean_g2"), store, replace(QUICK, source=tmp_path))
    assert not weights(store).exists()
