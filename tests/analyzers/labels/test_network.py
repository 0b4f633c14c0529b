"""A classifier's file in onnxruntime: what it declares, and batches of one size or of any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from imgtool.analyzers.labels.network import MAX_BATCH, Network
from imgtool.errors import ModelNotUsable
from tests.analyzers.labels.test_classifier import write_model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, 3, 8, 8), dtype=np.float32)


def test_what_the_model_declares(tmp_path: Path) -> None:
    network = Network(write_model(tmp_path / "m.onnx", metadata={"author": "nobody"}))
    assert (network.dims, network.dtype, network.classes, network.batch) == ((None, 3, 8, 8), "float32", 3, MAX_BATCH)
    assert network.metadata == {"author": "nobody"}


def test_a_fixed_batch_is_filled_up_and_cut(tmp_path: Path) -> None:
    network = Network(write_model(tmp_path / "m.onnx", shape=(4, 3, 8, 8), declared=(4, 3)))
    assert network.batch == 4
    batch = images(3)
    assert network.run(batch) == pytest.approx(batch.mean(axis=(2, 3)), abs=1e-6)


def test_a_batch_size_that_only_seems_open_is_found_out(tmp_path: Path) -> None:
    network = Network(write_model(tmp_path / "m.onnx", tail="1x3", declared=(None, 3)))
    batch = images(5)
    assert network.run(batch) == pytest.approx(batch.mean(axis=(2, 3)), abs=1e-6)
    assert network.batch == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (b"no model", "give an .onnx file")],
)
def test_what_is_no_model_is_refused_with_what_to_do(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelNotUsable) as caught:
        Network(tmp_path / "m.onnx")
    assert words in caught.value.remedy
