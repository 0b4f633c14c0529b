"""A graph with its matrices in int8: a quarter of the bytes to stream for every token, at some loss.

Weights are rounded once, with a scale for each output; what is multiplied with them is rounded as it comes, with a
scale for the whole of it (``com.microsoft.DynamicQuantizeMatMul``, onnxruntime's own). A matrix that is also a table
of embeddings stays as it is, since the table is needed exactly and would otherwise be there twice.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.onnx_writer import GraphWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEPS = 63
"""Seven bits: a processor without VNNI adds pairs of products in 16 bits, and with eight these would saturate."""


def quantise(folder: Path, into: Path, name: str) -> None:
    """Write the graph ``name`` of ``folder`` into ``into``, under the same name, with the same inputs and outputs.

    Weights are read one at a time.

    Raises:
        OSError: a file of it cannot be read or written.
    """
    import onnx
    from onnx import numpy_helper

    into.mkdir(parents=True, exist_ok=True)
    model = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph
    weights = {each.name: each for each in model.initializer}
    readers = Counter(name for node in model.node for name in node.input)

    def array(name: str) -> NDArray[Any]:
        found: NDArray[Any] = numpy_helper.to_array(weights[name], str(folder))
        return found

    with GraphWriter(into, name) as graph:
        moved = {"": ""}

        def written(name: str) -> str:
            """What ``name`` is called in the new graph; a weight is written when it is first asked for."""
            if name in weights and name not in moved:
                moved[name] = graph.weight(array(name))
            return moved.get(name, name)

        graph.same_outside(model)
        for node in model.node:
            if node.op_type != "Gemm" or readers[node.input[1]] > 1:
                graph.same_node(node, [written(each) for each in node.input])
                continue
            rows, matrix, bias = node.input
            given = [*map(graph.weight, _rounded(array(matrix))), "", written(bias)]
            graph.node("DynamicQuantizeMatMul", rows, *given, into=node.output[0], domain="com.microsoft")
        graph.finish()


def _rounded(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(out, in) -> (in, out) int8, and the scale of each output."""
    import numpy as np

    scales = np.maximum(np.abs(matrix).max(axis=1) / np.float32(_STEPS), np.finfo(np.float32).tiny)
    return np.rint(matrix / scales[:, None]).astype(np.int8).T, scales.astype(np.float32)
