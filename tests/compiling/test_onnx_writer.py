"""Graphs written node by node: where their weights are stored, and that onnxruntime computes what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgtool.compiling.onnx_writer import GraphWriter

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def write(folder: Path, matrix: np.ndarray, bias: np.ndarray) -> Path:
    with GraphWriter(folder, "g") as graph:
        rows = graph.input("rows", ("n", matrix.shape[1]))
        product = graph.node("Gemm", rows, graph.weight(matrix), graph.weight(bias), transB=1)
        left, right = graph.nodes("Split", product, outputs=2, axis=1, num_outputs=2)
        graph.node("Add", left, right, into=graph.output("sums", ("n", len(matrix) // 2)))
        graph.finish()
    return folder / "g.onnx"


def test_a_graph_is_computed_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matrix, bias = rng.random((64, 40), dtype=np.float32), rng.random(64, dtype=np.float32)
    session = onnxruntime.InferenceSession(str(write(tmp_path, matrix, bias)), providers=["CPUExecutionProvider"])
    rows = rng.random((3, 40), dtype=np.float32)
    (sums,) = session.run(None, {"rows": rows})
    left, right = np.split(rows @ matrix.T + bias, 2, axis=1)
    assert sums == pytest.approx(left + right, rel=1e-5)


def test_large_weights_lie_at_pages_of_a_file_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, np.ones((64, 40), dtype=np.float32), np.ones(64, dtype=np.float32))
    tensors = onnx.load(str(path), load_external_data=False).graph.initializer
    (outside,) = (tensor for tensor in tensors if tensor.external_data)
    place = {entry.key: entry.value for entry in outside.external_data}
    assert (place["location"], int(place["offset"]) % 4096, int(place["length"])) == ("g.onnx.data", 0, 64 * 40 * 4)
    assert (tmp_path / "g.onnx.data").stat().st_size == int(place["offset"]) + 64 * 40 * 4


def test_equal_integers_are_one_constant(tmp_path: Path) -> None:
    with GraphWriter(tmp_path, "g") as graph:
        assert graph.integers(1, -1) == graph.integers(1, -1) != graph.integers(-1, 1)


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    with GraphWriter(tmp_path, "g") as graph:
        graph.output("nothing", (1,))
        with pytest.raises(onnx.checker.ValidationError):
            graph.finish()
