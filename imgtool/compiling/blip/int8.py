"""A graph with its matrices in int8: a quarter of the bytes to stream for every token, at some loss.

Weights are rounded once, with a scale for each output; what is multiplied with them is rounded as it comes, with a
scale for the whole of it (``com.microsoft.DynamicQuantizeMatMul``, onnxruntime's own). A matrix that is also a table
of embeddings, as the one that gives the logits, is there twice: of the table in single precision, only rows are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.onnx_writer import GraphWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def quantise(folder: Path, into: Path, name: str, *, seven_bits: bool) -> None:
    """Write the graph ``name`` of ``folder`` into ``into``, under the same name, with the same inputs and outputs.

    Weights are read one at a time. ``seven_bits`` for a processor without VNNI: it adds pairs of products in 16 bits,
    and with eight these would saturate.

    Raises:
        OSError: a file of it cannot be read or written.
    """
    import onnx
    from onnx import numpy_helper

    into.mkdir(parents=True, exist_ok=True)
    model = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph
    weights = {each.name: each for each in model.initializer}

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
            if node.op_type != "Gemm":
                graph.same_node(node, [written(each) for each in node.input])
                continue
            rows, matrix, bias = node.input
            rounded = _rounded(array(matrix), 63 if seven_bits else 127)
            given = [*map(graph.weight, rounded), "", written(bias)]
            graph.node("DynamicQuantizeMatMul", rows, *given, into=node.output[0], domain="com.microsoft")
        graph.finish()


def _rounded(matrix: NDArray[np.float32], steps: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(out, in) -> (in, out) int8, and the scale of each output."""
    import numpy as np

    scales = np.maximum(np.abs(matrix).max(axis=1) / np.float32(steps), np.finfo(np.float32).tiny)
    return np.rint(matrix / scales[:, None]).astype(np.int8).T, scales.astype(np.float32)
