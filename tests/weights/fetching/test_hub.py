"""BLIP through a real HTTP server that speaks the hub's protocol: what goes well, and everything that goes wrong."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgtool.distribution import install_command
from imgtool.errors import ExitCode, ImgtoolError
from imgtool.weights.catalogue import find
from imgtool.weights.errors import (
    AccessDenied,
    BadEndpoint,
    DownloadFailed,
    FileRefused,
    LibraryMissing,
    ModelNotFound,
    NotInStore,
    RepositoryIncomplete,
    UnexpectedAnswer,
    WrongHash,
)
from imgtool.weights.fetching.connection import host_of, hub_endpoint
from imgtool.weights.fetching.fetch import fetch
from imgtool.weights.fetching.fetch_job import FetchOutcome
from imgtool.weights.manifest import Origin
from imgtool.weights.store import ModelStore, StoredState
from tests.fakes.hub import FakeHub, noise, safetensors
from tests.model_files import BLIP, QUICK, Recorder, blip_files

WANTED = {"config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
SPEC = find("blip-base")


def test_a_model_is_fetched_verified_and_written_down(hub: FakeHub, store: ModelStore) -> None:
    recorder = Recorder()
    done = fetch(SPEC, store, QUICK, recorder)
    assert (done.outcome, done.retries) == (FetchOutcome.FETCHED, 0)
    manifest = store.manifest("blip-base")
    assert manifest is not None
    assert (manifest.origin, manifest.commit, manifest.licence) == (
        Origin.HUB,
        hub.branches[BLIP, "main"],
        SPEC.licence,
    )
    assert {file.path for file in manifest.files} == WANTED
    for path, location in manifest.paths(store.places).items():
        assert location.read_bytes() == blip_files()[path]
    assert {f.path: f.sha256 for f in manifest.files} == {
        name: hashlib.sha256(blip_files()[name]).hexdigest() for name in WANTED
    }
    assert done.bytes_downloaded == manifest.size_bytes == sum(len(blip_files()[name]) for name in WANTED)
    size = len(blip_files()["model.safetensors"])
    assert [step for step in recorder.steps if step[0] == "model.safetensors"][-1] == ("model.safetensors", size, size)
    assert store.status(SPEC, full=True).complete


def test_only_what_is_needed_is_asked_for(hub: FakeHub, store: ModelStore) -> None:
    fetch(SPEC, store, QUICK)
    assert not hub.requests(r"README|tf_model|pytorch_model|gitattributes")


def test_a_second_fetch_asks_nothing(hub: FakeHub, store: ModelStore) -> None:
    fetch(SPEC, store, QUICK)
    before = len(hub.seen)
    assert fetch(SPEC, store, QUICK).outcome is FetchOutcome.PRESENT
    assert len(hub.seen) == before


def test_a_repository_with_a_pickle_alone_is_refused_before_it_is_fetched(hub: FakeHub, store: ModelStore) -> None:
    hub.add(BLIP, {name: content for name, content in blip_files().items() if name != "model.safetensors"})
    with pytest.raises(FileRefused, match=r"only as a pickle \(pytorch_model\.bin\)") as caught:
        fetch(SPEC, store, QUICK)
    assert caught.value.exit_code is ExitCode.MODEL_MISSING
    assert not hub.requests("GET .*resolve")


def test_a_repository_without_weights_says_what_is_missing(hub: FakeHub, store: ModelStore) -> None:
    hub.add(BLIP, {"config.json": b"{}", "preprocessor_config.json": b"{}", "vocab.txt": b"a"})
    with pytest.raises(RepositoryIncomplete, match=r"has no model\.safetensors"):
        fetch(SPEC, store, QUICK)
    assert store.status(SPEC).state is StoredState.NO_MANIFEST


@pytest.mark.parametrize("where", [r"GET /api/models", r"HEAD .*resolve.*safetensors", r"GET /cdn"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_twice_is_asked_a_third_time(
    hub: FakeHub, store: ModelStore, where: str, status: int
) -> None:
    hub.fail(where, status=status, times=2)
    recorder = Recorder()
    done = fetch(SPEC, store, QUICK, recorder)
    assert done.retries == 2
    assert [attempt for attempt, _ in recorder.retries] == [1, 2]
    assert all(str(status) in reason for _, reason in recorder.retries)
    assert store.status(SPEC, full=True).complete


def test_a_server_that_asks_for_patience_gets_it(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /api/models", status=429, times=1, headers={"Retry-After": "0.4"})
    done = fetch(SPEC, store, QUICK)
    assert done.retries == 1
    assert done.seconds >= 0.4


def test_too_many_requests_name_the_pause_and_the_token(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /api/models", status=429, headers={"Retry-After": "0.1"})
    said = r"failed 3 times.*429 \(too many requests\) and asks to wait 0\.1 s"
    with pytest.raises(DownloadFailed, match=said) as caught:
        fetch(SPEC, store, QUICK)
    assert "export HF_TOKEN=" in caught.value.remedy


def test_a_pause_of_an_hour_is_said_and_not_waited_for(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /api/models", status=429, headers={"Retry-After": "3600"})
    began = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"failed because .* asks to wait 3600 s") as caught:
        fetch(SPEC, store, QUICK)
    assert time.monotonic() - began < 5
    assert "try again in 3600 s" in caught.value.remedy


def test_a_server_that_always_fails_ends_in_a_message_with_a_cause(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /api/models", status=503)
    with pytest.raises(DownloadFailed, match=r"failed 3 times.*503") as caught:
        fetch(SPEC, store, QUICK)
    assert (caught.value.exit_code, bool(caught.value.remedy)) == (ExitCode.MODEL_MISSING, True)
    assert caught.value.__cause__ is not None
    assert len(hub.requests("GET /api/models")) == 3


def test_nobody_listening_is_a_message(hub: FakeHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    said = r"asking 127\.0\.0\.1:9 about .*failed 3 times.*127\.0\.0\.1 cannot be reached"
    with pytest.raises(DownloadFailed, match=said):
        fetch(SPEC, store, QUICK)


@pytest.mark.parametrize("value", ["hub.local:8080", "hub.local/mirror", "//hub.local", "ftp://hub.local", "https://"])
def test_an_endpoint_that_is_no_web_address_is_a_message(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", value)
    with pytest.raises(BadEndpoint, match=r"HF_ENDPOINT is .*no web address") as caught:
        fetch(SPEC, store, QUICK)
    assert "export HF_ENDPOINT=https://" in caught.value.remedy


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_endpoint_is_the_hub_s_own(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", value)
    assert hub_endpoint() is None
    assert host_of(hub_endpoint()) == "huggingface.co"
    assert "HF_ENDPOINT" not in os.environ


def test_a_connection_cut_in_the_middle_is_taken_up(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /cdn", cut_after=50_000, times=1)
    fetch(SPEC, store, QUICK)
    assert store.status(SPEC, full=True).complete
    assert len(hub.requests("GET /cdn")) == 2


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_arrives_wrong_is_set_aside_and_fetched_again(hub: FakeHub, store: ModelStore, name: str) -> None:
    hub.fail(rf"GET .*{name}", flipped=True, times=1)
    recorder = Recorder()
    done = fetch(SPEC, store, QUICK, recorder)
    assert len(done.set_aside) == 1
    assert ".corrupt-" in done.set_aside[0].name
    assert recorder.aside == list(done.set_aside)
    assert store.status(SPEC, full=True).complete


def test_a_file_that_is_always_wrong_is_never_kept(hub: FakeHub, store: ModelStore) -> None:
    hub.fail(r"GET .*config\.json", flipped=True)
    with pytest.raises(WrongHash, match="fetched twice"):
        fetch(SPEC, store, QUICK)
    assert store.status(SPEC).state is StoredState.NO_MANIFEST
    assert not list(store.places.hub.rglob("snapshots/*/config.json"))


def test_another_answer_of_another_length_is_tried_again(hub: FakeHub, store: ModelStore) -> None:
    hub.fail(r"GET /cdn", replaced=b"short", times=1)
    assert fetch(SPEC, store, QUICK).retries == 1
    assert store.status(SPEC, full=True).complete


def test_a_gated_repository_names_the_token(hub: FakeHub, store: ModelStore) -> None:
    hub.gated.add(BLIP)
    with pytest.raises(AccessDenied, match="gated") as caught:
        fetch(SPEC, store, QUICK)
    assert "HF_TOKEN" in caught.value.remedy
    assert len(hub.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AccessDenied, "private or does not exist"),
        (403, AccessDenied, "forbidden"),
        (404, ModelNotFound, "no such"),
        (418, DownloadFailed, "answered 418"),
    ],
)
def test_a_no_is_not_asked_again(
    hub: FakeHub, store: ModelStore, status: int, kind: type[ImgtoolError], words: str
) -> None:
    hub.fail("GET /api/models", status=status)
    with pytest.raises(kind, match=words):
        fetch(SPEC, store, QUICK)
    assert len(hub.seen) == 1


def test_an_unknown_repository_and_an_unknown_revision_read_differently(hub: FakeHub, store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="no such revision"):
        fetch(find("blip-base@nowhere"), store, QUICK)
    with pytest.raises(ModelNotFound, match="no such repository"):
        fetch(find("blip-large"), store, QUICK)


def test_a_proxy_that_returns_a_page_is_recognised(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /api/models", html=True)
    with pytest.raises(UnexpectedAnswer, match="not that of a hub") as caught:
        fetch(SPEC, store, QUICK)
    assert "HTTPS_PROXY" in caught.value.remedy


def test_a_proxy_in_front_of_the_files_is_recognised(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("(HEAD|GET) .*resolve", html=True)
    with pytest.raises(UnexpectedAnswer, match="not that of a hub"):
        fetch(SPEC, store, QUICK)


def test_a_pickle_under_the_name_of_safetensors_is_refused(hub: FakeHub, store: ModelStore) -> None:
    hub.add(BLIP, {**blip_files(), "model.safetensors": b"PK\x03\x04" + noise(5000)})
    with pytest.raises(FileRefused, match="could run code"):
        fetch(SPEC, store, QUICK)
    assert store.status(SPEC).state is StoredState.NO_MANIFEST


def test_a_pinned_revision_is_fetched_and_told_apart(hub: FakeHub, store: ModelStore) -> None:
    commit = hub.add(BLIP, blip_files(seed=7), revision="v2")
    assert fetch(SPEC, store, QUICK).manifest.commit != commit
    pinned = find(f"blip-base@{commit}")
    status = store.status(pinned)
    assert status.state is StoredState.OTHER_REVISION
    assert commit in status.remedy
    assert fetch(pinned, store, QUICK).manifest.commit == commit
    assert store.status(pinned).complete
    assert store.status(find("blip-base@v2")).state is StoredState.OTHER_REVISION  # by another name
    assert store.status(find(f"blip-base@{commit[:8]}")).complete
    assert store.status(SPEC).complete


def test_a_newer_version_is_taken_only_when_asked_for_and_changes_the_fingerprint(
    hub: FakeHub, store: ModelStore
) -> None:
    fetch(SPEC, store, QUICK)
    first = store.fingerprint("blip-base")
    newer = hub.add(BLIP, blip_files(seed=1))
    assert fetch(SPEC, store, QUICK).outcome is FetchOutcome.PRESENT
    assert store.fingerprint("blip-base") == first
    assert fetch(SPEC, store, replace(QUICK, refresh=True)).manifest.commit == newer
    assert store.fingerprint("blip-base") != first
    assert len(store.former("blip-base")) == 1


def test_a_damaged_model_is_mended_at_its_own_commit(hub: FakeHub, store: ModelStore) -> None:
    manifest = fetch(SPEC, store, QUICK).manifest
    hub.add(BLIP, blip_files(seed=1))
    weights = manifest.paths(store.places)["model.safetensors"].resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert store.status(SPEC).state is StoredState.CHANGED_FILE
    done = fetch(SPEC, store, QUICK)
    assert (done.outcome, done.manifest.commit) == (FetchOutcome.FETCHED, manifest.commit)
    assert len(done.set_aside) == 1
    assert store.status(SPEC, full=True).complete


def test_a_missing_file_is_fetched_alone(hub: FakeHub, store: ModelStore) -> None:
    manifest = fetch(SPEC, store, QUICK).manifest
    path = manifest.paths(store.places)["config.json"]
    path.resolve().unlink()
    path.unlink()
    status = store.status(SPEC)
    assert status.state is StoredState.MISSING_FILE
    assert "config.json" in status.message
    done = fetch(SPEC, store, QUICK)
    assert done.bytes_downloaded == len(blip_files()["config.json"])


def test_a_cache_that_another_program_filled_is_adopted(hub: FakeHub, store: ModelStore, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(BLIP, endpoint=hub.url, cache_dir=store.places.hub)
    before = len(hub.seen)
    done = fetch(SPEC, store, replace(QUICK, offline=True))
    assert (done.outcome, done.bytes_downloaded) == (FetchOutcome.ADOPTED, 0)
    assert not any(file.fetched for file in done.manifest.files)
    assert len(hub.seen) == before


def test_a_damaged_file_in_that_cache_is_not_adopted(hub: FakeHub, store: ModelStore) -> None:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(BLIP, endpoint=hub.url, cache_dir=store.places.hub))
    (folder / "model.safetensors").resolve().write_bytes(safetensors(200_000, seed=9))
    with pytest.raises(NotInStore, match="damaged"):
        fetch(SPEC, store, replace(QUICK, offline=True))
    assert fetch(SPEC, store, QUICK).set_aside


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_the_hubs_own_offline_variable_is_obeyed(
    hub: FakeHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(NotInStore, match="network must not be used"):
        fetch(SPEC, store, QUICK)
    assert not hub.seen


def test_without_the_library_the_remedy_names_the_extra(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(LibraryMissing, match="not installed") as caught:
        fetch(SPEC, store, QUICK)
    assert caught.value.exit_code is ExitCode.MODEL_MISSING
    assert install_command("hub") in caught.value.remedy


def test_no_space_is_said_before_the_download(hub: FakeHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(store.root.parent)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(ImgtoolError, match="MB are free") as caught:
        fetch(SPEC, store, QUICK)
    assert caught.value.exit_code is ExitCode.NOT_WRITABLE
    assert not hub.requests("GET /cdn")
