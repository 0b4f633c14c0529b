"""The facts of an ONNX file, read without the onnx library."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from imgtool.analyzers.labels.graph import Graph, read_graph
from tests.analyzers.labels.test_conventions import FISH_LOGITS, build, node


def facts(tmp_path: Path, model: onnx.ModelProto) -> Graph:
    onnx.save(model, tmp_path / "m.onnx")
    return read_graph(tmp_path / "m.onnx")


def test_inputs_and_metadata(tmp_path: Path) -> None:
    model = build(FISH_LOGITS, metadata={"names": "a,b", "이름": "값"})
    model.graph.input.append(
        helper.make_tensor_value_info("bias", TensorProto.FLOAT, [3])
    )  # an older exporter's weight
    found = facts(tmp_path, model)
    assert found.shapes == ((None, 3, 8, 8),)
    assert found.dtype == "float32"
    assert found.metadata == {"names": "a,b", "이름": "값"}
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert facts(tmp_path, model).dtype == "uint8"


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ((), "logits"),
        ((node("Softmax", "logits", "scores"),), "probabilities"),
        ((node("Softmax", "logits", "p"), node("Identity", "p", "scores")), "probabilities"),
        (
            (node("Transpose", "logits", "t"), node("Sigmoid", "t", "u"), node("Transpose", "u", "scores")),
            "probabilities",
        ),
        ((node("LogSoftmax", "logits", "scores"),), "logits"),
        ((node("Add", "logits", "one", "scores"),), "logits"),
        ((node("Softmax", "logits", "p"), node("MatMul", "p", "m", "scores")), None),
        ((node("Softmax", "logits", "p"), node("Add", "p", "p", "scores")), None),
        ((node("Mul", "logits", "one", "scores"),), None),
        ((node("Clip", "logits", "scores"),), None),
    ],
)
def test_how_the_graph_ends(tmp_path: Path, ending: tuple[onnx.NodeProto, ...], expected: str | None) -> None:
    assert facts(tmp_path, build(FISH_LOGITS, *ending)).endings.get("scores") == expected


def external(location: str) -> TensorProto:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_every_place_that_may_name_a_file_is_looked_at(tmp_path: Path) -> None:
    model = build(FISH_LOGITS)
    graph = model.graph
    graph.initializer.append(external("initializer"))
    graph.node.append(node("Constant", "c", value=external("attribute")))
    inner = helper.make_graph([node("Constant", "d", value=external("deeper"))], "inner", [], [])
    branch = helper.make_graph([node("If", "y", "z", then_branch=inner, else_branch=inner)], "branch", [], [])
    branch.initializer.append(external("branch"))
    graph.node.append(node("If", "x", "y", then_branch=branch, else_branch=branch))
    graph.sparse_initializer.add(values=external("sparse/values"), indices=external("sparse/indices"))
    function = helper.make_function("d", "f", [], ["o"], [node("Constant", "o", value=external("function"))], [])
    model.functions.append(function)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())  # onnx.save would look for the files
    assert read_graph(tmp_path / "m.onnx").external == (
        *("attribute", "branch", "deeper", "function", "initializer"),
        *("sparse/indices", "sparse/values"),
    )


def test_a_location_that_is_not_used_does_not_count(tmp_path: Path) -> None:
    model = build(FISH_LOGITS)
    leftover = numpy_helper.from_array(np.float32([1]), "leftover")
    leftover.external_data.add(key="location", value="old.bin")
    model.graph.initializer.append(leftover)
    assert facts(tmp_path, model).external == ()


@given(st.binary(max_size=200))
def test_what_is_no_onnx_file_has_no_facts_and_does_no_harm(data: bytes) -> None:
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        assert isinstance(read_graph(Path(file.name)), Graph)


def test_a_file_that_breaks_off(tmp_path: Path) -> None:
    data = build(FISH_LOGITS).SerializeToString()
    for length in range(0, len(data), 7):
        (tmp_path / "m.onnx").write_bytes(data[:length])
        assert isinstance(read_graph(tmp_path / "m.onnx"), Graph)
