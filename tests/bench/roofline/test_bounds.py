"""The roofline: work is counted right, rates are those of a machine, and the slower of the two bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from imgtool.bench.roofline.bounds import Part, Rates, Roofline, Work, count_work, measure_rates
from tests.compiling.test_winograd import small_network

RATES = Rates(threads=1, float_ops=100e9, int8_ops=400e9, bytes_read=10e9)


def graph_of(path: Path, node: onnx.NodeProto, given: dict[str, tuple[int, ...]], **weights: tuple[int, ...]) -> Path:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given.items()]
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    arrays = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    graph = helper.make_graph([node], "one", inputs, outputs, arrays)
    onnx.save(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=9
        ),
        path,
    )
    return path


def ones(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("kind", "given", "weights", "attributes", "products"),
    [
        ("Conv", (2, 8, 10, 12), {"w": (6, 4, 3, 3)}, {"group": 2, "pads": [1] * 4}, 2 * 6 * 10 * 12 * 4 * 9),
        ("Conv", (1, 3, 9, 9), {"w": (5, 3, 3, 3)}, {"strides": [2, 2]}, 5 * 4 * 4 * 3 * 9),
        ("ConvTranspose", (1, 4, 5, 6), {"w": (4, 7, 2, 2)}, {"strides": [2, 2]}, 4 * 5 * 6 * 7 * 4),
        ("MatMul", (2, 5, 8), {"w": (8, 3)}, {}, 2 * 5 * 8 * 3),
        ("Gemm", (5, 8), {"w": (3, 8), "b": (3,)}, {"transB": 1}, 5 * 8 * 3),
        ("Gemm", (8, 5), {"w": (8, 3)}, {"transA": 1}, 5 * 8 * 3),
        ("FusedMatMul", (2, 8, 5), {"w": (8, 3)}, {"transA": 1, "domain": "com.microsoft"}, 2 * 5 * 8 * 3),
        (
            "MultiHeadAttention",
            (2, 5, 8),
            {"k": (2, 7, 8), "v": (2, 7, 8)},
            {"num_heads": 4, "domain": "com.microsoft"},
            2 * 2 * 5 * 7 * 8,
        ),
        ("LSTM", (7, 2, 5), {"w": (1, 16, 5), "r": (1, 16, 4)}, {"hidden_size": 4}, 7 * 2 * 16 * 9),
    ],
)
def test_the_work_of_an_operator(
    kind: str,
    given: tuple[int, ...],
    weights: dict[str, tuple[int, ...]],
    attributes: dict[str, object],
    products: int,
    tmp_path: Path,
) -> None:
    node = helper.make_node(kind, ["x", *weights], ["y"], **attributes)
    path = graph_of(tmp_path / "one.onnx", node, {"x": given}, **weights)
    found = count_work(path, ones(x=given))
    assert found.ops == 2 * products
    assert found.weight_bytes == 4 * sum(np.prod(shape) for shape in weights.values() if len(shape) > 1)


def test_the_work_of_a_network(tmp_path: Path) -> None:
    path = small_network(tmp_path / "small.onnx")
    half = 32 * 48
    layers = 96 * 3 * 9 * 64 * 96 + (64 * 96 * 9 + 96 * 64 * 9 + 64 * 96 * 9 + 64 * 64) * half
    assert count_work(path, ones(image=(1, 3, 64, 96))).ops == 2 * layers
    assert list(tmp_path.glob("*.json")) == [], "the profile is not left behind"


def test_the_slower_of_arithmetic_and_memory_bounds() -> None:
    assert Part(name="a", work=Work(ops=1e11, weight_bytes=1e9)).seconds(RATES) == pytest.approx(1.0)
    assert Part(name="b", work=Work(ops=1e9, weight_bytes=1e9)).seconds(RATES) == pytest.approx(0.1)
    assert Part(name="c", work=Work(ops=1e11), times=3).seconds(RATES) == pytest.approx(3.0)
    assert Part(name="d", work=Work(ops=1e11, weight_bytes=1e9), is_int8=True).seconds(RATES) == pytest.approx(0.25)
    assert Part(name="e", work=Work(ops=1, weight_bytes=1e9), is_int8=True).seconds(RATES) == pytest.approx(0.025)


def test_the_share_that_is_reached() -> None:
    parts = (Part(name="a", work=Work(ops=1e11)), Part(name="b", work=Work(ops=5e10)))
    found = Roofline(rates=RATES, parts=parts, measured_seconds=3.0)
    assert (found.seconds, found.share) == (pytest.approx(1.5), pytest.approx(0.5))
    assert Roofline(rates=RATES, parts=parts, measured_seconds=0.0).share == 0.0
    assert Work(ops=1, weight_bytes=2) + Work(ops=3) == Work(ops=4, weight_bytes=2)


def test_rates_are_those_of_a_machine() -> None:
    found = measure_rates(1, rounds=2)
    assert found.threads == 1
    assert 1e9 < found.float_ops < 1e13
    assert 1e9 < found.int8_ops < 1e14
    assert 1e8 < found.bytes_read < 1e13


def test_a_graph_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(Exception, match="onnx"):
        count_work(tmp_path / "m.onnx", {})
