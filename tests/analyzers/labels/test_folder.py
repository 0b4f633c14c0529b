"""Which files belong to a classifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.analyzers.labels.folder import FLAG, FOLDER, LABEL_FILES, MODEL, find_files
from imgtool.errors import PathMissing
from imgtool.options import EngineOptions


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (("model.onnx", "model_quantized.onnx"), "model.onnx"),
        (("onnx/model.onnx", "onnx/model_fp16.onnx"), "onnx/model.onnx"),
        (("net.onnx", "onnx/model.onnx"), "net.onnx"),
    ],
)
def test_the_model_of_a_folder(tmp_path: Path, there: tuple[str, ...], found: str) -> None:
    assert find_files(EngineOptions(), make(tmp_path, *there)).model == tmp_path / found


def test_a_graph_in_a_folder_of_its_own_is_described_above_it(tmp_path: Path) -> None:
    make(tmp_path, "onnx/model.onnx", "config.json", "preprocessor_config.json", "labels.txt", "onnx/labels.txt")
    found = find_files(EngineOptions(), tmp_path / "onnx" / "model.onnx")
    assert found.published == (tmp_path / "config.json", tmp_path / "preprocessor_config.json")
    assert found.labels == tmp_path / "onnx" / "labels.txt"


@pytest.mark.parametrize("name", LABEL_FILES)
def test_usual_names_of_label_files(tmp_path: Path, name: str) -> None:
    found = find_files(EngineOptions(), make(tmp_path, "m.onnx", name))
    assert (found.labels, found.labels_from) == (tmp_path / name, FOLDER)
    own = find_files(EngineOptions(), make(tmp_path, "m.txt"))
    assert (own.labels, own.labels_from) == (tmp_path / "m.txt", MODEL)
    flag = find_files(EngineOptions(labels_file=tmp_path / name), tmp_path)
    assert (flag.labels, flag.labels_from) == (tmp_path / name, FLAG)


def test_a_named_file_is_not_also_one_of_the_folder(tmp_path: Path) -> None:
    make(tmp_path, "m.onnx", "config.json")
    found = find_files(EngineOptions(labels_config=tmp_path / "config.json"), tmp_path)
    assert (found.sidecar, found.published) == (tmp_path / "config.json", ())
    with pytest.raises(PathMissing, match="nowhere"):
        find_files(EngineOptions(labels_config=tmp_path / "nowhere"), tmp_path)
