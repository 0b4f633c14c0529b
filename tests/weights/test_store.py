"""What the store says about a model, folders as sources, and room that is made."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ExitCode, StoreNotWritable
from imgtool.files import not_writable, writable, write_atomically
from imgtool.ground.sealed import encode_sealed
from imgtool.warming.prune import plan_prune
from imgtool.weights.catalogue import find
from imgtool.weights.errors import FetchBusy, FileRefused, ModelNotFound, RepositoryIncomplete
from imgtool.weights.fetching.fetch import fetch
from imgtool.weights.fetching.fetch_job import FetchOutcome
from imgtool.weights.manifest import FileEntry, Manifest, Origin, decode, now
from imgtool.weights.places import Root
from imgtool.weights.store import ModelStore, StoredState
from tests.fakes.hub import FakeHub, noise
from tests.model_files import BLIP, CRAFT, QUICK, blip_files

SPEC = find("blip-base")
NEW = replace(QUICK, refresh=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    given = tmp_path / "given"
    given.mkdir()
    for name, content in blip_files(seed=3).items():
        (given / name).write_bytes(content)
    return given


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_empty_store_says_what_to_do(store: ModelStore) -> None:
    status = store.status(SPEC)
    assert (status.state, store.fingerprint("blip-base")) == (StoredState.NO_MANIFEST, None)
    assert "warm-cache blip-base" in status.remedy
    assert not store.root.exists()


def test_complete_missing_changed_and_other_revision_are_told_apart(store: ModelStore) -> None:
    manifest = fetch(SPEC, store, QUICK).manifest
    assert store.status(SPEC, full=True).state is StoredState.COMPLETE
    assert store.status(find("blip-base@0123456789")).state is StoredState.OTHER_REVISION
    paths = manifest.paths(store.places)
    weights = paths["model.safetensors"]
    times = weights.stat()
    flip(weights)
    assert store.status(SPEC).state is StoredState.CHANGED_FILE
    # As on a failing disk.
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.status(SPEC).state is StoredState.COMPLETE
    changed = store.status(SPEC, full=True)
    assert (changed.state, len(changed.problems)) == (StoredState.CHANGED_FILE, 1)
    assert "SHA-256" in changed.problems[0]
    paths["config.json"].write_bytes(b"{")
    assert store.status(SPEC).state is StoredState.CHANGED_FILE
    paths["tokenizer.json"].unlink()
    assert store.status(SPEC).state is StoredState.MISSING_FILE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff\xfe"])
def test_a_spoilt_manifest_is_no_model(store: ModelStore, content: bytes) -> None:
    manifest = fetch(SPEC, store, QUICK).manifest
    path = store.folder_of("blip-base") / "manifest.json"
    path.write_bytes(content)
    assert store.status(SPEC).state is StoredState.UNREADABLE
    done = fetch(SPEC, store, QUICK)
    assert (done.outcome, done.manifest.fingerprint) == (FetchOutcome.ADOPTED, manifest.fingerprint)


def _manifest(**changes: object) -> Manifest:
    entry = FileEntry(path="config.json", size=1, sha256="00")
    fields = {
        "name": "m", "origin": Origin.HUB, "repository": "o/m", "created": now(), "root": Root.HUB, "base": "a",
        "files": (entry,),
    }  # fmt: skip
    return Manifest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "/etc"},
        {"base": "../other"},
        {"files": (FileEntry(path="../../passwd", size=1, sha256="00"),)},
        {"files": ()},
        {"schema_version": 2},
    ],
)
def test_a_manifest_that_could_mislead_is_refused(changes: dict[str, object]) -> None:
    assert decode(encode_sealed(_manifest())).name == "m"
    with pytest.raises(ValueError, match=r"leaves|names no files|version"):
        decode(encode_sealed(_manifest(**changes)))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_fail_otherwise(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_a_fingerprint_changes_with_commit_name_and_content() -> None:
    other = FileEntry(path="config.json", size=1, sha256="01")
    renamed = FileEntry(path="config2.json", size=1, sha256="00")
    variants = [_manifest(), _manifest(commit="c" * 40), _manifest(files=(other,)), _manifest(files=(renamed,))]
    assert len({one.fingerprint for one in variants}) == len(variants)
    assert _manifest(created="then").fingerprint == _manifest().fingerprint


def test_a_baked_cache_is_whole_in_another_place(hub: FakeHub, store: ModelStore, tmp_path: Path) -> None:
    fetch(SPEC, store, QUICK)
    (tmp_path / "image").mkdir()
    store.root.rename(tmp_path / "image" / "models")
    (tmp_path / "hf").rename(tmp_path / "image" / "hf")
    moved = ModelStore(
        tmp_path / "image" / "models", replace(store.places, hub=tmp_path / "image" / "hf" / "hub", easyocr=tmp_path)
    )
    assert moved.status(SPEC, full=True).complete
    assert not store.status(SPEC).complete


def test_a_folder_is_copied_and_may_then_go(hub: FakeHub, store: ModelStore, folder: Path) -> None:
    done = fetch(SPEC, store, replace(QUICK, source=folder, offline=True))
    assert (done.outcome, done.manifest.origin) == (FetchOutcome.IMPORTED, Origin.FOLDER)
    for path in folder.iterdir():
        path.unlink()
    copy = store.folder("blip-base")
    assert copy is not None
    assert (copy / "model.safetensors").read_bytes() == blip_files(seed=3)["model.safetensors"]
    assert store.status(SPEC, full=True).complete
    assert not hub.seen


def test_a_folder_above_the_repositorys_own_will_do(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    folder.rename(above / "blip-image-captioning-base")
    assert fetch(SPEC, store, replace(QUICK, source=above)).outcome is FetchOutcome.IMPORTED


def test_bad_folders_are_refused_with_the_reason(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    taken = replace(QUICK, source=folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1])
    with pytest.raises(FileRefused, match="instead of"):
        fetch(SPEC, store, taken)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileRefused, match="only as a pickle"):
        fetch(SPEC, store, taken)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(RepositoryIncomplete):
        fetch(SPEC, store, taken)
    with pytest.raises(ModelNotFound, match="not a folder"):
        fetch(SPEC, store, replace(QUICK, source=tmp_path / "nowhere"))
    assert store.status(SPEC).state is StoredState.NO_MANIFEST
    assert not list(store.folder_of("blip-base").glob("*"))


def test_a_store_that_cannot_be_made_is_a_message(store: ModelStore) -> None:
    store.root.parent.mkdir(exist_ok=True)
    store.root.write_text("a file where the folder should be")
    with pytest.raises(StoreNotWritable) as caught:
        fetch(SPEC, store, QUICK)
    assert caught.value.exit_code is ExitCode.NOT_WRITABLE
    assert store.status(SPEC).state is StoredState.UNREADABLE


def test_a_full_disk_is_a_message(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError) as caught, open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    problem = not_writable(caught.value, tmp_path)
    assert problem is not None
    assert (caught.value.errno, problem.exit_code) == (errno.ENOSPC, ExitCode.NOT_WRITABLE)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_what_the_system_refuses_is_a_message_and_the_rest_is_not_hidden(tmp_path: Path, number: int) -> None:
    with pytest.raises(StoreNotWritable) as caught, writable(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "HF_HOME" in caught.value.remedy
    with pytest.raises(InterruptedError), writable(tmp_path):
        raise OSError(errno.EINTR, "interrupted")


def test_an_atomic_write_leaves_one_file(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        write_atomically(tmp_path / "a" / "file", text)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    assert (tmp_path / "a" / "file").read_bytes() == b"two"


def test_a_lock_that_stays_taken_is_a_message(store: ModelStore) -> None:
    waited = []
    with (
        store.lock("blip-base"),
        pytest.raises(FetchBusy, match="another process has been at work on blip-base for"),
        store.lock("blip-base", timeout=0.1, on_wait=lambda: waited.append(1)),
    ):
        pytest.fail("two have the lock")
    assert waited == [1]
    with store.lock(SPEC.name), pytest.raises(FetchBusy, match=f"another process has been fetching {SPEC.name} for"):
        fetch(SPEC, store, replace(QUICK, lock_timeout=0.1))


def test_the_lock_file_of_a_dead_process_blocks_nobody(store: ModelStore) -> None:
    (store.root / ".locks").mkdir(parents=True)
    (store.root / ".locks" / "blip-base.lock").write_text("12345")
    with store.lock("blip-base", timeout=0):
        assert True


def test_nothing_to_prune_in_a_fresh_store(store: ModelStore) -> None:
    assert plan_prune(store).removals == ()
    fetch(SPEC, store, QUICK)
    plan = plan_prune(store)
    assert (plan.removals, plan.size_bytes) == ((), 0)
    manifest = store.manifest("blip-base")
    assert manifest is not None and plan.before_bytes == manifest.size_bytes


def test_a_former_version_goes_and_what_it_shares_stays(hub: FakeHub, store: ModelStore) -> None:
    former = fetch(SPEC, store, QUICK).manifest
    hub.add(BLIP, blip_files(seed=1))
    current = fetch(SPEC, store, NEW).manifest
    plan = plan_prune(store)
    changed = ["config.json", "model.safetensors"]
    assert plan.size_bytes == sum(len(blip_files()[name]) for name in changed)
    assert plan.after_bytes == current.size_bytes
    assert store.status(SPEC, full=True).complete  # a plan changes nothing
    assert former.folder(store.places).is_dir()
    assert plan.execute(store) == plan.size_bytes
    assert store.status(SPEC, full=True).complete
    assert not former.folder(store.places).exists()
    assert plan_prune(store).removals == ()
    assert plan_prune(store).before_bytes == current.size_bytes


def test_a_former_version_that_another_program_uses_stays(hub: FakeHub, store: ModelStore) -> None:
    from huggingface_hub import snapshot_download

    theirs = Path(snapshot_download(BLIP, endpoint=hub.url, cache_dir=store.places.hub))
    fetch(SPEC, store, QUICK)
    hub.add(BLIP, blip_files(seed=1))
    fetch(SPEC, store, NEW)
    plan_prune(store).execute(store)
    for name, content in blip_files().items():
        assert (theirs / name).read_bytes() == content
    assert not store.former("blip-base")


def test_a_limit_takes_the_oldest_versions_first(hub: FakeHub, store: ModelStore) -> None:
    for seed in (0, 1, 2):
        hub.add(BLIP, blip_files(seed=seed))
        manifest = fetch(SPEC, store, NEW).manifest
        path = store.folder_of("blip-base") / "manifest.json"
        path.write_bytes(encode_sealed(decode(path.read_bytes()).__class__(**{
            **{name: getattr(manifest, name) for name in manifest.__struct_fields__}, "created": f"2024-01-0{seed + 1}"
        })))  # fmt: skip
    one = manifest.size_bytes
    assert plan_prune(store, 10 * one).removals == ()
    plan = plan_prune(store, int(2.2 * one))
    assert [removal.reason for removal in plan.removals] == ["a former version"]
    assert hub.branches[BLIP, "main"] not in str(plan.removals)
    assert len(plan_prune(store, one).removals) == 2
    tight = plan_prune(store, 1000)
    assert (len(tight.removals), tight.over_bytes) == (2, one - 1000)
    tight.execute(store)
    assert store.status(SPEC).complete


@pytest.mark.usefixtures("easyocr")
def test_damaged_and_unfinished_files_go_when_nobody_writes_them(hub: FakeHub, store: ModelStore) -> None:
    weights = store.places.easyocr / "craft_mlt_25k.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(noise(5000, 4))
    fetch(find("craft"), store, QUICK)
    blobs = fetch(SPEC, store, QUICK).manifest.folder(store.places).parent.parent / "blobs"
    stale, fresh = blobs / "0123.abcd.incomplete", blobs / "4567.abcd.incomplete"
    for path in (stale, fresh):
        path.write_bytes(b"x" * 700)
    unfinished = store.folder_of("blip-base") / "files.tmp-0123"
    unfinished.mkdir()
    (unfinished / "config.json").write_bytes(b"x" * 80)
    os.utime(unfinished, (0, 0))
    # As the hub's library does while it writes.
    lock = store.places.hub / ".locks" / blobs.parent.name / "4567.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        plan = plan_prune(store)
        assert plan.size_bytes == 5780
        plan.execute(store)
    assert (stale.exists(), unfinished.exists(), fresh.exists()) == (False, False, True)
    assert [path.read_bytes() for path in weights.parent.iterdir()] == [CRAFT]


def test_a_manifest_is_readable_json(store: ModelStore) -> None:
    fetch(SPEC, store, QUICK)
    written = json.loads((store.folder_of("blip-base") / "manifest.json").read_text())
    assert written["schema_version"] == 1
    assert {"path", "size", "sha256", "fetched", "md5", "mtime_ns"} == set(written["files"][0])
