"""What of a classifier goes into the fingerprint, and whose class names count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from imgtool.analyzers.labels.definition import choose_labels, parameters, read_sources
from imgtool.analyzers.labels.folder import FOLDER
from imgtool.errors import ConfigProblem, ModelLoadFailed
from imgtool.options import EngineOptions
from tests.analyzers.labels.test_conventions import FISH, FISH_LOGITS, VIT, build, write_folder


def test_published_files_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    def now() -> dict[str, Any]:
        found = parameters(EngineOptions(), tmp_path)
        del found["paths"]
        return found

    write_folder(tmp_path, config={"id2label": {"0": "a"}}, preprocessor_config=VIT)
    first = now()
    write_folder(tmp_path, config={"id2label": {"0": "b"}})
    second = now()
    write_folder(tmp_path, preprocessor_config={**VIT, "resample": 3})
    assert first != second != now()


def test_a_published_file_that_cannot_be_read_is_said_early(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigProblem, match="not valid JSON"):
        parameters(EngineOptions(), tmp_path)


def test_names_that_are_none_give_way_to_a_file(tmp_path: Path) -> None:
    config = {"id2label": {str(place): f"LABEL_{place}" for place in range(3)}}
    write_folder(tmp_path, config=config)
    paths = parameters(EngineOptions(), tmp_path)["paths"]
    sources = read_sources(paths, FOLDER, {}, (None, 3, 8, 8))
    assert choose_labels(paths, FOLDER, sources)[0] == ("LABEL_0", "LABEL_1", "LABEL_2")
    (tmp_path / "labels.txt").write_text("\n".join(FISH))
    paths = parameters(EngineOptions(), tmp_path)["paths"]
    assert choose_labels(paths, FOLDER, sources) == (FISH, f"the labels file {tmp_path / 'labels.txt'}")


def test_no_names_at_all(tmp_path: Path) -> None:
    onnx.save(build(FISH_LOGITS), tmp_path / "m.onnx")
    with pytest.raises(ModelLoadFailed, match="no names"):
        choose_labels(parameters(EngineOptions(), tmp_path)["paths"], FOLDER, {})


def test_what_a_sidecar_says_comes_before_what_is_published(tmp_path: Path) -> None:
    write_folder(tmp_path, preprocessor_config=VIT, model={"mean": [0.25], "labels": list(FISH)})
    found = parameters(EngineOptions(), tmp_path)
    sources = read_sources(found["paths"], found["labels_from"], {}, (None, 3, 8, 8))
    assert list(sources) == ["published", "tagger", "metadata", "sidecar"]
    assert sources["published"]["mean"] == (0.5, 0.5, 0.5)
    assert sources["sidecar"]["mean"] == (0.25,)


def test_a_user_without_a_home_has_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(_: EngineOptions) -> Path:
        raise ConfigProblem("there is no place for the cache")

    monkeypatch.setattr("imgtool.analyzers.labels.definition.cache_root", no_home)
    assert parameters(EngineOptions(), write_folder(tmp_path))["model_sha256"]
