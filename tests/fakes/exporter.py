"""A network small enough to compile in a test: a convolution and a matrix. What else happens, the arguments say."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgtool.artefacts.manifest import Parity
from imgtool.compiling import child
from imgtool.compiling.interface import Export, Exporter
from imgtool.inference.sessions import open_graph

GRAPH = "small"
CHANNELS, SIDE, CLASSES = 16, 8, 64


def weights(source: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The kernel (16, 3, 3, 3) and the matrix (64, 1024) in the model of ``source``."""
    rng = np.random.default_rng(len((source / "model.safetensors").read_bytes()))
    kernel = rng.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32)
    return kernel, rng.standard_normal((CLASSES, CHANNELS * SIDE * SIDE)).astype(np.float32)


def main() -> None:
    """What the process that compiles runs, with this exporter for every kind of model."""
    child.main(lambda _: Exporter(export, check_parity, answering))


def export(source: Path, into: Path, remedy: str, disturb: str = "", flag: str = "") -> Export:
    import onnx

    onnx.save(
        _model(*weights(source)),
        str(into / f"{GRAPH}.onnx"),
        save_as_external_data=True,
        location=f"{GRAPH}.onnx.data",
        size_threshold=1024,
    )
    print("what libraries print is no data")
    _disturb(disturb, flag)
    if disturb.startswith("denied"):
        place = source if disturb == "denied source" else into
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place / "config.json"))
    return Export((GRAPH,), {"classes": CLASSES, "disturb": disturb, "flag": flag}, "tests", 17)


def _model(kernel: NDArray[np.float32], matrix: NDArray[np.float32]) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["images", 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["images", CLASSES])
    shape = np.array([-1, CHANNELS * SIDE * SIDE], dtype=np.int64)
    given = {"kernel": kernel, "matrix": matrix, "bias": np.zeros(CLASSES, np.float32), "shape": shape}
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["convolved"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("Reshape", ["positive", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["scores"], transB=1),
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in given.items()]
    graph = helper.make_graph(nodes, GRAPH, [image], [scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _disturb(disturb: str, flag: str) -> None:
    if disturb == "export hangs":
        _hang(flag)
    if disturb == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if disturb == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if disturb == "raise":
        raise RuntimeError("planted")


def _hang(flag: str) -> None:
    Path(flag).write_text(str(os.getpid()))
    time.sleep(600)


def check_parity(source: Path, artefact: Path, threads: int, *, seed: int = 0, images: int = 4) -> Parity:
    import json

    settings = json.loads((artefact / "settings.json").read_bytes())
    if settings["disturb"] == "parity hangs":
        _hang(settings["flag"])
    image = np.random.default_rng(seed).standard_normal((images, 3, SIDE, SIDE)).astype(np.float32)
    found = open_graph(artefact, GRAPH).run({"image": image})["scores"]
    difference = float(np.abs(found - _scores(image, *weights(source))).max())
    passed = difference < 1e-2 and settings["disturb"] != "differ"
    return Parity(passed=passed, figures={"scores_max_abs_difference": difference}, detail=f"{images} images")


def _scores(
    image: NDArray[np.float32], kernel: NDArray[np.float32], matrix: NDArray[np.float32]
) -> NDArray[np.float32]:
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    convolved = np.maximum(np.einsum("nchwij,ocij->nohw", windows, kernel), 0)
    scores: NDArray[np.float32] = convolved.reshape(len(image), -1) @ matrix.T
    return scores


def answering(folder: Path, precision: str, threads: int) -> Callable[[], Sequence[str]]:
    """The likeliest class of each of 20 images."""
    graph = open_graph(folder, GRAPH, threads=threads, precision=precision)
    image = np.random.default_rng(1).standard_normal((20, 3, SIDE, SIDE)).astype(np.float32)
    return lambda: [str(best) for best in graph.run({"image": image})["scores"].argmax(axis=1)]
