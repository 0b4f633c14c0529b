"""Which methods are tried on which processor, and of which graphs twins are made. OpenVINO can be held to AVX2."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from imgtool.artefacts.manifest import FAST
from imgtool.compiling.blip.int8 import quantise
from imgtool.compiling.lossy.methods import LossyMethod, lossy_methods
from imgtool.compiling.optimise import optimise
from imgtool.inference.sessions import OrtGraph
from tests.compiling.test_winograd import answer, small_network

INT8, MATRICES = "convolutions in int8", "matrices in int8"
IN_PART = "convolutions in int8, of the recogniser too"


@pytest.mark.parametrize(
    ("features", "has_openvino", "expected"),
    [
        (["avx2"], False, [INT8, IN_PART, MATRICES]),
        (["avx2"], True, [f"{INT8} by OpenVINO", INT8, IN_PART, MATRICES]),
        (["avx2", "avx512_vnni"], True, [INT8, IN_PART, MATRICES]),
        (["avx2", "avx_vnni"], False, [INT8, IN_PART, MATRICES]),
        (["avx512_bf16", "avx512_vnni"], True, ["bfloat16 by OpenVINO", INT8, IN_PART, MATRICES]),
        (["amx_bf16", "amx_int8", "avx512_vnni"], True, ["bfloat16 by OpenVINO", INT8, IN_PART, MATRICES]),
        (["amx_bf16", "amx_int8", "avx512_vnni"], False, [INT8, IN_PART, MATRICES]),
        (["asimd", "asimddp"], False, [INT8, IN_PART, MATRICES]),
    ],
)
def test_what_is_tried(features: Sequence[str], has_openvino: bool, expected: Sequence[str]) -> None:
    assert [method.name for method in lossy_methods(features, has_openvino)] == expected


def write_matrix(path: Path, width: int, height: int) -> None:
    """One product: rows of ``width`` numbers with a matrix that makes ``height`` of each."""
    matrix = np.random.default_rng(0).standard_normal((height, width), np.float32)
    arrays = [onnx.numpy_helper.from_array(matrix, "m"), onnx.numpy_helper.from_array(matrix[:, 0].copy(), "b")]
    node = onnx.helper.make_node("Gemm", ["x", "m", "b"], ["y"], transB=1)
    ends = [onnx.helper.make_tensor_value_info(name, 1, ("rows", size)) for name, size in (("x", width), ("y", height))]
    graph = onnx.helper.make_graph([node], "matrix", ends[:1], ends[1:], arrays)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two graphs: one of convolutions, one of matrices."""
    small_network(tmp_path / "whole.onnx")
    onnx.save(onnx.load(tmp_path / "whole.onnx"), tmp_path / "conv.onnx")
    write_matrix(tmp_path / "matrix.onnx", 64, 128)
    for name in ("conv", "matrix"):
        optimise(tmp_path, name)
    (tmp_path / FAST).mkdir()
    return tmp_path


def feeds(graph: str) -> Iterator[Mapping[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    yield from ({"image": rng.standard_normal((1, 3, 32, 48), dtype=np.float32)} for _ in range(3))


def method(name: str, features: Sequence[str], has_openvino: bool = False) -> LossyMethod:
    return next(each for each in lossy_methods(features, has_openvino) if each.name == name)


def fast_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / FAST).iterdir())


@pytest.mark.parametrize("features", [["avx512_vnni"], ["avx2"]])
def test_convolutions(folder: Path, features: Sequence[str]) -> None:
    assert method(INT8, features).build(folder, ["conv", "matrix"], feeds)
    assert [name for name in fast_files(folder) if "matrix" in name] == []
    assert "conv.optimised.onnx" in fast_files(folder) and "conv.onnx" not in fast_files(folder)
    image = np.random.default_rng(1).standard_normal((1, 3, 32, 48), dtype=np.float32)
    graph = OrtGraph(folder / FAST / "conv.optimised.onnx", 1, is_optimised=True, is_packed=True)
    exact = answer(folder / "conv.onnx", 32, 48)
    difference = graph.run({"image": image})["c4"] - exact
    assert 0 < np.sqrt(np.square(difference).mean()) < 0.04 * exact.std()


def test_graphs_that_begin_with_convolutions(folder: Path) -> None:
    """Two methods, so that the detector keeps its twin if the recogniser's is refused."""
    into = folder / FAST
    assert not method(IN_PART, ["avx512_vnni"]).build(folder, ["conv", "matrix"], feeds), "that is the first method"
    model = onnx.load(folder / "conv.onnx")
    size = sum(math.prod(each.dims) for each in model.graph.initializer)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(2 * size, np.float32), "lstm"))
    onnx.save(model, folder / "part.onnx")
    assert method(INT8, ["avx512_vnni"]).build(folder, ["conv", "part"], feeds)
    assert not (into / "part.optimised.onnx").exists()
    assert method(IN_PART, ["avx512_vnni"]).build(folder, ["conv", "part"], feeds)
    assert (into / "part.optimised.onnx").exists() and (into / "conv.optimised.onnx").exists()


def test_matrices(folder: Path) -> None:
    assert method(MATRICES, ["avx512_vnni"]).build(folder, ["conv", "matrix"], feeds)
    assert [name for name in fast_files(folder) if "conv" in name] == []
    rows = np.random.default_rng(1).standard_normal((5, 64), np.float32)
    exact, fast = (
        OrtGraph(path, 1, is_optimised=True).run({"x": rows})["y"]
        for path in (folder / "matrix.optimised.onnx", folder / FAST / "matrix.optimised.onnx")
    )
    assert 0 < np.sqrt(np.square(fast - exact).mean()) < 0.03 * exact.std()


OWN_MEMORY = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime
from imgtool.inference.sessions import OrtGraph
def own():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) * 1024
before = own()
graph = OrtGraph(Path(sys.argv[1]), 1, is_optimised=True, is_packed=True)
after = own()
np.save(sys.argv[2], graph.run({"x": np.random.default_rng(1).standard_normal((5, 4096), np.float32)})["y"])
print(after - before)
"""


def test_packed_matrices_are_mapped(tmp_path: Path) -> None:
    """16 MB of weights in eight bits: opened with a copy they take as much, mapped they take next to nothing."""
    write_matrix(tmp_path / "large.onnx", 4096, 4096)
    (tmp_path / FAST).mkdir()
    assert method(MATRICES, ["avx512_vnni"]).build(tmp_path, ["large"], feeds)
    assert fast_files(tmp_path) == ["large.optimised.onnx", "large.optimised.onnx.data"]
    (tmp_path / "copied").mkdir()
    quantise(tmp_path, tmp_path / "copied", "large", seven_bits=False)
    optimise(tmp_path / "copied", "large")
    grown, answers = [], []
    for folder in (FAST, "copied"):
        words = [str(tmp_path / folder / "large.optimised.onnx"), str(tmp_path / f"{folder}.npy")]
        found = subprocess.run([sys.executable, "-c", OWN_MEMORY, *words], stdout=subprocess.PIPE, check=True)
        grown.append(int(found.stdout))
        answers.append(np.load(tmp_path / f"{folder}.npy"))
    assert grown[0] < 4e6
    assert grown[1] > 12e6
    np.testing.assert_array_equal(*answers)


def test_graphs_of_neither_kind(folder: Path) -> None:
    assert not method(INT8, ["avx2"]).build(folder, ["matrix"], feeds)
    assert not method(MATRICES, ["avx2"]).build(folder, ["conv"], feeds)
    assert fast_files(folder) == []


OPENED = """
import sys
import numpy as np
from imgtool.ground.privacy import import_openvino
# What is not in eight bits: on a processor of AVX2 alone this is the default.
settings = {"INFERENCE_PRECISION_HINT": "f32"}
with open(sys.argv[1], "rb") as blob:
    model = import_openvino().Core().import_model(blob.read(), "CPU", settings)
image = np.random.default_rng(1).standard_normal((1, 3, 32, 48), dtype=np.float32)
np.save(sys.argv[2], model({"image": image})["c4"])
"""

BUILT = """
import sys
from pathlib import Path
from imgtool.compiling.lossy.methods import lossy_methods
from tests.compiling.lossy.test_methods import feeds
assert lossy_methods(["avx2"], True)[0].build(Path(sys.argv[1]), ["conv", "matrix"], feeds)
"""


def test_convolutions_by_openvino_held_to_avx2(folder: Path) -> None:
    """As on a processor without VNNI: built and run by OpenVINO that may use no more than AVX2."""
    pytest.importorskip("openvino")
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    for code, *given in ((BUILT, folder), (OPENED, folder / FAST / "conv.blob", folder / "found.npy")):
        subprocess.run([sys.executable, "-c", code, *map(str, given)], env=held, check=True)
    assert fast_files(folder) == ["conv.blob"]
    exact, found = answer(folder / "conv.onnx", 32, 48), np.load(folder / "found.npy")
    assert 0 < np.sqrt(np.square(found - exact).mean()) < 0.05 * exact.std()
