"""What is chosen of a repository, what the hub's cache tells without a request, and what its library's errors mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.errors import ImgtoolError, StoreNotWritable
from imgtool.weights.catalogue import find
from imgtool.weights.errors import NotInStore, RepositoryIncomplete, UnexpectedAnswer
from imgtool.weights.fetching import hub
from imgtool.weights.fetching.hub_errors import translated
from imgtool.weights.fetching.transient import Transient
from imgtool.weights.warm_command import WarmCommand

SPEC, COMMIT = find("blip-base"), "a" * 40
COMMAND = WarmCommand(("blip-base",))
NEEDED = ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("added", "removed", "chosen"),
    [
        (["pytorch_model.bin", "vocab.txt"], [], [*NEEDED, "vocab.txt"]),
        (
            ["processor_config.json"],
            ["preprocessor_config.json"],
            ["config.json", "processor_config.json", *NEEDED[2:]],
        ),
    ],
)
def test_of_alternatives_the_preferred_file(added: list[str], removed: list[str], chosen: list[str]) -> None:
    assert hub.choose(SPEC, [*set(NEEDED) - set(removed), *added], "there") == chosen


def test_a_file_that_is_needed_and_missing() -> None:
    with pytest.raises(RepositoryIncomplete, match=r"there has no tokenizer\.json or vocab\.txt"):
        hub.choose(SPEC, [name for name in NEEDED if name != "tokenizer.json"], "there")


def snapshot(cache: Path, names: list[str]) -> Path:
    """A snapshot in ``cache``, with contents named by their hash as the hub's library does it."""
    root = cache / "models--Salesforce--blip-image-captioning-base"
    folder = root / "snapshots" / COMMIT
    for part in (folder, root / "blobs", root / "refs"):
        part.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    for number, name in enumerate(names):
        blob = root / "blobs" / f"{number:x}".rjust(64 if name.endswith("safetensors") else 40, "0")
        blob.write_text(name)
        (folder / name).symlink_to(blob)
    return folder


def test_the_cache_names_contents_by_their_hash(tmp_path: Path) -> None:
    snapshot(tmp_path, NEEDED)
    found = hub.cached(SPEC, tmp_path)
    assert found is not None
    assert (found.commit, list(found.files)) == (COMMIT, NEEDED)
    assert found.files["config.json"].git == "0".rjust(40, "0")
    assert found.files["model.safetensors"].sha256 == "3".rjust(64, "0")


def test_a_cache_that_lacks_a_file_tells_nothing(tmp_path: Path) -> None:
    assert hub.cached(SPEC, tmp_path) is None
    snapshot(tmp_path, NEEDED[1:])
    assert hub.cached(SPEC, tmp_path) is None


def test_a_file_is_forgotten_with_its_content(tmp_path: Path) -> None:
    folder = snapshot(tmp_path, NEEDED)
    blob = (folder / "config.json").resolve()
    hub.forget(folder / "config.json")
    assert not (folder / "config.json").is_symlink()
    assert not blob.exists()


@pytest.mark.parametrize(("value", "is_offline"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_library_s_own_variable(value: str, is_offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert hub.offline_by_environment() is is_offline


def errors() -> list[tuple[Exception, type[Exception]]]:
    library = pytest.importorskip("huggingface_hub.errors")
    return [
        (ConnectionResetError("lost"), Transient),
        (OSError("Consistency check failed: file should be of size 3"), Transient),
        (library.OfflineModeIsEnabled("offline"), NotInStore),
        (library.FileMetadataError("no commit"), UnexpectedAnswer),
        (ValueError("no JSON"), UnexpectedAnswer),
        (PermissionError(13, "Permission denied", "/hub/x"), StoreNotWritable),
        (RepositoryIncomplete("ours", "as it is"), RepositoryIncomplete),
    ]


@pytest.mark.parametrize("number", range(7))
def test_what_the_library_s_errors_mean(number: int) -> None:
    error, kind = errors()[number]
    with pytest.raises(kind) as caught, translated(SPEC, "main", COMMAND):
        raise error
    if isinstance(caught.value, ImgtoolError):
        assert caught.value.remedy
    if kind is NotInStore:
        assert COMMAND.remedy in caught.value.remedy


def test_a_mistake_of_our_own_is_not_translated() -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(ZeroDivisionError), translated(SPEC, "main", COMMAND):
        _ = 1 / 0


def test_the_cause_behind_a_miss_in_the_cache_counts() -> None:
    library = pytest.importorskip("huggingface_hub.errors")
    with pytest.raises(Transient, match="lost"), translated(SPEC, "main", COMMAND):
        raise library.LocalEntryNotFoundError("not in the cache") from ConnectionResetError("lost")
