"""What ``warm-cache`` brought is what a run finds, also where the hub's cache does not name it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imgtool.errors import ModelMissing
from imgtool.options import EngineOptions
from imgtool.weights.catalogue import find
from imgtool.weights.errors import FileRefused
from imgtool.weights.fetching.fetch import fetch
from imgtool.weights.fetching.from_hub import name_revision
from imgtool.weights.on_disk.blip import BlipWeights, manifest_of, weights_for
from imgtool.weights.store import ModelStore, require_verified
from imgtool.weights.synthetic.marker import Marker, write_marker
from tests.compiled import flip
from tests.fakes.hub import FakeHub
from tests.model_files import BLIP, QUICK, blip_files

SPEC = find("blip-base")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(hub: FakeHub, root: Path) -> ModelStore:
    """The store of runs whose cache is ``root``."""
    return ModelStore.at(root / "models")


def found(root: Path, **options: str) -> BlipWeights:
    return weights_for(EngineOptions(cache_dir=root, **options))  # type: ignore[arg-type]


def from_folder(folder: Path, store: ModelStore) -> None:
    folder.mkdir()
    for name, content in blip_files().items():
        (folder / name).write_bytes(content)
    fetch(SPEC, store, replace(QUICK, source=folder))


def test_files_from_a_folder(store: ModelStore, root: Path, tmp_path: Path) -> None:
    from_folder(tmp_path / "stick", store)
    weights = found(root)
    assert weights.folder == store.folder("blip-base")
    assert (weights.model, weights.version[:7]) == (BLIP, "sha256:")
    assert weights.size_bytes == len(blip_files()["model.safetensors"])
    assert found(root, caption_model="blip-base") == found(root, caption_model=BLIP) == weights


def test_other_files_from_a_folder_are_another_version(store: ModelStore, root: Path, tmp_path: Path) -> None:
    from_folder(tmp_path / "stick", store)
    before = found(root).version
    (tmp_path / "stick" / "tokenizer.json").write_bytes(b'{"version": "2.0"}')
    fetch(SPEC, store, replace(QUICK, source=tmp_path / "stick", refresh=True))
    assert found(root).version != before


def test_a_baked_revision(store: ModelStore, root: Path, hub: FakeHub) -> None:
    commit = hub.add(BLIP, blip_files(seed=7), revision="release")
    fetched = fetch(replace(SPEC, revision="release"), store, QUICK)
    name_revision(fetched.manifest, store.places)
    weights = found(root)
    assert fetched.manifest.commit == commit
    assert (weights.version, weights.folder.name) == (commit, commit)
    assert found(root, caption_revision=commit) == found(root, caption_revision="release") == weights


def test_another_revision_than_the_one_that_is_asked_for_does_not_do(
    store: ModelStore, root: Path, hub: FakeHub
) -> None:
    hub.add(BLIP, blip_files(seed=7), revision="release")
    fetch(replace(SPEC, revision="release"), store, QUICK)
    with pytest.raises(ModelMissing, match="at revision other"):
        found(root, caption_revision="other")


def test_a_model_that_is_elsewhere_does_not_do(store: ModelStore, root: Path, tmp_path: Path) -> None:
    from_folder(tmp_path / "stick", store)
    for name in ("blip-large", "Some/Other", "./nowhere"):
        with pytest.raises(ModelMissing):
            found(root, caption_model=name)


def test_a_file_that_has_gone_since(store: ModelStore, root: Path, tmp_path: Path) -> None:
    from_folder(tmp_path / "stick", store)
    (found(root).folder / "config.json").unlink()
    with pytest.raises(ModelMissing, match=r"has no config\.json") as caught:
        found(root)
    assert "warm-cache" in caught.value.remedy


def test_synthetic_weights_cannot_lose_their_mark_on_the_way(store: ModelStore, root: Path, tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    write_marker(tmp_path / "stick", Marker(seed=0, size="tiny"))
    for name, content in blip_files().items():
        (tmp_path / "stick" / name).write_bytes(content)
    with pytest.raises(FileRefused, match="synthetic"):
        fetch(SPEC, store, replace(QUICK, source=tmp_path / "stick"))
    with pytest.raises(ModelMissing):
        found(root)


def test_a_damaged_manifest_does_not_spare_the_files_their_check(
    hub: FakeHub, store: ModelStore, root: Path, tmp_path: Path
) -> None:
    folder = fetch(SPEC, store, QUICK).manifest.folder(store.places)
    options = EngineOptions(cache_dir=root)
    given = manifest_of(folder, options)
    require_verified(folder, given, "")
    flip(Path(given), Path(given).stat().st_size // 2)
    with pytest.raises(FileRefused, match="cannot be used"):
        require_verified(folder, manifest_of(folder, options), "")
    Path(given).unlink()
    assert manifest_of(folder, options) == ""
