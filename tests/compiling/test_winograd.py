"""Winograd's method as nodes: the same numbers for every size, chosen only where it was measured to be faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from imgtool.compiling.flat_graph import FlatGraph
from imgtool.compiling.winograd import Faster, rewrite, rewrite_where_faster, run_seconds, suitable, transformed

SIZES = {"image": (1, 3, 64, 96)}


def small_network(path: Path) -> Path:
    """3 -> 96 (pooled) -> 64 -> 96 -> 64 dilated -> 64 of 1 x 1, with a bias that two layers share by ``Identity``."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        array = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(np.prod(shape[1:]) or 1))
        return numpy_helper.from_array(array, name)

    weights = [
        weight("w0", 96, 3, 3, 3),
        weight("w1", 64, 96, 3, 3),
        weight("w2", 96, 64, 3, 3),
        weight("w3", 64, 96, 3, 3),
        weight("w4", 64, 64, 1, 1),
        weight("shared", 64),
        weight("b2", 96),
    ]

    def conv(name: str, given: str, weight: str, *bias: str, pad: int = 1, dilation: int = 1) -> onnx.NodeProto:
        kernel = [1, 1] if weight == "w4" else [3, 3]
        more = {"kernel_shape": kernel, "pads": [pad] * 4, "dilations": [dilation] * 2}
        return helper.make_node("Conv", [given, weight, *bias], [name], name=name, **more)

    nodes = [
        helper.make_node("Identity", ["shared"], ["same"]),
        conv("c0", "image", "w0", "b2"),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("MaxPool", ["r0"], ["p0"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("c1", "p0", "w1", "same"),
        conv("c2", "c1", "w2", "b2"),
        conv("c3", "c2", "w3", pad=2, dilation=2),
        conv("c4", "c3", "w4", "shared", pad=0),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, "height", "width"))
    out = helper.make_tensor_value_info("c4", TensorProto.FLOAT, (1, 64, "rows", "columns"))
    graph = helper.make_graph(nodes, "small", [image], [out], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def answer(path: Path, height: int, width: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).standard_normal((1, 3, height, width), dtype=np.float32)
    found: np.ndarray = session.run(None, {"image": image})[0]
    return found


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return small_network(tmp_path / "direct.onnx")


def test_the_transform_is_that_of_the_definition() -> None:
    """In one dimension, with exact numbers: A^T ((G g) * (B^T d)) is the correlation of d with g."""
    from imgtool.compiling import winograd

    kernel, tile = np.array([2.0, -3.0, 5.0]), np.arange(6.0) ** 2
    weights = np.zeros((1, 1, 3, 3))
    weights[0, 0, 1] = kernel
    places = transformed(weights).reshape(6, 6)
    image = np.zeros((6, 6), np.float32)
    image[1:5] = tile
    moved = np.einsum("pij,ij->p", winograd._tiles_kernels()[:, 0], image)
    pixels = (winograd._pixels_matrix() @ (places.ravel() * moved)).reshape(4, 4)
    expected = np.correlate(tile, kernel, "valid")
    assert np.allclose(pixels, expected, atol=1e-3)


@pytest.mark.parametrize("size", [(64, 96), (8, 8), (10, 14), (12, 18), (6, 6), (34, 22)])
def test_every_size_gives_the_same_numbers(network: Path, size: tuple[int, int], tmp_path: Path) -> None:
    graph = FlatGraph(network)
    layers = suitable(graph.convolutions(SIZES))
    assert [layer.name for layer in layers] == ["c1", "c2"]
    rewrite(graph, layers, {})
    graph.save(tmp_path / "winograd.onnx")
    expected, found = answer(network, *size), answer(tmp_path / "winograd.onnx", *size)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 3e-5 * np.abs(expected).max()
    kinds = [node.op_type for node in onnx.load(tmp_path / "winograd.onnx").graph.node]
    assert kinds.count("DepthToSpace") == kinds.count("Slice") == 2
    onnx.checker.check_model(str(tmp_path / "winograd.onnx"), full_check=True)


def test_nothing_is_cut_off_where_sides_are_multiples_of_a_tile(network: Path, tmp_path: Path) -> None:
    graph = FlatGraph(network)
    layers = suitable(graph.convolutions(SIZES))
    rewrite(graph, layers, {"c1": 4, "c2": 8})
    graph.save(tmp_path / "winograd.onnx")
    assert "Slice" not in [node.op_type for node in graph.nodes]
    assert np.allclose(answer(tmp_path / "winograd.onnx", 24, 40), answer(network, 24, 40), atol=1e-4)


def test_layers_that_would_take_more_memory_are_left(network: Path) -> None:
    layers = FlatGraph(network).convolutions(SIZES)
    assert [layer.name for layer in layers] == ["c0", "c1", "c2", "c3", "c4"]
    assert [layer.name for layer in suitable(layers)] == ["c1", "c2"]
    assert suitable(layers[1:]) == [], "without the large first layer"
    assert layers[1].multiplications == 64 * 96 * 9 * 32 * 48


def planted(whole: float, alone: Mapping[int, float]):
    """Seconds of graphs: of a whole direct one 1, of a layer alone by its filters; by Winograd's method as said."""

    def seconds(path: Path, sizes: Mapping[str, Sequence[int]], threads: int) -> float:
        model = onnx.load(path, load_external_data=False).graph
        is_direct = all(node.op_type != "DepthToSpace" for node in model.node)
        channels = sizes["image"][1]
        if is_direct:
            return 1.0
        return whole if channels == 3 else alone[channels]

    return seconds


def test_only_layers_that_gain_are_rewritten(network: Path, tmp_path: Path) -> None:
    into = tmp_path / "winograd.onnx"
    seconds = planted(0.8, {64: 0.5, 96: 0.5})
    assert rewrite_where_faster(network, into, SIZES, 2, 1, seconds) == Faster(2, 1.25)
    assert [node.op_type for node in onnx.load(into).graph.node].count("Slice") == 2
    assert rewrite_where_faster(network, into, SIZES, 32, 1, seconds) == Faster(2, 1.25)
    assert [node.op_type for node in onnx.load(into).graph.node].count("Slice") == 0
    assert np.allclose(answer(into, 32, 64), answer(network, 32, 64), atol=1e-4)


def test_what_gains_nothing_is_not_kept(network: Path, tmp_path: Path) -> None:
    into = tmp_path / "winograd.onnx"
    assert rewrite_where_faster(network, into, SIZES, 2, 1, planted(0.5, {64: 0.95, 96: 1.2})) is None
    assert not into.exists()
    assert rewrite_where_faster(network, into, SIZES, 2, 1, planted(0.99, {64: 0.5, 96: 1.0})) is None


def test_seconds_are_measured(network: Path) -> None:
    assert 0 < run_seconds(network, SIZES, 1) < 10


def test_weights_that_nobody_reads_are_not_written(network: Path, tmp_path: Path) -> None:
    graph = FlatGraph(network)
    rewrite(graph, suitable(graph.convolutions(SIZES)), {})
    graph.save(tmp_path / "winograd.onnx")
    graph.save(tmp_path / "winograd.onnx")
    names = {each.name for each in onnx.load(tmp_path / "winograd.onnx", load_external_data=False).graph.initializer}
    assert {"w0", "w3", "w4", "c1/winograd", "c2/winograd"} < names
    assert not {"w1", "w2"} & names
    assert (tmp_path / "winograd.onnx.data").stat().st_size < 4 * 36 * 2 * 64 * 96 + 300_000
