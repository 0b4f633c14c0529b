"""Static eight bits: near the exact answer, refused nothing, and layers of few filters left alone."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from imgtool.compiling.flat_graph import FlatGraph
from imgtool.compiling.lossy.int8_static import quantise_static
from tests.compiling.test_winograd import answer, small_network


def feeds(count: int = 4) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    return [{"image": rng.standard_normal((1, 3, 32, 48), dtype=np.float32)} for _ in range(count)]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return small_network(tmp_path / "exact.onnx")


@pytest.mark.parametrize(("seven_bits", "share"), [(False, 0.03), (True, 0.04)])
def test_the_answer_is_near(network: Path, tmp_path: Path, seven_bits: bool, share: float) -> None:
    into = tmp_path / "int8.onnx"
    quantise_static(network, into, feeds(), seven_bits=seven_bits)
    exact, found = answer(network, 32, 48), answer(into, 32, 48)
    assert 0 < np.sqrt(np.square(exact - found).mean()) < share * exact.std()
    weights = [FlatGraph(into).array(name) for name in ("w1_quantized", "w2_quantized")]
    assert all(each.dtype == np.int8 and abs(each).max() <= (64 if seven_bits else 127) for each in weights)
    assert (tmp_path / "int8.onnx.data").stat().st_size < 0.5 * network.stat().st_size


def test_layers_of_few_filters_stay_exact(network: Path, tmp_path: Path) -> None:
    graph = FlatGraph(network)
    graph.weights["w4"] = onnx.numpy_helper.from_array(graph.array("w4")[:16].copy(), "w4")
    del graph.nodes[-1].input[2]  # its bias, which another layer shares
    graph.model.graph.output[0].type.tensor_type.ClearField("shape")
    graph.save(tmp_path / "narrow.onnx")
    quantise_static(tmp_path / "narrow.onnx", tmp_path / "int8.onnx", feeds())
    found = FlatGraph(tmp_path / "int8.onnx")
    assert found.array("w4").dtype == np.float32
    assert found.array("w0_quantized").dtype == np.int8, "few channels go into it, but many come out"


def test_onnxruntime_computes_it_in_integers(network: Path, tmp_path: Path) -> None:
    quantise_static(network, tmp_path / "int8.onnx", feeds())
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(tmp_path / "int8.onnx"), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "run.onnx", load_external_data=False).graph.node]
    assert kinds.count("QLinearConv") == 5, "the biases that two layers share stand in the way of none"


def test_logging_is_as_it_was(network: Path, tmp_path: Path) -> None:
    quantise_static(network, tmp_path / "int8.onnx", feeds(1))
    assert logging.root.manager.disable == 0
    with pytest.raises(ValueError):
        quantise_static(network, tmp_path / "int8.onnx", [])
    assert logging.root.manager.disable == 0
