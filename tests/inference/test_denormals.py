"""Denormal weights: planted in small graphs in every way a weight can be stored, counted, set to zero."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from imgtool.errors import StoreNotWritable
from imgtool.inference.denormals import (
    Denormals,
    NotOnnx,
    count_denormals,
    external_files,
    zero_denormals,
    zeroed_bytes,
)

TINY = np.float32(1e-40)
PLANTED = 7


def weights(seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    """(4, 3, 3, 3), seven of them denormal, and a zero of either sign."""
    array = np.random.default_rng(seed).standard_normal((4, 3, 3, 3)).astype(dtype)
    array.flat[:PLANTED] = np.array([1, -1, 2, 3, -5, 0.001, 1.1], dtype) * TINY
    array.flat[PLANTED : PLANTED + 2] = 0.0, -0.0
    return array


def model(*initializers: TensorProto, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, "height", "width"))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    nodes = nodes or [helper.make_node("Conv", ["image", initializers[0].name], ["scores"])]
    graph = helper.make_graph(nodes, "small", [image], [scores], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def written(path: Path, made: onnx.ModelProto) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def scores(model: Path | bytes) -> np.ndarray:
    given = bytes(model) if not isinstance(model, Path) else str(model)
    session = onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).standard_normal((1, 3, 9, 11)).astype(np.float32)
    found: np.ndarray = session.run(None, {"image": image})[0]
    return found


def in_raw_data() -> TensorProto:
    return numpy_helper.from_array(weights(), "w")


def in_float_data() -> TensorProto:
    return helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 3, 3), weights().ravel().tolist())


@pytest.mark.parametrize("stored", [in_raw_data, in_float_data])
def test_they_are_zeroed_where_they_stand_and_nothing_else_is(stored, tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", model(stored()))
    before = scores(path)
    assert count_denormals(path) == Denormals(numbers=108, denormal=PLANTED)
    cleaned, found = zeroed_bytes(path.read_bytes())
    assert found == zero_denormals(path) == Denormals(numbers=108, denormal=PLANTED)
    assert bytes(cleaned) == path.read_bytes()
    expected = weights()
    expected[np.abs(expected) < np.finfo(np.float32).tiny] = 0
    kept = numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    assert np.array_equal(kept, expected)
    assert np.signbit(kept.flat[PLANTED + 1]), "a zero keeps its sign"
    assert np.array_equal(scores(path), before)
    assert count_denormals(path).denormal == 0


def test_external_data(tmp_path: Path) -> None:
    path, made = tmp_path / "m.onnx", model(in_raw_data())
    onnx.save(made, path, save_as_external_data=True, location="m.data", size_threshold=0)
    before = scores(path)
    assert external_files(path) == [tmp_path / "m.data"]
    assert zero_denormals(path).zeroed == PLANTED
    assert np.array_equal(scores(path), before)
    assert count_denormals(path).denormal == 0
    with pytest.raises(NotOnnx, match="another file"):
        zeroed_bytes(path.read_bytes())


def test_external_data_elsewhere_is_not_touched(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", dims=(4, 3, 3, 3), data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../other.data")
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "other.data").write_bytes(weights().tobytes())
    with pytest.raises(NotOnnx, match="outside"):
        zero_denormals(written(folder / "m.onnx", model(tensor)))
    assert (tmp_path / "other.data").read_bytes() == weights().tobytes()


def test_external_data_that_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(in_raw_data()), path, save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").write_bytes(b"short")
    with pytest.raises(NotOnnx, match="file of 5"):
        count_denormals(path)


def test_constants_and_graphs_inside_of_graphs(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=in_raw_data())
    inner = helper.make_graph(
        [constant, helper.make_node("Conv", ["image", "w"], ["out"])],
        "inner",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    condition = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["scores"], then_branch=inner, else_branch=inner)
    path = written(tmp_path / "m.onnx", model(condition, nodes=[node]))
    before = scores(path)
    assert zero_denormals(path).zeroed == 2 * PLANTED
    assert np.array_equal(scores(path), before)


def test_a_constant_that_only_must_not_be_zero_stays(tmp_path: Path) -> None:
    epsilon = numpy_helper.from_array(np.full(15, TINY), "epsilon")
    path = written(tmp_path / "m.onnx", model(in_raw_data(), epsilon))
    zero_denormals(path)
    kept = numpy_helper.to_array(onnx.load(path).graph.initializer[1])
    assert (kept == TINY).all()


def test_other_formats_of_numbers(tmp_path: Path) -> None:
    double = weights(dtype=np.float64)
    double.flat[0] = 5e-320
    half = np.full(64, 3e-6, np.float16)
    bfloat = TensorProto(name="b", dims=(64,), data_type=TensorProto.BFLOAT16)
    bfloat.raw_data = np.array([0x0001, 0x8003, 0x0000, 0x3F80] * 16, np.uint16).tobytes()
    tensors = [in_raw_data(), numpy_helper.from_array(double, "d"), numpy_helper.from_array(half, "h"), bfloat]
    path = written(tmp_path / "m.onnx", model(*tensors))
    found = zero_denormals(path)
    assert (found.half, found.zeroed) == (64, PLANTED + 1 + 32)
    kept = onnx.load(path).graph.initializer
    assert (numpy_helper.to_array(kept[2]) == half).all(), "a float16 this small is an ordinary number in float32"
    assert kept[3].raw_data == np.array([0, 0, 0x0000, 0x3F80] * 16, np.uint16).tobytes()
    assert numpy_helper.to_array(kept[1]).flat[1] == double.flat[1], "in float64 it is not denormal"


def test_integers_are_no_numbers_of_this_kind(tmp_path: Path) -> None:
    integers = numpy_helper.from_array(np.full(64, 7, np.int32), "i")
    path = written(tmp_path / "m.onnx", model(in_raw_data(), integers))
    assert zero_denormals(path).zeroed == PLANTED
    assert (numpy_helper.to_array(onnx.load(path).graph.initializer[1]) == 7).all()


def test_a_file_without_any_is_not_written(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", model(numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")))
    path.chmod(0o444)
    before = path.stat().st_mtime_ns
    assert zero_denormals(path) == Denormals(numbers=108)
    assert path.stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "m.onnx", model(in_raw_data()))

    def refused(self: Path, mode: str = "r") -> object:
        if mode == "r+b":
            raise PermissionError(13, "Permission denied")
        return open(self, mode)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(StoreNotWritable):
        zero_denormals(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_refused(data: bytes) -> None:
    with suppress(NotOnnx):
        zeroed_bytes(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_damaged_model_is_read_or_refused(place: int, value: int) -> None:
    data = bytearray(model(in_raw_data()).SerializeToString())
    data[place % len(data)] = value
    with suppress(NotOnnx):
        zeroed_bytes(bytes(data[: len(data) - place % 7]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=16, max_size=64))
def test_numpy_agrees_about_every_number(bits: list[int]) -> None:
    array = np.array(bits, np.uint32).view(np.float32)
    cleaned, found = zeroed_bytes(model(in_raw_data(), numpy_helper.from_array(array, "x")).SerializeToString())
    with np.errstate(invalid="ignore"):
        are_denormal = (array != 0) & (np.abs(array) < np.finfo(np.float32).tiny)
    assert found.denormal == PLANTED + are_denormal.sum()
    kept = onnx.load_from_string(bytes(cleaned)).graph.initializer[1].raw_data
    assert kept == np.where(are_denormal, np.float32(0), array).tobytes()


def test_an_empty_file_has_no_weights(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    assert count_denormals(tmp_path / "m.onnx") == Denormals()


def rapidocr_models() -> list[Path]:
    found = find_spec("rapidocr")
    assert found is not None and found.origin is not None
    return sorted((Path(found.origin).parent / "models").glob("*.onnx"))


def test_the_bundled_detector_has_a_quarter_million(tmp_path: Path) -> None:
    (detector,) = [path for path in rapidocr_models() if path.name == "PP-OCRv6_det_small.onnx"]
    copy = Path(shutil.copy(detector, tmp_path))
    found = zero_denormals(copy)
    assert found.zeroed > 0.1 * found.numbers
    expected = {each.name: numpy_helper.to_array(each) for each in onnx.load(detector).graph.initializer}
    for each in onnx.load(copy).graph.initializer:
        array = expected[each.name].copy()
        if array.dtype == np.float32:
            array[np.abs(array) < np.finfo(np.float32).tiny] = 0
        assert np.array_equal(numpy_helper.to_array(each), array)
